import GLTP
import Logging
import Synchronization

/// What a worker looks like from outside of its I/O thread.
final class WorkerStatus: Sendable {
  let isReady = Atomic<Bool>(false)
  let sessions = Atomic<Int>(0)
  let exit = Latch<WorkerExit>()
}

/// A worker's I/O thread: moves messages between sockets, machine and compute threads. Used on the loop's thread only.
final class WorkerCore: @unchecked Sendable {
  private typealias Machine = WorkerMachine<MessageHandle>

  private struct Run {
    let id: RunID
    let channel: RunChannel
  }

  private unowned let loop: EventLoop
  private let configuration: MeshWorkerConfiguration
  private let stage: Stage
  private let logger: Logger
  private let status: WorkerStatus
  private let queue: RunQueue
  private var machine: Machine
  private var codec: LinkCodec
  private var events: [Machine.Event] = []
  private var actions: [Machine.Action] = []
  private var isHandling = false
  private var sockets: LinkSockets?
  private var timer: MachineTimer?
  private var runs: [Run] = []
  /// Runs to be given to compute threads at the end of the loop's turn: with what came right behind their REQUEST, so
  /// that a thread does not wake to wait for it.
  private var started: [RunChannel] = []
  private var glance: LoopTimer?
  private var spareChannels: [RunChannel] = []
  /// Rankings that the machine holds or has held: it may send one twice, so the transport cannot take them back.
  private var rankings: [Multipart] = []
  private var latencies = StageLatencies()
  private var quiet = QuietLog()

  init(
    _ machine: WorkerConfiguration, configuration: MeshWorkerConfiguration, loop: EventLoop, queue: RunQueue,
    status: WorkerStatus, logger: Logger
  ) {
    self.loop = loop
    self.configuration = configuration
    self.queue = queue
    self.status = status
    self.logger = logger
    stage = machine.role.stage
    self.machine = Machine(machine)
    codec = LinkCodec(buffers: loop.buffers, messages: loop.messages)
    events.reserveCapacity(64)
    actions.reserveCapacity(64)
  }

  /// Opens the sockets. On the loop's thread.
  ///
  /// - Throws: what `LinkSockets` throws.
  func open() throws(MeshError) {
    timer = MachineTimer(loop: loop) { [weak self] in self?.handle(.timer) }
    glance = loop.makeTimer { [weak self] in self?.keepGlancing() }
    loop.atEndOfTurn { [weak self] in self?.startRuns() }
    sockets = try LinkSockets(
      to: configuration.gateways, loop: loop, security: configuration.security, resolver: configuration.resolver,
      resolveInterval: configuration.resolveInterval, timings: configuration.timings
    ) { [weak self] in self?.take($0) }
  }

  // MARK: What happens

  private func take(_ event: LinkEvent) {
    switch event {
    case .appeared(let link, let name): handle(.added(link, name: name))
    case .disappeared(let link): handle(.removed(link))
    case .connected(let link): handle(.connected(link))
    case .disconnected(let link, let reason): handle(.disconnected(link, reason: reason))
    case .message(let link, let message): receive(link, message)
    case .offence(let link, let offence):
      handle(.refused(link, nil, .closesSession, detail: "the gateway sent \(offence.reason)"))
    case .failed(let endpoint, let error): quiet.cannotDial(endpoint, error, to: logger)
    }
  }

  /// INPUTs go to compute threads undecoded; all else is decoded here.
  private func receive(_ link: LinkID, _ message: Multipart) {
    var header: MessageHeader?
    do throws(FrameError) {
      let parsed = try MessageHeader(parsing: message[0])
      header = parsed
      guard parsed.kind == .input else {
        let decoded = try codec.decode(message)
        return handle(.received(link, PeerMessage(decoded.header, .control(decoded.body))))
      }
      handle(.received(link, PeerMessage(parsed, .chunk(MessageHandle(message)))))
    } catch {
      handle(.refused(link, header, error.consequence, detail: "\(error)"))
    }
  }

