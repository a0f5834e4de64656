import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// One test for each rule of the format, and for what a hostile file could try.
struct GGUFFileTests {
  private static let golden = Golden.path("gguf/types.gguf")

  @Test func readsWhatTheReferenceWrites() throws {
    let file = try GGUFFile(path: Self.golden)
    let expected = try SafetensorsFile(path: Golden.path("gguf/types.safetensors"))
    #expect(Set(file.names) == Set(expected.names))
    for name in expected.names {
      let blocks = try file.blocks(name, rows: 3, columns: 512)
      #expect(blocks.format.rawValue == name)
      #expect(try blocks.floats().elements == expected.matrix(name).elements, "\(name)")
      if blocks.format != .f32 {
        #expect(try QuantizedPanels(blocks).floats().elements == expected.matrix(name).elements, "\(name)")
      }
    }
  }

  @Test func readsMetadataOfEveryKind() throws {
    let metadata = try GGUFFile(path: Self.golden).metadata
    #expect(try metadata.string("general.architecture") == "llama")
    for (key, value) in [
      ("u8", 255), ("i8", -128), ("u16", 65_535), ("i16", -32_768), ("u32", 4_294_967_295), ("i32", -2_147_483_648),
      ("i64", Int.min),
    ] {
      #expect(try metadata.integer("test.\(key)") == value)
    }
    #expect(throws: GLTAError.self) { try metadata.integer("test.u64") }
    #expect(try metadata.float("test.f32") == 1.25)
    #expect(try metadata.float("test.f64") == 0.1)
    #expect(try metadata.float("test.u8") == 255)
    #expect(try metadata.bool("test.yes") == true && metadata.bool("test.no") == false)
    #expect(try metadata.string("test.text") == "Grüße, 世界")
    #expect(try metadata.strings("test.texts") == ["", "a", "▁the"])
    #expect(try metadata.integers("test.numbers") == [1, -2, 3])
    #expect(try metadata.floats("test.floats") == [0.5, -1.5])
    #expect(metadata.count("test.texts") == 3)
    #expect(metadata.contains("test.nested"))
    #expect(try metadata.string("nothing") == nil && metadata.strings("nothing") == nil)
    for read: () throws -> Void in [
      { _ = try metadata.string("test.u8") }, { _ = try metadata.integer("test.text") },
      { _ = try metadata.strings("test.numbers") }, { _ = try metadata.integers("test.texts") },
      { _ = try metadata.integers("test.nested") }, { _ = try metadata.floats("test.text") },
      { _ = try metadata.bool("test.u8") },
    ] {
      let error = #expect(throws: GLTAError.self) { try read() }
      #expect(error?.message.contains("expected") == true)
    }
  }

  /// Two tensors and some metadata.
  private func sample() -> GGUFBuilder {
    var builder = GGUFBuilder()
    builder.add("general.architecture", "llama")
    builder.add("general.alignment", 32 as UInt32)
    builder.add("a.list", list: 8, count: 2, GGUFBuilder.text("x") + GGUFBuilder.text("yz"))
    builder.add("a.bools", list: 7, count: 2, Data([0, 1]))
    builder.add("matrix", [32, 2], type: 8, Data(count: 68))
    builder.add("vector", [3], type: 0, Data(count: 12))
    return builder
  }

  /// The error with which a file is refused; nil where it is taken.
  private func refusal(_ data: Data, in folder: TemporaryFolder? = nil) throws -> GLTAError? {
    let folder = try folder ?? TemporaryFolder()
    let path = try folder.write("a.gguf", data)
    do {
      _ = try GGUFFile(path: path)
      return nil
    } catch {
      #expect(error.message.hasPrefix(path))
      return error
    }
  }

