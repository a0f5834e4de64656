import Tensors

/// Reads a GGUF file's numbers and texts one after another, never beyond its end.
struct GGUFCursor {
  let path: String
  let bytes: UnsafeRawBufferPointer
  private(set) var at = 0

  init(path: String, bytes: UnsafeRawBufferPointer) {
    self.path = path
    self.bytes = bytes
  }

  /// The bytes that are left.
  var left: Int { bytes.count - at }

  func broken(_ what: String) -> GLTAError {
    GLTAError(.invalidFile, "\(path) is not a GGUF file: \(what)", hint: "download or copy it again")
  }

  func unsupported(_ what: String) -> GLTAError {
    GLTAError(.unsupported, "\(path): \(what)", hint: "convert the model again with a current llama.cpp")
  }

  mutating func skip(_ count: Int, _ what: @autoclosure () -> String) throws(GLTAError) {
    guard count >= 0, count <= left else {
      throw broken("\(what()) ends beyond the file's \(bytes.count) bytes; it is truncated")
    }
    at += count
  }

  mutating func read<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type, _ what: @autoclosure () -> String
  ) throws(GLTAError) -> Value {
    let start = at
    try skip(MemoryLayout<Value>.size, what())
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: Value.self))
  }

  /// A count of things that take at least `size` bytes each: more than the file has room for is refused.
  mutating func count(of size: Int, _ what: @autoclosure () -> String) throws(GLTAError) -> Int {
    let count = try read(UInt64.self, what())
    guard count <= UInt64(left / size) else {
      throw broken("\(what()) is \(count), more than the file's \(bytes.count) bytes have room for; it is truncated")
    }
    return Int(count)
  }

  mutating func string(_ what: @autoclosure () -> String) throws(GLTAError) -> String {
    let count = try count(of: 1, "the length of \(what())")
    let start = at
    at += count
    let text = UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
    guard let string = String(validating: text, as: UTF8.self) else { throw broken("\(what()) is not UTF-8") }
    return string
  }
}

/// The first 24 bytes.
struct GGUFHeader {
  /// "GGUF", read as a little-endian number.
  static let magic: UInt32 = 0x4655_4747
  /// The least bytes of a key, its type and its value, and of a tensor's entry.
  private static let (leastPair, leastTensor) = (13, 32)

  let version: Int
  let tensorCount: Int
  let metadataCount: Int

  init(_ cursor: inout GGUFCursor) throws(GLTAError) {
    guard cursor.bytes.count >= 24 else { throw cursor.broken("\(cursor.bytes.count) bytes, expected at least 24") }
    guard try cursor.read(UInt32.self, "the magic number") == GGUFHeader.magic else {
      throw cursor.broken("it does not start with GGUF")
    }
    let version = try cursor.read(UInt32.self, "the version")
    guard version & 0xFFFF != 0 else { throw cursor.unsupported("a big-endian file; supported are little-endian ones") }
    guard version == 2 || version == 3 else {
      throw cursor.unsupported("version \(version) of GGUF; supported are 2 and 3")
    }
    self.version = Int(version)
    tensorCount = try cursor.count(of: GGUFHeader.leastTensor, "the number of tensors")
    metadataCount = try cursor.count(of: GGUFHeader.leastPair, "the number of metadata")
    guard tensorCount <= cursor.left / GGUFHeader.leastTensor else {
      throw cursor.broken("\(tensorCount) tensors, more than the file has room for")
    }
  }
}

/// A type of ggml: how numbers are stored.
struct GGUFTensorType: Sendable {
  let name: String
  /// Numbers of a block and bytes of it.
  let blockSize: Int
  let blockBytes: Int

  /// The types by their numbers (`ggml.h`, `enum ggml_type`); of most we only know how long they are.
  private static let known: [UInt32: GGUFTensorType] = [
    0: .init("F32", 1, 4), 1: .init("F16", 1, 2), 2: .init("Q4_0", 32, 18), 3: .init("Q4_1", 32, 20),
    6: .init("Q5_0", 32, 22), 7: .init("Q5_1", 32, 24), 8: .init("Q8_0", 32, 34), 9: .init("Q8_1", 32, 36),
    10: .init("Q2_K", 256, 84), 11: .init("Q3_K", 256, 110), 12: .init("Q4_K", 256, 144),
    13: .init("Q5_K", 256, 176), 14: .init("Q6_K", 256, 210), 15: .init("Q8_K", 256, 292),
    16: .init("IQ2_XXS", 256, 66), 17: .init("IQ2_XS", 256, 74), 18: .init("IQ3_XXS", 256, 98),
    19: .init("IQ1_S", 256, 50), 20: .init("IQ4_NL", 32, 18), 21: .init("IQ3_S", 256, 110),
    22: .init("IQ2_S", 256, 82), 23: .init("IQ4_XS", 256, 136), 24: .init("I8", 1, 1), 25: .init("I16", 1, 2),
    26: .init("I32", 1, 4), 27: .init("I64", 1, 8), 28: .init("F64", 1, 8), 29: .init("IQ1_M", 256, 56),
    30: .init("BF16", 1, 2), 34: .init("TQ1_0", 256, 54), 35: .init("TQ2_0", 256, 66), 39: .init("MXFP4", 32, 17),
    40: .init("NVFP4", 64, 36), 41: .init("Q1_0", 128, 18),
  ]