  /// What a compute thread says.
  func take(_ report: ComputeReport) {
    switch report {
    case .computing(let id, let stream): handle(.computing(id, stream))
    case .idle(let id): handle(.idle(id))
    case .output(let id, let stream, let chunk, let flags):
      if stream == .ranking { rankings.append(chunk.multipart) }
      handle(.output(id, stream, chunk, flags))
    case .finished(let id, let ranking, let timing):
      forget(id)
      if let ranking { rankings.append(ranking.multipart) }
      handle(.finished(id, ranking: ranking, timing: timing))
    case .failed(let id, let failure):
      forget(id)
      handle(.failed(id, failure))
    case .stopped(let id):
      forget(id)
      handle(.stopped(id))
    }
  }

  /// Leaves within `limit`, or at once where it is zero.
  func drain(_ limit: Duration) {
    handle(.drain(limit: MonotonicDuration(limit)))
    if limit <= .zero { handle(.timer) }
  }

  /// Drops all sockets without a word, as a process does that is killed.
  func vanish() {
    sockets?.closeAll(linger: .zero)
    stopRuns()
    timer?.disarm()
    glance?.disarm()
  }

  /// Stops what is computed, and closes the sockets.
  func close() {
    stopRuns()
    sockets?.closeAll(linger: .milliseconds(200))
    timer?.disarm()
    glance?.disarm()
    status.isReady.store(false, ordering: .relaxed)
    status.sessions.store(0, ordering: .relaxed)
  }

  private func stopRuns() {
    for run in runs { run.channel.stop() }
  }

  // MARK: The machine

  private func handle(_ event: Machine.Event) {
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    recycleRankings()
    var next = 0
    while next < events.count {
      machine.handle(events[next], now: .now, into: &actions)
      next += 1
      for index in 0..<actions.count { perform(actions[index]) }
      actions.removeAll(keepingCapacity: true)
    }
    events.removeAll(keepingCapacity: true)
    isHandling = false
    status.isReady.store(machine.isReady, ordering: .relaxed)
    status.sessions.store(machine.sessionCount, ordering: .relaxed)
    timer?.arm(at: machine.nextTimer)
  }

  private func recycleRankings() {
    var index = 0
    while index < rankings.count {
      if isKnownUniquelyReferenced(&rankings[index]) {
        loop.messages.recycle(rankings[index])
        rankings.swapAt(index, rankings.count - 1)
        rankings.removeLast()
      } else {
        index += 1
      }
    }
  }

  private func perform(_ action: Machine.Action) {
    switch action {
    case .send(let link, let message): send(message, to: link)
    case .dial(let link, let wait): sockets?.dial(link, after: wait)
    case .close(let link): sockets?.close(link)
    case .start(let start): begin(start)
    case .deliver(let id, let stream, let chunk, let sequence, let isFinal):
      let input = RunInput(message: chunk.multipart, stream: stream, sequence: sequence)
      channel(id)?.deliver(input, isFinal: isFinal)
    case .release(let id, let stream, let chunks): channel(id)?.release(stream, chunks: chunks)
    case .cancel(let id):
      guard let channel = channel(id) else { return }
      channel.stop()
      startRuns()
      if queue.remove(channel) {
        forget(id)
        handle(.stopped(id))
      }
    case .report(let link, let header): report(to: link, header)
    case .notice(let link, let notice): log(link, notice)
    case .exit(let exit): leave(exit)
    }
  }

  private func channel(_ id: RunID) -> RunChannel? { runs.first { $0.id == id }?.channel }

  private func begin(_ start: RunStart) {
    let channel: RunChannel
    if let spare = spareChannels.popLast() {
      channel = spare
      channel.begin(start)
    } else {
      channel = RunChannel(start)
    }
    runs.append(Run(id: start.id, channel: channel))
    started.append(channel)
    keepGlancing()
  }

  private func startRuns() {
    guard !started.isEmpty else { return }
    queue.add(started)
    started.removeAll(keepingCapacity: true)
  }

  /// How late the machine may hear that computation has begun something, or waits.
  private static let glanceInterval = Duration.milliseconds(20)

  /// What compute threads say does not wake the loop unless something is to be sent; while they have runs, it looks.
  private func keepGlancing() {
    guard !runs.isEmpty, let glance, glance.deadline == nil else { return }
    glance.arm(after: WorkerCore.glanceInterval)
  }

