import Foundation
import Synchronization
import Tensors

/// Where messages go: results to standard output, everything else to standard error.
enum Terminal {
  static let isInteractive = isatty(STDERR_FILENO) == 1

  /// A line for the reader, not for scripts.
  static func note(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

  /// JSON on one line of standard output.
  static func printJSONLine(_ value: some Encodable) throws {
    print(String(decoding: try jsonLine(value), as: UTF8.self))
    fflush(nil)
  }

  /// A file of JSON, a line for each value.
  static func writeJSONLines(_ values: [some Encodable], to path: String) throws {
    try AtomicFile.write(bytes: values.flatMap { try jsonLine($0) + Data("\n".utf8) }, to: path)
  }

  private static func jsonLine(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }

  /// Pretty JSON on standard output, keys sorted, floats that round-trip.
  static func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
  }
}

/// Draws progress, a line for each stage: redrawn in place on a terminal, written anew now and then elsewhere.
final class ProgressBar {
  private var latest: TrainingProgress?
  private var drawnAt = Date()
  private var stageStarted = Date()
  private var announcedAt: Date?
  /// Steps that were done before `stageStarted`: a resumed stage must not count them as fast ones.
  private var doneBefore = 0

  /// Starts the clock of the next stage. A stage that is not announced starts with its first step.
  func begin() {
    close()
    announcedAt = Date()
  }

  func update(_ progress: TrainingProgress) {
    let now = Date()
    if progress.stage != latest?.stage {
      close()
      (stageStarted, drawnAt) = (announcedAt ?? now, now)
      announcedAt = nil
      doneBefore = (progress.epoch - 1) * progress.steps
    }
    latest = progress
    if now.timeIntervalSince(drawnAt) >= (Terminal.isInteractive ? 0.1 : 10) { draw(progress, now) }
  }

  /// Ends the stage's line, its last state shown.
  func close() {
    guard let progress = latest else { return }
    draw(progress, Date(), isLast: true)
    if Terminal.isInteractive { Terminal.note("") }
    latest = nil
  }

  /// Steps of the stage, all its epochs counted.
  private func done(_ progress: TrainingProgress) -> Int { (progress.epoch - 1) * progress.steps + progress.step }

  private func draw(_ progress: TrainingProgress, _ now: Date, isLast: Bool = false) {
    drawnAt = now
    let line = describe(progress, elapsed: now.timeIntervalSince(stageStarted), isLast: isLast)
    if Terminal.isInteractive {
      FileHandle.standardError.write(Data("\r\u{1B}[K\(line)".utf8))
    } else {
      Terminal.note(line)
    }
  }

  private func describe(_ progress: TrainingProgress, elapsed: TimeInterval, isLast: Bool) -> String {
    let rate = Double(done(progress) - doneBefore) / max(elapsed, 1e-3)
    var parts = ["  \(progress.stage)"]
    if progress.epochs > 1 { parts.append("epoch \(progress.epoch)/\(progress.epochs)") }
    if Terminal.isInteractive { parts.append(bar(progress)) }
    parts.append("\(progress.step)/\(progress.steps)")
    if elapsed > 0.1 { parts.append(String(format: rate < 10 ? "%.1f/s" : "%.0f/s", rate)) }
    if progress.loss.isFinite { parts.append(String(format: "loss %.4f", progress.loss)) }
    if let validation = progress.validation { parts.append(String(format: "validation %.4f", validation)) }
    if isLast {
      parts.append("in \(duration(elapsed))")
    } else if elapsed > 0.1 {
      // A stage of several epochs may stop early.
      let left = Double(progress.epochs * progress.steps - done(progress)) / rate
      parts.append("\(progress.epochs > 1 ? "at most " : "")\(duration(left)) left")
    }
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
