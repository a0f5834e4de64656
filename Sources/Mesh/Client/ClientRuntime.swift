import GLTP
import Logging
import Synchronization

/// What a client and the requests under way hold together: the I/O thread, started by the first call.
final class ClientRuntime: Sendable {
  private enum State {
    case created
    case open(IOThread, ClientCore, Inbox<ClientCommand>)
    case closed
  }

  let buffers: BufferPool
  let status = ClientStatus()
  private let gateways: [Endpoint]
  private let security: LinkSecurity
  private let resolver: any AddressResolver
  private let configuration: MeshClient.Configuration
  private let logger: Logger
  private let state = Mutex(State.created)
  private let ended = Latch<Void>()

  init(
    gateways: [Endpoint], security: LinkSecurity, resolver: any AddressResolver,
    configuration: MeshClient.Configuration, logger: Logger
  ) {
    self.gateways = gateways
    self.security = security
    self.resolver = resolver
    self.configuration = configuration
    self.logger = logger
    buffers = configuration.buffers
  }

  deinit {
    guard case .open(let thread, let core, _) = state.withLock({ $0 }) else { return }
    thread.loop.execute { core.close() }
  }

  /// Hands a command to the I/O thread, which the first one starts.
  ///
  /// - Throws: `MeshError.closed` after `close`; what opening sockets throws.
  func post(_ command: ClientCommand) throws(MeshError) {
    try inbox().post(command)
  }

  private func inbox() throws(MeshError) -> Inbox<ClientCommand> {
    let result: Result<Inbox<ClientCommand>, MeshError> = state.withLock { state in
      switch state {
      case .open(_, _, let inbox): return .success(inbox)
      case .closed: return .failure(MeshError(.closed, "the client has been closed"))
      case .created:
        return Result { () throws(MeshError) in
          let (thread, core, inbox) = try open()
          state = .open(thread, core, inbox)
          return inbox
        }
      }
    }
    return try result.get()
  }

  private func open() throws(MeshError) -> (IOThread, ClientCore, Inbox<ClientCommand>) {
    try configuration.check()
    guard !gateways.isEmpty else {
      throw MeshError(.invalidArgument, "a client without a gateway", hint: "name one with --gateway URL")
    }
    let thread = try IOThread(buffers: buffers)
    let core = ClientCore(
      gateways: gateways, security: security, resolver: resolver, configuration: configuration, loop: thread.loop,
      status: status, logger: logger)
    let inbox = thread.loop.makeInbox(of: ClientCommand.self) { [weak core] in core?.take($0) }
    let opened = thread.loop.wait { Result { () throws(MeshError) in try core.open() } }
    guard let opened else { throw MeshError(.closed, "the I/O thread has ended") }
    try opened.get()
    return (thread, core, inbox)
  }

  /// Tells the gateways that the request is not wanted any more.
  func cancel(_ id: RequestID) {
    guard case .open(_, _, let inbox) = state.withLock({ $0 }) else { return }
    inbox.post(.cancel(id))
  }

  /// Forgets a question that nobody waits for.
  func forget(_ id: RequestID) {
    guard case .open(let thread, let core, _) = state.withLock({ $0 }) else { return }
    thread.loop.execute { core.forget(id) }
  }

  /// Finishes what is under way for so long, says goodbye and ends the thread.
  func close(finishingWithin limit: Duration) async {
    let former = state.withLock { state in
      defer { state = .closed }
      return state
    }
    switch former {
    case .created: ended.open(())
    case .closed: await Task { _ = await ended.wait(for: limit + .seconds(10)) }.value
    case .open(let thread, let core, let inbox):
      // Not bound to the caller's task: one that is cancelled must not leave a thread behind.
      await Task {
        if limit > .zero {
          inbox.post(.close(cancelling: false))
          _ = await status.closed.wait(for: limit)
        }
        inbox.post(.close(cancelling: true))
        _ = await status.closed.wait(for: .seconds(1))
        thread.loop.execute { core.close() }
        if await !thread.stop(linger: .milliseconds(250)) {
          logger.error("the I/O thread does not end; it ends with the process")
        }
      }.value
      ended.open(())
    }
  }
}