  private func forget(_ id: RunID) {
    guard let index = runs.firstIndex(where: { $0.id == id }) else { return }
    runs[index].channel.clear()
    spareChannels.append(runs[index].channel)
    runs.swapAt(index, runs.count - 1)
    runs.removeLast()
  }

  // MARK: Sending

  private func send(_ message: PeerMessage<MessageHandle>, to link: LinkID) {
    let header = message.header
    do throws(FrameError) {
      let multipart: Multipart
      switch message.body {
      case .control(let body): multipart = try codec.encode(Message(header: header, body: body))
      case .chunk(let chunk) where header.stream == .ranking:
        // The machine may send it again, in an END.
        multipart = try codec.sharing(chunk.multipart, header: header)
      case .chunk(let chunk):
        try chunk.multipart.rewriteHead(header)
        multipart = chunk.multipart
      case .end(let end, let ranking):
        if header.status == .ok, let timing = end[timing: stage] { latencies.record(timing, at: .now) }
        multipart =
          if let ranking { try codec.end(header, end, ranking: ranking.multipart) } else {
            try codec.encode(Message(header: header, body: .end(end)))
          }
      }
      guard sockets?.send(multipart, to: link, lane: header.kind.lane) ?? true else {
        return handle(.disconnected(link, reason: "the gateway does not read what it is sent"))
      }
    } catch {
      // Ours to make right: what the stage made has been encoded before.
      logger.error("a message of ours breaks the protocol", metadata: ["kind": "\(header.kind)", "rule": "\(error)"])
    }
  }

  // MARK: Reports

  private func report(to link: LinkID, _ header: MessageHeader) {
    let json = reportText()
    let tensor = loop.buffers.vector(.report, .u8, json)
    var header = header
    header.kind = .report
    send(PeerMessage(header, .control(.report(StatusReport(json: tensor)))), to: link)
  }

  private func reportText() -> [UInt8] {
    let counters = machine.counters
    let now = MonotonicTime.now
    var json = JSONWriter()
    json.object { json in
      json.value("role", stage.name)
      json.value("peer", configuration.name)
      json.value("build", configuration.build)
      json.array("bundles") { json in
        for bundle in machine.configuration.bundles { json.value(nil, bundle.description) }
      }
      json.value("slots", configuration.slots)
      json.value("running", counters.running)
      json.value("queued", counters.queued)
      json.value("credit_total", counters.creditTotal)
      json.value("runs", counters.runs)
      json.value("failed", counters.failed)
      json.value("cancelled", counters.cancelled)
      json.value("late", counters.late)
      json.value("bytes_in", sockets?.bytesIn ?? 0)
      json.value("bytes_out", sockets?.bytesOut ?? 0)
      json.value("resident_bytes", ResidentMemory.bytes)
      json.object("stages") { latencies.write(stage.name, to: &$0, at: now) }
    }
    return json.bytes
  }

  private func log(_ link: LinkID, _ notice: SessionNotice) {
    switch notice {
    case .opened(let session, let peer):
      logger.info("session opened", metadata: ["gateway": "\(peer)", "session": "\(session)", "link": "\(link)"])
    case .draining: logger.info("the gateway drains", metadata: ["link": "\(link)"])
    case .needsOperator(let status, let detail):
      guard quiet.allows("\(link) \(status)") else { return }
      logger.error(
        "the gateway will not have us", metadata: ["link": "\(link)", "status": "\(status)", "detail": "\(detail)"])
    case .failed(let failure):
      guard quiet.allows("\(link) \(failure)") else { return }
      logger.warning("no session", metadata: ["link": "\(link)", "reason": "\(failure)"])
    }
  }

  private func leave(_ exit: WorkerExit) {
    switch exit {
    case .drained: logger.info("drained")
    case .drainLimit(let unfinished): logger.warning("left before all was done", metadata: ["runs": "\(unfinished)"])
    case .stuck(let request):
      logger.critical("computation is stuck: restart the process", metadata: ["request": "\(request)"])
    }
    status.exit.open(exit)
  }
}

extension Multipart {
  /// Writes `header` over the head of a chunk that nobody else holds; TLVs and tensors stay.
  func rewriteHead(_ header: MessageHeader) throws(FrameError) {
    try header.rewrite(UnsafeMutableRawBufferPointer(mutating: self[0]))
  }
}
