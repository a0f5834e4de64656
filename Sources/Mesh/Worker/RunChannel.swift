import GLTP
import Synchronization

/// A chunk of a run's input as it came.
struct RunInput {
  var message: Multipart
  var stream: StreamKind
  var sequence: UInt32
}

/// What the I/O thread and a compute thread share of a run: input, room for output, and whether it is still wanted.
///
/// The I/O thread makes and fills it; one compute thread at a time reads it. Once computation has reported the run's end
/// and touches it no more, it is used for another run.
final class RunChannel: @unchecked Sendable {
  /// The longest that a compute thread sleeps without looking whether its run is still wanted.
  private static let longestWait = Duration.milliseconds(500)
  /// Chunks of a stream that may be made beyond what the gateway's window let out.
  private static let window = StreamSender.defaultWindow

  /// Set before the run is given to a compute thread.
  private(set) var start: RunStart
  private let stopped = Atomic<Bool>(false)
  private let condition = Condition()
  // Under the condition's lock:
  private var inputs: [RunInput?] = []
  private var firstInput = 0
  private var openStreams = 0
  private var unreleasedInstructions: UInt32 = 0
  private var unreleasedCandidates: UInt32 = 0

  init(_ start: RunStart) {
    self.start = start
    openStreams = RunChannel.inputStreams(of: start.stage)
    inputs.reserveCapacity(16)
  }

  /// Makes the channel that of another run.
  func begin(_ start: RunStart) {
    condition.locked {
      self.start = start
      openStreams = RunChannel.inputStreams(of: start.stage)
      inputs.removeAll(keepingCapacity: true)
      firstInput = 0
      unreleasedInstructions = 0
      unreleasedCandidates = 0
      stopped.store(false, ordering: .releasing)
    }
  }

  /// Lets go of what the run has not received. The run is stopped, or over.
  func clear() {
    condition.locked {
      inputs.removeAll(keepingCapacity: true)
      firstInput = 0
    }
  }

  private static func inputStreams(of stage: Stage) -> Int {
    switch stage {
    case .none, .encoder: 0
    case .aligner: 1
    case .ranker: 2
    }
  }

  // MARK: For the I/O thread

  func deliver(_ input: RunInput, isFinal: Bool) {
    condition.locked {
      inputs.append(input)
      if isFinal { openStreams -= 1 }
      condition.signal()
    }
  }

  /// The window has let out so many chunks.
  func release(_ stream: StreamKind, chunks: UInt32) {
    condition.locked {
      if stream == .candidates {
        unreleasedCandidates -= min(chunks, unreleasedCandidates)
      } else {
        unreleasedInstructions -= min(chunks, unreleasedInstructions)
      }
      condition.signal()
    }
  }

  /// Nobody wants the run any more.
  func stop() {
    condition.locked {
      stopped.store(true, ordering: .releasing)
      condition.signal()
    }
  }

  // MARK: For the compute thread

  /// Whether nobody wants the run any more.
  var isStopped: Bool { stopped.load(ordering: .acquiring) }

  /// What there is to receive.
  enum Arrival {
    case input(RunInput)
    /// Every stream is FINAL, and all of it has been received.
    case end
    /// Nothing yet.
    case none
    case stopped
  }

  /// - Parameter waiting: whether to wait for more.
  func receive(waiting: Bool) -> Arrival {
    condition.locked {
      while true {
        if isStopped { return .stopped }
        if firstInput < inputs.count, let input = inputs[firstInput] {
          inputs[firstInput] = nil
          firstInput += 1
          if firstInput == inputs.count {
            inputs.removeAll(keepingCapacity: true)
            firstInput = 0
          }
          return .input(input)
        }
        if openStreams <= 0 { return .end }
        guard waiting, !isOverdue else { return waiting ? .stopped : .none }
        condition.wait(until: .now.advanced(by: RunChannel.longestWait))
      }
    }
  }

  /// Takes room for a chunk of a stream.
  ///
  /// - Parameter waiting: whether to wait where there is none.
  /// - Returns: nil where the run is stopped, false where there is no room.
  func takeRoom(_ stream: StreamKind, waiting: Bool) -> Bool? {
    condition.locked {
      while true {
        if isStopped { return nil }
        let unreleased = stream == .candidates ? unreleasedCandidates : unreleasedInstructions
        if unreleased < RunChannel.window {
          if stream == .candidates { unreleasedCandidates += 1 } else { unreleasedInstructions += 1 }
          return true
        }
        guard waiting, !isOverdue else { return waiting ? nil : false }
        condition.wait(until: .now.advanced(by: RunChannel.longestWait))
      }
    }
  }

  /// Whether the run's deadline has passed. The I/O thread says so by itself; this is for the case that it does not.
  var isOverdue: Bool { start.deadline < .distantFuture && MonotonicTime.now > start.deadline + .seconds(1) }
}
