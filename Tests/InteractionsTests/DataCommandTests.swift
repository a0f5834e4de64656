import Foundation
import TestSupport
import Testing

/// `glta data` as people call it. Runs the tool that the package builds beside its tests.
struct DataCommandTests {
  private static let tool: String = {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/glta"
    return FileManager.default.fileExists(atPath: beside) ? beside : TestPaths.root + "/.build/release/glta"
  }()

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// - Parameter fileLimit: `ulimit -f` in kibibytes: a disk that is full from there on.
  private func glta(
    _ arguments: String..., fileLimit: Int? = nil
  ) throws -> (status: Int32, out: String, error: String) { try glta(arguments, fileLimit: fileLimit) }

  private func glta(
    _ arguments: [String], fileLimit: Int? = nil
  ) throws -> (status: Int32, out: String, error: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    let limit = fileLimit.map { "trap '' XFSZ; ulimit -f \($0); " } ?? ""
    process.arguments = ["-c", limit + "exec \"$0\" data \"$@\"", Self.tool] + arguments
    let (out, error) = (try folder.write("out", ""), try folder.write("error", ""))
    process.standardOutput = FileHandle(forWritingAtPath: out)
    process.standardError = FileHandle(forWritingAtPath: error)
    try process.run()
    process.waitUntilExit()
    return (
      process.terminationStatus, try String(contentsOfFile: out, encoding: .utf8),
      try String(contentsOfFile: error, encoding: .utf8)
    )
  }

  private func numbers(_ json: String) -> [String: Int] {
    let object = (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any] ?? [:]
    return object.compactMapValues { $0 as? Int }
  }

  @Test func importAndSyntheticPrintNumbersForScripts() throws {
    let source = try folder.write("log.csv", "user,item\na,x\nb,x\nb,y\n")
    let imported = try glta("import", source, "--out", folder.path + "/set", "--json")
    #expect(numbers(imported.out) == ["users": 2, "items": 2, "interactions": 3])
    let out = folder.path + "/synthetic"
    let made = try glta("synthetic", "--out", out, "--users", "20", "--items", "16", "--json")
    let described = try glta("describe", out, "--json")
    #expect(numbers(made.out).isEmpty == false)
    for (name, value) in numbers(made.out) { #expect(numbers(described.out)[name] == value) }
  }

  @Test func syntheticGraphsAreReadAgain() throws {
    let out = folder.path + "/graph"
    let sizes = ["--users", "50", "--items", "40", "--interactions", "300", "--clusters", "4"]
    let made = try glta(["synthetic-graph", "--out", out, "--json"] + sizes)
    #expect(numbers(made.out) == ["users": 50, "items": 40, "interactions": 300])
    #expect(numbers(try glta("describe", out, "--json").out)["interactions"] == 300)
    let refused = try glta("synthetic-graph", "--out", out, "--users", "50", "--interactions", "49")
    #expect(refused.status != 0 && refused.error.contains("expected one a user at the least"))
  }

  @Test func columnsAreRefusedWhereTheFormatHasNone() throws {
    try folder.write("ml/ratings.csv", "userId,movieId,rating,timestamp\n1,2,3,4\n")
    let guessed = try glta("describe", folder.path + "/ml", "--user-column", "movieId", "--items-file", "x")
    #expect(guessed.status != 0 && guessed.error.contains("--user-column, --items-file is for csv alone"))
    #expect(guessed.error.contains("movielens") && guessed.error.contains("--format csv"))
    let named = try glta("describe", folder.path + "/ml", "--user-column", "movieId", "--format", "csv")
    #expect(named.status == 0)
  }

  @Test func aTimeThatIsNoneIsNoted() throws {
    let source = try folder.write("log.csv", "user,item,date\na,x,5\nb,x,2014-07-05\n")
    let output = try glta("describe", source, "--json")
    #expect(output.status == 0 && output.error.contains("note: ") && output.error.contains("line 3 has \"2014-07-05\""))
    #expect(numbers(output.out)["timestamps"] == 0)
  }

  @Test func theSourceIsNotWrittenOver() throws {
    #expect(try glta("synthetic", "--out", folder.path + "/set", "--users", "20", "--items", "16").status == 0)
    let output = try glta("import", folder.path + "/set", "--out", folder.path + "/set/", "--user-core", "3")
    #expect(output.status != 0 && output.error.contains("over its source"))
    let other = try glta("import", folder.path + "/set", "--out", folder.path)
    #expect(other.status != 0 && other.error.contains("over its source"))
  }

  @Test func aFullDiskLeavesTheOldSet() throws {
    let out = folder.path + "/set"
    #expect(try glta("synthetic", "--out", out, "--users", "20", "--items", "16").status == 0)
    let before = try glta("describe", out, "--json").out
    let output = try glta("synthetic", "--out", out, "--users", "2000", "--items", "400", fileLimit: 64)
    #expect(output.status != 0 && output.error.contains("cannot write"), "\(output.error)")
    #expect(try glta("describe", out, "--json").out == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: out).sorted() == ["interactions.tsv", "items.tsv"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["error", "out", "set"])
  }
}
