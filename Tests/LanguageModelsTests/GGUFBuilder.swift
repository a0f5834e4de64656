import Foundation
import LanguageModels
import Tensors

/// Writes GGUF files, right or wrong in whatever way a test wants.
struct GGUFBuilder {
  /// A value of the metadata: the number of its type and its bytes.
  struct Pair {
    var key: String
    var type: UInt32
    var bytes: Data
  }

  struct TensorEntry {
    var name: Data
    /// Innermost first, as the file has them.
    var extents: [UInt64]
    var type: UInt32
    var bytes: Data
    /// nil: behind the tensor before.
    var offset: UInt64?
  }

  var magic = Data("GGUF".utf8)
  var version: UInt32 = 3
  var tensorCount: UInt64?
  var pairCount: UInt64?
  var alignment = 32
  var pairs: [Pair] = []
  var tensors: [TensorEntry] = []

  static func little<Value: FixedWidthInteger>(_ value: Value) -> Data {
    withUnsafeBytes(of: value.littleEndian) { Data($0) }
  }
  static func text(_ text: String) -> Data { text.utf8.count.data + Data(text.utf8) }

  mutating func add(_ key: String, _ value: UInt32) { add(key, type: 4, Self.little(value)) }
  mutating func add(_ key: String, _ value: Float) { add(key, type: 6, Self.little(value.bitPattern)) }
  mutating func add(_ key: String, _ value: String) { add(key, type: 8, Self.text(value)) }
  mutating func add(_ key: String, type: UInt32, _ bytes: Data) {
    pairs.append(Pair(key: key, type: type, bytes: bytes))
  }
  mutating func add(_ key: String, list type: UInt32, count: Int, _ bytes: Data) {
    add(key, type: 9, Self.little(type) + count.data + bytes)
  }

  mutating func add(_ name: String, _ extents: [Int], type: UInt32, _ bytes: Data, offset: UInt64? = nil) {
    tensors.append(
      TensorEntry(name: Data(name.utf8), extents: extents.map(UInt64.init), type: type, bytes: bytes, offset: offset))
  }

  /// A matrix in f32.
  mutating func add(_ name: String, _ matrix: Matrix) {
    let bytes = Data(bytes: matrix.base, count: matrix.count * 4)
    add(name, matrix.rows == 1 ? [matrix.columns] : [matrix.columns, matrix.rows], type: 0, bytes)
  }

  func data() -> Data {
    var data = magic + Self.little(version) + Self.little(tensorCount ?? UInt64(tensors.count))
    data += Self.little(pairCount ?? UInt64(pairs.count))
    for pair in pairs { data += Self.text(pair.key) + Self.little(pair.type) + pair.bytes }
    var offset = 0
    var body = Data()
    for tensor in tensors {
      data += tensor.name.count.data + tensor.name + Self.little(UInt32(tensor.extents.count))
      for extent in tensor.extents { data += Self.little(extent) }
      data += Self.little(tensor.type) + Self.little(tensor.offset ?? UInt64(offset))
      body += tensor.bytes + Data(count: (alignment - tensor.bytes.count % alignment) % alignment)
      offset = body.count
    }
    return data + Data(count: (alignment - data.count % alignment) % alignment) + body
  }
}

extension Int {
  /// As 64 bits, little-endian.
  fileprivate var data: Data { GGUFBuilder.little(UInt64(bitPattern: Int64(self))) }
}
