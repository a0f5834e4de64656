/// The element types that tensors are computed and stored in. Raw values are the names of the safetensors format
/// (huggingface/safetensors, README, "Format").
public enum DType: String, Sendable, CaseIterable, Codable {
  /// IEEE 754 binary32.
  case f32 = "F32"
  /// IEEE 754 binary16.
  case f16 = "F16"
  /// The upper half of a binary32; see `BFloat16`.
  case bf16 = "BF16"
  /// Signed 8-bit integers.
  case i8 = "I8"
  /// Signed 32-bit integers.
  case i32 = "I32"
  /// Signed 64-bit integers.
  case i64 = "I64"

  /// Bytes of one element.
  public var byteCount: Int {
    switch self {
    case .i8: 1
    case .f16, .bf16: 2
    case .f32, .i32: 4
    case .i64: 8
    }
  }
}

/// A Swift type whose values are the elements of one dtype.
public protocol TensorElement: BitwiseCopyable, Sendable {
  static var dtype: DType { get }
}

/// The dtype whose elements are stored as this type is in memory.
extension Float: TensorElement {
  /// `f32`.
  public static var dtype: DType { .f32 }
}
#if !(os(macOS) && arch(x86_64))
  extension Float16: TensorElement {
    /// `f16`. macOS on x86-64 has no such type.
    public static var dtype: DType { .f16 }
  }
#endif
extension Int8: TensorElement {
  /// `i8`.
  public static var dtype: DType { .i8 }
}
extension Int32: TensorElement {
  /// `i32`.
  public static var dtype: DType { .i32 }
}
extension Int64: TensorElement {
  /// `i64`.
  public static var dtype: DType { .i64 }
}

/// The upper half of an IEEE 754 binary32: eight exponent bits and seven of fraction.
public struct BFloat16: TensorElement, Equatable {
  /// `bf16`.
  public static var dtype: DType { .bf16 }
  /// From the top: one bit of sign, eight of exponent, seven of fraction.
  public var bits: UInt16

  /// The number that a file stores as these bits.
  public init(bits: UInt16) { self.bits = bits }

  /// Rounds to nearest, ties to even. NaN stays NaN.
  @inlinable public init(_ value: Float) {
    let pattern = value.bitPattern
    if value.isNaN {
      bits = UInt16(truncatingIfNeeded: pattern >> 16) | 0x40
    } else {
      bits = UInt16(truncatingIfNeeded: (pattern &+ 0x7FFF &+ ((pattern >> 16) & 1)) >> 16)
    }
  }

  /// The value that the bits stand for, exactly.
  @inlinable public var float: Float { Float(bitPattern: UInt32(bits) << 16) }
}
