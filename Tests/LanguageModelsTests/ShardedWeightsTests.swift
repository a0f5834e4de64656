import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// Weights in several files, and what their index could say wrongly.
struct ShardedWeightsTests {
  private static let index = "model.safetensors.index.json"

  /// A directory of two files, `a` in the first, `b` in the second.
  private func folder(index: String? = nil) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write("config.json", "{}")
    for (name, tensor) in [("first", "a"), ("second", "b")] {
      try SafetensorsWriter.write(
        [(tensor + ".weight", Matrix([1, 2, 3, 4], rows: 2, columns: 2).tensor)], metadata: [:],
        to: folder.path + "/\(name).safetensors")
    }
    let map = #"{"weight_map":{"a.weight":"first.safetensors","b.weight":"second.safetensors"}}"#
    try folder.write(Self.index, index ?? map)
    return folder
  }

  private func source(_ folder: TemporaryFolder) throws(GLTAError) -> SafetensorsSource {
    try SafetensorsSource(directory: HuggingFaceDirectory(path: folder.path))
  }

  @Test func findsEachTensorInItsFile() throws {
    let folder = try folder()
    let source = try source(folder)
    for name in ["a", "b"] {
      #expect(source.contains(name + ".weight"))
      #expect(try source.matrix(name + ".weight", rows: 2, columns: 2).elements == [1, 2, 3, 4])
      #expect(throws: GLTAError.self) { try source.matrix(name + ".weight", rows: 2, columns: 3) }
    }
    #expect(!source.contains("c.weight"))
    #expect(throws: GLTAError.self) { try source.matrix("c.weight", rows: 2, columns: 2) }
  }

  @Test func oneFileComesBeforeAnIndex() throws {
    let folder = try folder()
    try FileManager.default.copyItem(
      atPath: folder.path + "/first.safetensors", toPath: folder.path + "/model.safetensors")
    let source = try source(folder)
    #expect(source.contains("a.weight") && !source.contains("b.weight"))
  }

  @Test(arguments: [
    ("", "not JSON"), ("[]", "no weight_map"), ("{}", "no weight_map"), (#"{"weight_map":{}}"#, "no weight_map"),
    (#"{"weight_map":[]}"#, "no weight_map"), (#"{"weight_map":{"a.weight":1}}"#, "no text"),
    (#"{"weight_map":{"a.weight":"../first.safetensors"}}"#, "not the name"),
    (#"{"weight_map":{"a.weight":"/etc/first.safetensors"}}"#, "not the name"),
    (#"{"weight_map":{"a.weight":"first.safetensors\u0000"}}"#, "not the name"),
    (#"{"weight_map":{"a.weight":"first.bin"}}"#, "not the name"),
    (#"{"weight_map":{"a.weight":"third.safetensors"}}"#, "third.safetensors"),
    (#"{"weight_map":{"a.weight":"second.safetensors"}}"#, "does not have it"),
    (#"{"weight_map":{"a.weight":"first.safetensors","a.weight":"first.safetensors"}}"#, "twice"),
    (
      "{\"weight_map\":{\"\u{E9}\":\"first.safetensors\",\"e\u{301}\":\"first.safetensors\"}}", "twice"
    ),
  ])
  func refusesABrokenIndex(index: String, expected: String) throws {
    let folder = try folder(index: index)
    let error = #expect(throws: GLTAError.self) { try source(folder) }
    #expect(error?.message.contains(expected) == true, "\(error?.message ?? "")")
  }

  @Test func refusesABrokenFile() throws {
    let folder = try folder()
    let whole = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/second.safetensors"))
    try folder.write("second.safetensors", whole.dropLast())
    let error = #expect(throws: GLTAError.self) { try source(folder) }
    #expect(error?.code == .invalidFile && error?.message.contains("second.safetensors") == true)
  }

  @Test func randomDamageNeverTraps() throws {
    let folder = try folder()
    let whole = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + Self.index))
    var random = Philox(seed: 13, purpose: "damage").sequence()
    for _ in 0..<1_000 {
      var data = whole
      for _ in 0..<1 + random.index(below: 3) {
        data[random.index(below: data.count)] = UInt8(random.index(below: 256))
      }
      try folder.write(Self.index, data)
      guard let source = try? source(folder) else { continue }
      for name in ["a.weight", "b.weight"] where source.contains(name) {
        _ = try? source.matrix(name, rows: 2, columns: 2)
      }
    }
  }
}