  private init(_ name: String, _ blockSize: Int, _ blockBytes: Int) {
    self.name = name
    self.blockSize = blockSize
    self.blockBytes = blockBytes
  }

  /// nil for numbers that have no type.
  init?(_ number: UInt32) {
    guard let type = GGUFTensorType.known[number] else { return nil }
    self = type
  }
}

/// What a GGUF file says about a tensor.
struct GGUFTensorEntry: Sendable {
  private static let mostAxes = 4

  let name: String
  let type: GGUFTensorType
  /// Extents, outermost first; the file has them the other way round.
  let shape: [Int]
  let byteCount: Int
  /// From the start of the file once it has been placed; from the start of the data before.
  private(set) var byteOffset: Int

  init(_ cursor: inout GGUFCursor) throws(GLTAError) {
    let name = try cursor.string("a tensor's name")
    guard !name.isEmpty else { throw cursor.broken("a tensor has no name") }
    let axes = try cursor.read(UInt32.self, "the axes of \(name)")
    guard axes >= 1, axes <= GGUFTensorEntry.mostAxes else {
      throw cursor.broken("\(name) has \(axes) axes, expected 1 to \(GGUFTensorEntry.mostAxes)")
    }
    var shape: [Int] = []
    for _ in 0..<axes {
      let extent = try cursor.read(UInt64.self, "the shape of \(name)")
      guard let extent = Int(exactly: extent), extent > 0 else {
        throw cursor.broken("an extent of \(name) is \(extent), expected 1 to 2^63 - 1")
      }
      shape.insert(extent, at: 0)
    }
    let number = try cursor.read(UInt32.self, "the type of \(name)")
    guard let type = GGUFTensorType(number) else {
      throw cursor.unsupported("\(name) is of type number \(number), which is none that we know")
    }
    let offset = try cursor.read(UInt64.self, "the offset of \(name)")
    guard let offset = Int(exactly: offset) else { throw cursor.broken("the offset of \(name) is \(offset)") }
    self.name = name
    self.type = type
    self.shape = shape
    byteCount = try GGUFTensorEntry.byteCount(cursor, name, type, shape)
    byteOffset = offset
  }

  private static func byteCount(
    _ cursor: GGUFCursor, _ name: String, _ type: GGUFTensorType, _ shape: [Int]
  ) throws(GLTAError) -> Int {
    let columns = shape[shape.count - 1]
    guard columns % type.blockSize == 0 else {
      throw cursor.broken("rows of \(name) have \(columns) numbers; \(type.name) has blocks of \(type.blockSize)")
    }
    var (bytes, overflow) = (columns / type.blockSize).multipliedReportingOverflow(by: type.blockBytes)
    for extent in shape.dropLast() where !overflow {
      (bytes, overflow) = bytes.multipliedReportingOverflow(by: extent)
    }
    guard !overflow else { throw cursor.broken("the shape of \(name) is too large") }
    return bytes
  }

  /// Checks where the tensors lie and gives them offsets from the start of the file, in the order of their data.
  static func place(
    _ entries: [GGUFTensorEntry], after cursor: GGUFCursor, alignment: Int
  ) throws(GLTAError) -> [GGUFTensorEntry] {
    let start = cursor.at + (alignment - cursor.at % alignment) % alignment
    let dataCount = max(0, cursor.bytes.count - start)
    var placed = entries.sorted { ($0.byteOffset, $0.byteCount) < ($1.byteOffset, $1.byteCount) }
    var end = 0
    for index in placed.indices {
      let entry = placed[index]
      guard entry.byteOffset % alignment == 0 else {
        throw cursor.broken("the offset of \(entry.name) is \(entry.byteOffset), no multiple of \(alignment)")
      }
      guard entry.byteOffset <= dataCount, entry.byteCount <= dataCount - entry.byteOffset else {
        throw cursor.broken(
          "\(entry.name) has \(entry.byteCount) bytes from \(entry.byteOffset) on, there are \(dataCount) bytes of data; "
            + "it is truncated")
      }
      guard entry.byteOffset >= end else { throw cursor.broken("\(entry.name) overlaps the tensor before it") }
      end = entry.byteOffset + entry.byteCount
      placed[index].byteOffset += start
    }
    return placed
  }
}