  @Test func takesAGoodFile() throws {
    let folder = try TemporaryFolder()
    for version in [2, 3] {
      var builder = sample()
      builder.version = UInt32(version)
      let file = try GGUFFile(path: folder.write("a", builder.data()))
      #expect(file.version == version && file.alignment == 32)
      #expect(file.names == ["matrix", "vector"])
      #expect(file.shape(of: "matrix")?.shape == [2, 32] && file.shape(of: "matrix")?.type == "Q8_0")
      #expect(try file.matrix("vector").elements == [0, 0, 0])
      #expect(throws: GLTAError.self) { try file.matrix("vector", columns: 4) }
      #expect(throws: GLTAError.self) { try file.matrix("nothing") }
      #expect(GGUFFile.isGGUF(path: file.path))
    }
    #expect(!GGUFFile.isGGUF(path: folder.path) && !GGUFFile.isGGUF(path: "/nowhere"))
  }

  @Test func keepsToItsAlignment() throws {
    var builder = sample()
    builder.alignment = 256
    builder.pairs[1].bytes = GGUFBuilder.little(256 as UInt32)
    let folder = try TemporaryFolder()
    #expect(try GGUFFile(path: folder.write("a", builder.data())).alignment == 256)
  }

  /// What is wrong, how, and a word of the message.
  private static let broken: [(what: String, change: @Sendable (inout GGUFBuilder) -> Void, expected: String)] = [
    ("magic", { $0.magic = Data("GGML".utf8) }, "does not start with GGUF"),
    ("more tensors than bytes", { $0.tensorCount = 1 << 40 }, "room"),
    ("more tensors than there are", { $0.tensorCount = 3 }, ""),
    ("a count that wraps", { $0.tensorCount = .max }, "room"),
    ("more pairs than bytes", { $0.pairCount = .max }, "room"),
    ("more pairs than there are", { $0.pairCount = 5 }, ""),
    ("an empty key", { $0.pairs[0].key = "" }, "empty"),
    ("a key twice", { $0.pairs[1].key = "general.architecture" }, "twice"),
    ("an unknown type of value", { $0.pairs[1].type = 13 }, "type number 13"),
    ("a text beyond the end", { $0.pairs[0].bytes = GGUFBuilder.little(UInt64.max) + Data("llama".utf8) }, "room"),
    (
      "a text that is not UTF-8", { $0.pairs[0].bytes = GGUFBuilder.little(2 as UInt64) + Data([0xC3, 0x28]) }, "UTF-8"
    ),
    ("a bool that is neither", { $0.add("b", type: 7, Data([2])) }, "bool of value 2"),
    ("a bool in a list that is neither", { $0.add("b", list: 7, count: 1, Data([9])) }, "bool of value 9"),
    ("a list beyond the end", { $0.add("b", list: 0, count: 1 << 50, Data()) }, "room"),
    ("a list of lists that lie", { $0.add("b", list: 9, count: 1 << 20, Data()) }, "room"),
    ("a list of an unknown type", { $0.add("b", list: 99, count: 1, Data([1])) }, "type number 99"),
    (
      "lists nested too deep",
      {
        var bytes = GGUFBuilder.little(0 as UInt32) + GGUFBuilder.little(0 as UInt64)
        for _ in 0..<20 { bytes = GGUFBuilder.little(9 as UInt32) + GGUFBuilder.little(1 as UInt64) + bytes }
        $0.add("b", type: 9, bytes)
      }, "nested deeper"
    ),
    ("an alignment of zero", { $0.pairs[1].bytes = GGUFBuilder.little(0 as UInt32) }, "power of two"),
    ("an odd alignment", { $0.pairs[1].bytes = GGUFBuilder.little(33 as UInt32) }, "power of two"),
    ("a huge alignment", { $0.pairs[1].bytes = GGUFBuilder.little(UInt32.max) }, "power of two"),
    (
      "an alignment in words",
      { $0.pairs[1] = .init(key: "general.alignment", type: 8, bytes: GGUFBuilder.text("32")) },
      "whole number"
    ),
    ("a tensor without a name", { $0.tensors[0].name = Data() }, "no name"),
    ("a name that is not UTF-8", { $0.tensors[0].name = Data([0xFF]) }, "UTF-8"),
    ("a name twice", { $0.tensors[0].name = Data("vector".utf8) }, "same name"),
    (
      "a name in two ways",
      {
        $0.tensors[0].name = Data("e\u{301}".utf8)
        $0.tensors[1].name = Data("\u{E9}".utf8)
      }, "same name"
    ),
    ("no axes", { $0.tensors[0].extents = [] }, "0 axes"),
    ("five axes", { $0.tensors[1].extents = [3, 1, 1, 1, 1] }, "5 axes"),
    ("an extent of zero", { $0.tensors[1].extents = [0] }, "extent"),
    ("an extent beyond 63 bits", { $0.tensors[1].extents = [1 << 63] }, "extent"),
    ("a shape that wraps", { $0.tensors[1].extents = [1 << 32, 1 << 32] }, "too large"),
    ("a shape whose bytes wrap", { $0.tensors[1].extents = [1 << 62] }, "too large"),
    ("rows of half blocks", { $0.tensors[0].extents = [33, 2] }, "blocks of 32"),
    ("an offset that is not aligned", { $0.tensors[1].offset = 100 }, "no multiple of 32"),
    ("an offset beyond the end", { $0.tensors[1].offset = 1 << 20 }, "truncated"),
    ("an offset beyond 63 bits", { $0.tensors[1].offset = 1 << 63 }, "offset"),
    ("an offset that wraps", { $0.tensors[1].offset = UInt64(Int64.max) - 31 }, "truncated"),
    ("tensors that overlap", { $0.tensors[1].offset = 64 }, "overlaps"),
    ("more rows than bytes", { $0.tensors[1].extents = [3, 1000] }, "truncated"),
  ]

