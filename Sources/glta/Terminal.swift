import Foundation
import Synchronization
import Tensors

/// Where messages go: results to standard output, everything else to standard error.
enum Terminal {
  static let isInteractive = isatty(STDERR_FILENO) == 1

  /// A line for the reader, not for scripts.
  static func note(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

  /// Pretty JSON on standard output, keys sorted, floats that round-trip.
  static func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }
}

/// Draws progress: one line that redraws itself on a terminal, a plain line now and then elsewhere.
final class ProgressBar {
  private var stage = ""
  private var epoch = 0
  private var started = Date()
  /// The step at which `started` was taken: steps before it took time that nobody saw.
  private var firstStep = 0
  private var drawn = Date.distantPast
  private var isOpen = false
  private let isQuiet: Bool

  init(isQuiet: Bool = false) { self.isQuiet = isQuiet }

  func update(_ progress: TrainingProgress) {
    if progress.stage != stage || progress.epoch != epoch {
      close()
      // The first line comes when a rate can be told.
      (stage, epoch, started, drawn) = (progress.stage, progress.epoch, Date(), Date())
      firstStep = progress.step < progress.steps ? progress.step : 0
    }
    guard !isQuiet else { return }
    let now = Date()
    let isLast = progress.step == progress.steps
    let interval = Terminal.isInteractive ? 0.1 : 10
    guard isLast || now.timeIntervalSince(drawn) >= interval else { return }
    drawn = now
    let line = describe(progress, elapsed: now.timeIntervalSince(started))
    if Terminal.isInteractive {
      FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
      isOpen = true
      if isLast { close() }
    } else {
      Terminal.note(line)
    }
  }

  /// Ends the line that is being redrawn.
  func close() {
    if isOpen { Terminal.note("") }
    isOpen = false
  }

  private func describe(_ progress: TrainingProgress, elapsed: TimeInterval) -> String {
    let rate = Double(progress.step - firstStep) / max(elapsed, 1e-3)
    let remaining = Double(progress.steps - progress.step) / max(rate, 1e-9)
    var parts = ["  \(progress.stage)"]
    if progress.epochs > 1 { parts.append("epoch \(progress.epoch)/\(progress.epochs)") }
    if Terminal.isInteractive { parts.append(bar(progress)) }
    parts.append("\(progress.step)/\(progress.steps)")
    parts.append(String(format: rate < 10 ? "%.1f/s" : "%.0f/s", rate))
    if progress.loss.isFinite { parts.append(String(format: "loss %.4f", progress.loss)) }
    if let validation = progress.validation { parts.append(String(format: "validation NDCG@10 %.4f", validation)) }
    parts.append(progress.step < progress.steps ? "\(duration(remaining)) left" : "in \(duration(elapsed))")
    return parts.joined(separator: "  ")
  }

  private func bar(_ progress: TrainingProgress) -> String {
    let width = 24
    let full = width * progress.step / max(1, progress.steps)
    return "[" + String(repeating: "=", count: full) + String(repeating: " ", count: width - full) + "]"
  }

  private func duration(_ seconds: TimeInterval) -> String {
    seconds < 60 ? String(format: "%.1f s", seconds) : "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
  }
}

/// Ctrl-C and SIGTERM: the first asks the work to stop after its next checkpoint, the second ends the program.
enum Interrupt {
  private static let isRequested = Atomic<Bool>(false)

  static var wasRequested: Bool { isRequested.load(ordering: .relaxed) }

  static func install() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        signal(number, SIG_DFL)
        Interrupt.isRequested.store(true, ordering: .relaxed)
        let message: StaticString = "\nstopping after the next checkpoint; once more to stop at once\n"
        _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
      }
    }
  }
}
