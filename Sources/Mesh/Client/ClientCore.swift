import GLTP
import Logging
import Synchronization

/// What a client's callers tell its I/O thread.
enum ClientCommand: Sendable {
  case rank(RankCall, RequestTicket)
  case cancel(RequestID)
  case status(RequestID, Endpoint, StatusQuestion)
  case close(cancelling: Bool)
}

/// A question for a gateway's report.
final class StatusQuestion: Sendable {
  let limit: MonotonicTime
  let answer = Latch<Result<[UInt8], MeshError>>()

  init(limit: MonotonicTime) { self.limit = limit }
}

/// A client's I/O thread: moves messages between sockets, machine and tickets. Used on the loop's thread only.
final class ClientCore: @unchecked Sendable {
  private typealias Machine = ClientMachine<RankingSnapshot>

  private unowned let loop: EventLoop
  private let gateways: [Endpoint]
  private let security: LinkSecurity
  private let resolver: any AddressResolver
  private let configuration: MeshClient.Configuration
  private let logger: Logger
  private let status: ClientStatus
  private var machine: Machine
  private var codec: LinkCodec
  private var events: [Machine.Event] = []
  private var actions: [Machine.Action] = []
  private var isHandling = false
  private var sockets: LinkSockets?
  private var timer: MachineTimer?
  private var names: [LinkID: String] = [:]
  private var tickets: [RequestID: RequestTicket] = [:]
  private var questions: [RequestID: StatusQuestion] = [:]
  /// Questions for gateways whose address is not known yet.
  private var early: [(id: RequestID, endpoint: Endpoint)] = []
  private var quiet = QuietLog()

  init(
    gateways: [Endpoint], security: LinkSecurity, resolver: any AddressResolver,
    configuration: MeshClient.Configuration, loop: EventLoop, status: ClientStatus, logger: Logger
  ) {
    self.loop = loop
    self.gateways = gateways
    self.security = security
    self.resolver = resolver
    self.configuration = configuration
    self.status = status
    self.logger = logger
    var random = SystemRandomNumberGenerator()
    machine = Machine(
      ClientConfiguration(
        connectLimit: MonotonicDuration(configuration.connectDeadline), attempts: UInt16(configuration.attempts),
        peerID: WireText(configuration.name), bootID: BootID(high: random.next(), low: random.next()),
        build: WireText(configuration.build)))
    codec = LinkCodec(buffers: loop.buffers, messages: loop.messages)
  }

  /// Opens the sockets. On the loop's thread.
  func open() throws(MeshError) {
    timer = MachineTimer(loop: loop) { [weak self] in self?.handle(.timer) }
    sockets = try LinkSockets(
      to: gateways, loop: loop, security: security, resolver: resolver,
      resolveInterval: configuration.resolveInterval, timings: configuration.timings
    ) { [weak self] in self?.take($0) }
  }

  /// Closes the sockets; what is still under way fails.
  func close() {
    sockets?.closeAll(linger: .milliseconds(200))
    timer?.disarm()
    for ticket in tickets.values { ticket.giveUp(.closed, "the client was closed") }
    tickets.removeAll()
    for question in questions.values {
      question.answer.open(.failure(MeshError(.closed, "the client was closed")))
    }
    questions.removeAll()
    status.sessions.store(0, ordering: .relaxed)
  }

  // MARK: What happens

  func take(_ command: ClientCommand) {
    switch command {
    case .rank(let call, let ticket):
      tickets[call.id] = ticket
      handle(.rank(call))
    case .cancel(let id): handle(.cancel(id))
    case .status(let id, let endpoint, let question):
      questions[id] = question
      early.append((id, endpoint))
      askEarly()
    case .close(let cancelling): handle(.close(cancelling: cancelling))
    }
  }

  /// Asks the gateways whose address has become known.
  private func askEarly() {
    early.removeAll { question in
      guard let waiting = questions[question.id] else { return true }
      guard let link = sockets?.link(of: question.endpoint) else { return false }
      handle(.status(question.id, link, limit: waiting.limit.since(.now)))
      return true
    }
  }

  /// Forgets a question that its caller has given up.
  func forget(_ id: RequestID) {
    questions[id] = nil
    early.removeAll { $0.id == id }
  }