  @Test(arguments: broken.indices) func refusesBrokenFiles(index: Int) throws {
    let (what, change, expected) = Self.broken[index]
    var builder = sample()
    change(&builder)
    let error = try #require(try refusal(builder.data()), "\(what)")
    #expect(
      error.code == .invalidFile && (expected.isEmpty || error.message.contains(expected)), "\(what): \(error.message)")
  }

  @Test func namesWhatIsNotSupported() throws {
    var builder = sample()
    for (version, expected) in [(1, "version 1"), (4, "version 4"), (UInt32(3).bigEndian, "big-endian")] {
      builder.version = version
      let error = try #require(try refusal(builder.data()))
      #expect(error.code == .unsupported && error.message.contains(expected))
    }
    builder = sample()
    builder.tensors[1].type = 4
    let error = try #require(try refusal(builder.data()))
    #expect(error.code == .unsupported && error.message.contains("vector is of type number 4"))
    // A type that we know of, but do not read: only whoever asks for the tensor is told.
    builder = sample()
    builder.add("iq", [256], type: 16, Data(count: 66))
    let folder = try TemporaryFolder()
    let file = try GGUFFile(path: folder.write("a", builder.data()))
    let refused = #expect(throws: GLTAError.self) { try file.matrix("iq") }
    #expect(refused?.code == .unsupported && refused?.message.contains("IQ2_XXS") == true)
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = sample().data()
    let folder = try TemporaryFolder()
    #expect(try refusal(whole) == nil)
    // The last tensor's padding may be missing.
    for keep in 0..<whole.count - 20 { #expect(try refusal(whole.prefix(keep), in: folder) != nil, "\(keep)") }
  }

  @Test func randomDamageNeverTraps() throws {
    let whole = sample().data()
    let golden = try Data(contentsOf: URL(fileURLWithPath: Self.golden))
    let folder = try TemporaryFolder()
    var random = Philox(seed: 6, purpose: "damage").sequence()
    for round in 0..<4_000 {
      var data = round % 32 == 0 ? golden : whole
      let head = min(data.count, 1_500)
      for _ in 0..<1 + random.index(below: 4) { data[random.index(below: head)] = UInt8(random.index(below: 256)) }
      if random.index(below: 4) == 0 { data = data.prefix(random.index(below: data.count)) }
      guard let file = try? GGUFFile(path: folder.write("a", data)) else { continue }
      for key in file.metadata.keys {
        _ = try? file.metadata.string(key)
        _ = try? file.metadata.strings(key)
        _ = try? file.metadata.integers(key)
        _ = try? file.metadata.floats(key)
      }
      for name in file.names {
        guard let blocks = try? file.blocks(name), blocks.format != .f32 else { continue }
        _ = try? QuantizedPanels(blocks).floats()
      }
      _ = try? DecoderConfiguration(gguf: file)
    }
  }
}
