import Foundation
import TestSupport
import Testing

/// The tool, built beside the tests and run as a process of its own.
struct Tool {
  struct Output {
    let status: Int32
    let wasKilled: Bool
    let out: String
    let error: String

    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(out.utf8)) as? [String: Any]) ?? [:] }
    var jsonArray: [[String: Any]] {
      (try? JSONSerialization.jsonObject(with: Data(out.utf8)) as? [[String: Any]]) ?? []
    }
  }

  /// `glta`, in the folder of the running test bundle.
  static let path: String = {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/glta"
    return FileManager.default.fileExists(atPath: beside) ? beside : TestPaths.root + "/.build/release/glta"
  }()

  /// Runs the tool to its end, at most two minutes.
  ///
  /// - Parameters:
  ///   - fileLimit: `ulimit -f` in kibibytes: a disk that is full from there on.
  ///   - watch: called every millisecond while it runs; what it returns is sent as a signal, once.
  static func run(
    _ arguments: [String], fileLimit: Int? = nil, watch: (() -> Int32?)? = nil
  ) throws -> Output {
    let folder = try TemporaryFolder()
    let process = Process()
    if let fileLimit {
      process.executableURL = URL(fileURLWithPath: "/bin/bash")
      process.arguments = ["-c", "ulimit -f \(fileLimit); exec \"$0\" \"$@\"", path] + arguments
    } else {
      process.executableURL = URL(fileURLWithPath: path)
      process.arguments = arguments
    }
    // Files, not pipes: nobody has to read along.
    let (out, error) = (try folder.write("out", ""), try folder.write("error", ""))
    process.standardOutput = FileHandle(forWritingAtPath: out)
    process.standardError = FileHandle(forWritingAtPath: error)
    try process.run()
    let deadline = Date().addingTimeInterval(120)
    var watch = watch
    while process.isRunning {
      if let signal = watch?() {
        kill(process.processIdentifier, signal)
        watch = nil
      }
      if Date() > deadline {
        kill(process.processIdentifier, SIGKILL)
        Issue.record("glta \(arguments.joined(separator: " ")) ran for more than two minutes")
      }
      usleep(1_000)
    }
    return Output(
      status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
      out: try String(contentsOfFile: out, encoding: .utf8), error: try String(contentsOfFile: error, encoding: .utf8))
  }

  /// Runs the tool and expects it to succeed.
  @discardableResult
  static func succeed(_ arguments: [String]) throws -> Output {
    let output = try run(arguments)
    try #require(output.status == 0 && !output.wasKilled, "glta \(arguments.joined(separator: " ")): \(output.error)")
    return output
  }

  /// Runs the tool and expects it to refuse with a message that has these words in it.
  static func refuse(_ arguments: [String], saying words: [String]) throws {
    let output = try run(arguments)
    #expect(output.status != 0 && !output.wasKilled, "glta \(arguments.joined(separator: " ")) was taken")
    for word in words { #expect(output.error.contains(word), "expected \(word) in: \(output.error)") }
  }
}

/// A small world: synthetic data, the tiny language model, and a bundle trained on them once for all tests.
final class SmallWorld: Sendable {
  private static let shared = Result { try SmallWorld() }

  static func get() throws -> SmallWorld { try shared.get() }

  let folder: TemporaryFolder
  static let model = TestPaths.root + "/Tests/Golden/bert-tiny"

  private init() throws {
    folder = try TemporaryFolder()
    (data, bundle) = (folder.path + "/data", folder.path + "/bundle")
    try Tool.succeed(["data", "synthetic", "--out", data, "--users", "60", "--items", "40"])
    hash = try SmallWorld.train(data: data, out: bundle)
  }

  let data: String
  let bundle: String
  /// Of the bundle's content.
  let hash: String

  /// Trains and returns the content hash.
  static func train(data: String, out: String, _ more: [String] = []) throws -> String {
    let output = try Tool.succeed(trainArguments(data: data, out: out) + ["--json"] + more)
    return try #require(output.json["contentHash"] as? String)
  }

  static func trainArguments(data: String, out: String) -> [String] {
    ["train", "--data", data, "--language-model", model, "--out", out]
  }
}
