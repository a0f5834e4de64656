import Foundation
import Tensors
import TestSupport
import Testing

/// One test for each rule of the format, and for what a hostile file could try.
struct SafetensorsTests {
  /// A file of a header and `dataCount` bytes of zeros.
  private func file(_ header: String, dataCount: Int, claiming length: UInt64? = nil) -> Data {
    var data = Data()
    withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { data.append(contentsOf: $0) }
    return data + Data(header.utf8) + Data(count: dataCount)
  }

  /// The message with which a file is refused; nil where it is taken.
  private func refusal(_ data: Data) throws -> String? {
    let folder = try TemporaryFolder()
    let path = try folder.write("a.safetensors", data)
    do {
      _ = try SafetensorsFile(path: path)
      return nil
    } catch {
      #expect(error.code == .invalidFile)
      #expect(error.message.hasPrefix(path))
      return error.message
    }
  }

  private let two =
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[3,1],"data_offsets":[8,11]}}"#

  @Test func takesAGoodFile() throws {
    let folder = try TemporaryFolder()
    let good = try SafetensorsFile(path: folder.write("a", file(two + "   ", dataCount: 11)))
    #expect(good.names == ["a", "b"])
    #expect(try good.tensor("b").shape == [3, 1])
    #expect(try good.matrix("a").elements == [0, 0])
    #expect(throws: GLTAError.self) { try good.tensor("c") }
    #expect(throws: GLTAError.self) { try good.matrix("b") }
    #expect(throws: GLTAError.self) { try good.matrix("a", rows: 2) }
  }

  @Test func saysWhereNoFileIs() throws {
    let error = #expect(throws: GLTAError.self) { try SafetensorsFile(path: "/nowhere/model.safetensors") }
    #expect(error?.code == .inputOutput)
    #expect(error?.message.contains("/nowhere/model.safetensors") == true)
  }

  @Test(arguments: [
    ("truncated before the header", 0, "expected at least 8"),
    ("truncated in the length", 7, "expected at least 8"),
    ("truncated in the header", 40, "truncated"),
    ("truncated in the data", 8 + 114 + 5, "truncated"),
  ])
  func refusesTruncatedFiles(what: String, keep: Int, expected: String) throws {
    let whole = file(two, dataCount: 11)
    #expect(try refusal(whole) == nil)
    let message = try #require(try refusal(whole.prefix(keep)))
    #expect(message.contains(expected), "\(what): \(message)")
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = file(two, dataCount: 11)
    for keep in 0..<whole.count { #expect(try refusal(whole.prefix(keep)) != nil) }
  }

  @Test(arguments: [
    // Offsets.
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      8, "overlaps"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
      12, "hole"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "hole"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5, "1 bytes follow"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "ascending"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, "ascending"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, 4, "ascending"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4.0]}}"#, 4, "ascending"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}}"#, 4, "ascending"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "need 8"),
    (#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,8]}}"#, 8, "need 4"),
    // Shapes whose product wraps around to the right number of bytes.
    (#"{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}"#, 4, "too large"),
    (#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "too large"),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
    (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
    (#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4, "whole numbers"),
    // Fields.
    (#"{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#, 4, "dtype"),
    (#"{"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}}"#, 4, "dtype"),
    (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "exactly"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}"#, 4, "exactly"),
    (#"{"a":[]}"#, 0, "exactly"),
    (#"{"__metadata__":{"a":1}}"#, 0, "no string"),
    (#"{"__metadata__":[]}"#, 0, "no object"),
    // JSON.
    (
      #"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
      0, "twice"
    ),
    (
      "{\"\u{E9}\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"e\u{301}\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}",
      0, "same name"
    ),
    (" {}", 0, "does not start"),
    ("[]", 0, "does not start"),
    ("{} x", 0, "not valid JSON"),
    (#"{"a":"#, 0, "not valid JSON"),
    ("{" + String(repeating: #""a":{"#, count: 5_000), 0, "not valid JSON"),
    ("", 0, "does not start"),
  ])
  func refusesBrokenHeaders(header: String, dataCount: Int, expected: String) throws {
    let message = try #require(try refusal(file(header, dataCount: dataCount)))
    #expect(message.contains(expected), "\(message)")
  }

  @Test func refusesAHeaderThatIsNotUTF8() throws {
    let whole = file(#"{"a?":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, dataCount: 0)
    #expect(try refusal(whole) == nil)
    let mark = try #require(whole.firstIndex(of: UInt8(ascii: "?")))
    for bytes: [UInt8] in [[0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]] {
      var data = whole
      data.replaceSubrange(mark...mark, with: bytes)
      data[0] += UInt8(bytes.count - 1)
      #expect(try refusal(data) != nil, "\(bytes)")
    }
  }

  /// The first bytes of other formats, read as the length of a header, go far beyond the file.
  @Test(arguments: ["GGUF\u{3}\0\0\0", "PK\u{3}\u{4}\0\0\0\u{1}", "\u{1}\0\0\0pickle"])
  func refusesFilesOfOtherFormats(magic: String) throws {
    #expect(try refusal(Data(magic.utf8) + Data(count: 200)) != nil)
  }

  @Test(arguments: [UInt64.max, UInt64(Int64.max), 1 << 62, 100_000_001, 1_000])
  func refusesAHeaderLongerThanTheFile(length: UInt64) throws {
    #expect(try refusal(file(two, dataCount: 11, claiming: length)) != nil)
  }

  @Test func randomDamageNeverTraps() throws {
    let whole = file(two, dataCount: 11)
    let folder = try TemporaryFolder()
    var random = Philox(seed: 5, purpose: "damage").sequence()
    for _ in 0..<2_000 {
      var data = whole
      for _ in 0..<1 + random.index(below: 4) { data[random.index(below: 8 + 114)] = UInt8(random.index(below: 256)) }
      guard let file = try? SafetensorsFile(path: folder.write("a", data)) else { continue }
      for name in file.names { _ = try? file.tensor(name).byteCount }
    }
  }

  @Test func writesWhatItReads() throws {
    let folder = try TemporaryFolder()
    let matrix = Matrix(rows: 2, columns: 3)
    for index in 0..<6 { matrix.base[index] = Float(index) / 3 }
    let path = folder.path + "/m.safetensors"
    let metadata = ["say \"hi\"": "line\n\\ \u{E9}\u{1}"]
    try SafetensorsWriter.write(
      [("m", matrix.tensor), ("empty", Matrix(rows: 0, columns: 4).tensor)], metadata: metadata, to: path)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == metadata)
    #expect(try file.matrix("m").elements == matrix.elements)
    #expect(try file.matrix("empty").rows == 0)
    let first = try Data(contentsOf: URL(fileURLWithPath: path))
    try SafetensorsWriter.write(
      [("m", matrix.tensor), ("empty", Matrix(rows: 0, columns: 4).tensor)], metadata: metadata, to: path)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
    #expect(throws: GLTAError.self) {
      try SafetensorsWriter.write([("m", matrix.tensor), ("m", matrix.tensor)], metadata: [:], to: path)
    }
  }

  @Test func aWriteThatFailsLeavesTheOldFile() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("m", "old")
    #expect(throws: GLTAError.self) {
      try AtomicFile.write(to: path) { (writer) throws(GLTAError) in
        try writer.write([1, 2, 3])
        throw GLTAError(.inputOutput, "no space")
      }
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["m"])
  }
}
