internal import GLTP

/// A worker's computation: one thread that takes chunks in the order of their coming, in simulated time.
struct SimulatedCompute: Sendable {
  private struct Run: Sendable {
    let start: RunStart
    var inputs: [StageInput] = []
    /// Chunks that have been computed, or are.
    var begun = 0
    var isCancelled = false
  }

  private struct Current: Sendable {
    let run: RunID
    var steps: ArraySlice<StageStep>
  }

  let process: MeshProcess
  let stage: MeshStage
  private var runs: [RunID: Run] = [:]
  private var queue: [(run: RunID, stream: StreamKind)] = []
  private var current: Current?
  /// When the step at hand is over; `distantFuture` while there is nothing to do.
  private(set) var wakes = MonotonicTime.distantFuture

  init(_ process: MeshProcess, _ stage: @escaping MeshStage) {
    self.process = process
    self.stage = stage
  }

  mutating func start(_ start: RunStart, _ now: MonotonicTime) {
    runs[start.id] = Run(start: start)
    if start.stage == .encoder { enqueue(start.id, .none, now) }
  }

  mutating func deliver(
    _ run: RunID, _ stream: StreamKind, _ chunk: MeshChunk, isFinal: Bool, _ now: MonotonicTime
  ) {
    guard runs[run] != nil else { return }
    runs[run]?.inputs.append(StageInput(stream: stream, chunk: chunk, isFinal: isFinal))
    enqueue(run, stream, now)
  }

  private mutating func enqueue(_ run: RunID, _ stream: StreamKind, _ now: MonotonicTime) {
    queue.append((run, stream))
    if current == nil { wakes = min(wakes, now) }
  }

  /// Gives up a run. A chunk that is being computed is computed to its end.
  ///
  /// - Returns: whether computation has let go of it already.
  mutating func cancel(_ run: RunID) -> Bool {
    guard runs[run] != nil else { return false }
    guard current?.run != run else {
      runs[run]?.isCancelled = true
      return false
    }
    _ = forgetWaiting(run)
    return true
  }

  /// Time in which the process stood still.
  mutating func shift(by duration: MonotonicDuration) {
    if wakes < .distantFuture { wakes += duration }
  }

  /// Computes until time must pass, and says what happened.
  mutating func advance(_ now: MonotonicTime) -> [WorkerEvent<MeshChunk>] {
    guard now >= wakes else { return [] }
    var events: [WorkerEvent<MeshChunk>] = []
    wakes = .distantFuture
    while let run = takePiece(&events) {
      if let wait = proceed(run, &events) {
        wakes = now + wait
        return events
      }
    }
    return events
  }

  /// The run at hand, or the next one.
  private mutating func takePiece(_ events: inout [WorkerEvent<MeshChunk>]) -> RunID? {
    if let current { return current.run }
    while !queue.isEmpty {
      let (id, stream) = queue.removeFirst()
      guard var run = runs[id] else { continue }
      run.begun += 1
      runs[id] = run
      events.append(.computing(id, stream))
      let call = StageCall(start: run.start, inputs: Array(run.inputs.prefix(run.begun)), process: process)
      current = Current(run: id, steps: stage(call)[...])
      return id
    }
    return nil
  }

  /// Takes the steps of the piece at hand. Returns the time to wait before the next one, nil when the piece is done.
  private mutating func proceed(_ id: RunID, _ events: inout [WorkerEvent<MeshChunk>]) -> MonotonicDuration? {
    while let step = current?.steps.popFirst() {
      if runs[id]?.isCancelled == true { break }
      switch step {
      case .work(let duration): return duration
      case .output(let stream, let chunk, let flags): events.append(.output(id, stream, chunk, flags))
      case .finish(let ranking):
        events.append(.finished(id, ranking: ranking, timing: RunTiming(queue: 0, decode: 0, compute: 1, encode: 0)))
        return forget(id)
      case .fail(let failure):
        events.append(.failed(id, failure))
        return forget(id)
      case .hang: return MonotonicDuration(microseconds: .max)
      }
    }
    current = nil
    if runs[id]?.isCancelled == true {
      events.append(.stopped(id))
      return forget(id)
    }
    events.append(.idle(id))
    return nil
  }

  private mutating func forget(_ id: RunID) -> MonotonicDuration? {
    current = nil
    return forgetWaiting(id)
  }

  private mutating func forgetWaiting(_ id: RunID) -> MonotonicDuration? {
    runs[id] = nil
    queue.removeAll { $0.run == id }
    return nil
  }

  /// Whether nothing of any run is left.
  var isIdle: Bool { runs.isEmpty && queue.isEmpty }
}