  private func take(_ event: LinkEvent) {
    switch event {
    case .appeared(let link, let name):
      names[link] = name
      handle(.added(link, name: name))
      askEarly()
    case .disappeared(let link): handle(.removed(link))
    case .connected(let link): handle(.connected(link))
    case .disconnected(let link, let reason): handle(.disconnected(link, reason: reason))
    case .message(let link, let message): receive(link, message)
    case .offence(let link, let offence):
      handle(.refused(link, nil, .closesSession, detail: "the gateway sent \(offence.reason)"))
    case .failed(let endpoint, let error): quiet.cannotDial(endpoint, error, to: logger)
    }
  }

  private func receive(_ link: LinkID, _ message: Multipart) {
    var header: MessageHeader?
    do throws(FrameError) {
      header = try MessageHeader(parsing: message[0])
      let decoded = try codec.decode(message)
      let body: PeerMessage<RankingSnapshot>.Body
      switch decoded.body {
      case .partial(.ranking(let ranking)): body = .chunk(ranking)
      case .end(var end):
        let ranking = end.ranking
        end.ranking = nil
        body = .end(end, ranking: ranking)
      default: body = .control(decoded.body)
      }
      handle(.received(link, PeerMessage(decoded.header, body)))
    } catch {
      handle(.refused(link, header, error.consequence, detail: "\(error)"))
    }
  }

  // MARK: The machine

  private func handle(_ event: Machine.Event) {
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    var next = 0
    while next < events.count {
      machine.handle(events[next], now: .now, into: &actions)
      next += 1
      for index in 0..<actions.count { perform(actions[index]) }
      actions.removeAll(keepingCapacity: true)
    }
    events.removeAll(keepingCapacity: true)
    isHandling = false
    status.sessions.store(machine.sessionCount, ordering: .relaxed)
    timer?.arm(at: machine.nextTimer)
  }

  private func perform(_ action: Machine.Action) {
    switch action {
    case .send(let link, let message): send(message, to: link)
    case .dial(let link, let wait): sockets?.dial(link, after: wait)
    case .close(let link):
      sockets?.close(link)
      names[link] = nil
    case .snapshot(let id, let chunk, let isProvisional):
      tickets[id]?.take(chunk, isProvisional: isProvisional)
    case .complete(let id, let outcome): tickets.removeValue(forKey: id)?.finish(outcome)
    case .report(let id, let report):
      questions.removeValue(forKey: id)?.answer.open(.success(report.json.array(of: UInt8.self)))
    case .reportFailed(let id, let failure):
      questions.removeValue(forKey: id)?.answer.open(
        .failure(MeshError(.unreachable, "the gateway did not answer: \(failure)")))
    case .notice(let link, let notice): log(link, notice)
    case .closed: status.closed.open(())
    }
  }

  private func send(_ message: PeerMessage<RankingSnapshot>, to link: LinkID) {
    guard case .control(let body) = message.body else { return }
    if case .rank = body { tickets[message.header.requestID]?.sent(to: names[link] ?? "\(link)") }
    do throws(FrameError) {
      let multipart = try codec.encode(Message(header: message.header, body: body))
      guard sockets?.send(multipart, to: link, lane: message.header.kind.lane) ?? true else {
        return handle(.disconnected(link, reason: "the gateway does not read what it is sent"))
      }
    } catch {
      // `RankingQuery.request` has checked what a caller can get wrong.
      logger.error(
        "a message of ours breaks the protocol", metadata: ["kind": "\(message.header.kind)", "rule": "\(error)"])
      if case .rank = body { handle(.cancel(message.header.requestID)) }
    }
  }

  private func log(_ link: LinkID, _ notice: SessionNotice) {
    let gateway = names[link] ?? "\(link)"
    switch notice {
    case .opened(let session, _):
      logger.debug("session opened", metadata: ["gateway": "\(gateway)", "session": "\(session)"])
    case .draining: logger.debug("the gateway drains", metadata: ["gateway": "\(gateway)"])
    case .needsOperator(let status, let detail):
      guard quiet.allows("\(link) \(status)") else { return }
      logger.error(
        "the gateway will not have us",
        metadata: ["gateway": "\(gateway)", "status": "\(status)", "detail": "\(detail)"])
    case .failed(let failure):
      guard quiet.allows("\(link) \(failure)") else { return }
      logger.info("no session", metadata: ["gateway": "\(gateway)", "reason": "\(failure)"])
    }
  }
}

/// What a client looks like from outside of its I/O thread.
final class ClientStatus: Sendable {
  let sessions = Atomic<Int>(0)
  let closed = Latch<Void>()
}
