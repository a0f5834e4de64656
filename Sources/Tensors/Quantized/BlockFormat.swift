/// How the numbers of a row are stored in files: floats, or blocks of codes with scales, as in GGUF (ggml-org/ggml,
/// docs/gguf.md and `ggml-common.h`).
package enum BlockFormat: String, Sendable, CaseIterable {
  /// IEEE 754 binary32.
  case f32 = "F32"
  /// IEEE 754 binary16.
  case f16 = "F16"
  /// The upper half of a binary32.
  case bf16 = "BF16"
  /// d * (q - 8), q of four bits.
  case q4_0 = "Q4_0"
  /// d * q + m, q of four bits.
  case q4_1 = "Q4_1"
  /// d * (q - 16), q of five bits.
  case q5_0 = "Q5_0"
  /// d * q + m, q of five bits.
  case q5_1 = "Q5_1"
  /// d * q, q a signed byte.
  case q8_0 = "Q8_0"
  /// (d * s) * q - (e * m), q of four bits, s and m of six.
  case q4_K = "Q4_K"
  /// (d * s) * q - (e * m), q of five bits, s and m of six.
  case q5_K = "Q5_K"
  /// (d * s) * (q - 32), q of six bits, s a signed byte.
  case q6_K = "Q6_K"

  /// Numbers of a block; rows are whole blocks.
  package var blockSize: Int {
    switch self {
    case .f32, .f16, .bf16: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: 32
    case .q4_K, .q5_K, .q6_K: 256
    }
  }

  /// Bytes of a block.
  package var blockBytes: Int {
    switch self {
    case .f32: 4
    case .f16, .bf16: 2
    case .q4_0: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    }
  }

  /// Whether numbers are stored as themselves.
  package var isFloat: Bool { blockSize == 1 }

  /// Bytes of a row of `columns` numbers; nil where they are not whole blocks or too many.
  package func rowBytes(_ columns: Int) -> Int? {
    guard columns >= 0, columns % blockSize == 0 else { return nil }
    let (bytes, overflow) = (columns / blockSize).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}

/// Reading a row back to floats, one number after another: the definition that every faster way is held against.
extension BlockFormat {
  /// Writes `columns` numbers of a row to `out`; addresses need no alignment.
  package func read(_ row: UnsafeRawPointer, columns: Int, into out: UnsafeMutablePointer<Float>) {
    switch self {
    case .f32:
      out.withMemoryRebound(to: UInt8.self, capacity: columns * 4) {
        $0.update(from: row.assumingMemoryBound(to: UInt8.self), count: columns * 4)
      }
    case .f16: for index in 0..<columns { out[index] = row.half(2 * index) }
    case .bf16: for index in 0..<columns { out[index] = BFloat16(bits: row.word16(2 * index)).float }
    default:
      for block in 0..<columns / blockSize { readBlock(row + block * blockBytes, into: out + block * blockSize) }
    }
  }

  private func readBlock(_ block: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>) {
    switch self {
    case .q4_0: readLow(block, codes: 2, scale: block.half(0), zero: 8, shift: 0, into: out)
    case .q4_1: readLow(block, codes: 4, scale: block.half(0), zero: 0, shift: block.half(2), into: out)
    case .q5_0: readLow(block, codes: 6, fifth: block.word32(2), scale: block.half(0), zero: 16, shift: 0, into: out)
    case .q5_1:
      readLow(block, codes: 8, fifth: block.word32(4), scale: block.half(0), zero: 0, shift: block.half(2), into: out)
    case .q8_0:
      for index in 0..<32 { out[index] = block.half(0) * Float(Int8(bitPattern: block.byte(2 + index))) }
    case .q4_K, .q5_K: readScaledAndShifted(block, into: out)
    case .q6_K: readSixBits(block, into: out)
    case .f32, .f16, .bf16: break
    }
  }

  /// Blocks of 32: number j in the lower half of byte j, number j + 16 in the upper.
  private func readLow(
    _ block: UnsafeRawPointer, codes: Int, fifth: UInt32 = 0, scale: Float, zero: Int, shift: Float,
    into out: UnsafeMutablePointer<Float>
  ) {
    for index in 0..<32 {
      let code = Int(block.byte(codes + index % 16) >> (index < 16 ? 0 : 4) & 15 | UInt8(fifth >> index & 1) << 4)
      out[index] = scale * Float(code - zero) + shift
    }
  }

  /// Q4_K and Q5_K: eight runs of 32, pairs of which share bytes.
  private func readScaledAndShifted(_ block: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>) {
    let codes = block + (self == .q4_K ? 16 : 48)
    for run in 0..<8 {
      let (factor, shiftFactor) = BlockFormat.factors(block + 4, run: run)
      let scale = block.half(0) * Float(factor)
      let shift = block.half(2) * Float(shiftFactor)
      for index in 0..<32 {
        var code = codes.byte(32 * (run / 2) + index) >> (4 * (run % 2)) & 15
        if self == .q5_K { code |= (block.byte(16 + index) >> run & 1) << 4 }
        out[32 * run + index] = scale * Float(code) - shift
      }
    }
  }

  private func readSixBits(_ block: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>) {
    for index in 0..<256 {
      let (half, quarter, place) = (index / 128, index % 128 / 32, index % 32)
      let lower = block.byte(64 * half + 32 * (quarter % 2) + place) >> (4 * (quarter / 2)) & 15
      let upper = block.byte(128 + 32 * half + place) >> (2 * quarter) & 3
      let scale = block.half(208) * Float(Int8(bitPattern: block.byte(192 + index / 16)))
      out[index] = scale * Float(Int(lower | upper << 4) - 32)
    }
  }

  /// The six bits of scale and of shift of a run of Q4_K and Q5_K, out of twelve bytes for eight runs.
  static func factors(_ bytes: UnsafeRawPointer, run: Int) -> (scale: UInt8, shift: UInt8) {
    if run < 4 { return (bytes.byte(run) & 63, bytes.byte(run + 4) & 63) }
    let lower = bytes.byte(run + 4)
    return (lower & 15 | (bytes.byte(run - 4) >> 6) << 4, lower >> 4 | (bytes.byte(run) >> 6) << 4)
  }
}

/// Little-endian numbers at any address.
extension UnsafeRawPointer {
  @inline(__always) func byte(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }
  @inline(__always) func word16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  @inline(__always) func word32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  @inline(__always) func word64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
  @inline(__always) func half(_ offset: Int) -> Float { Float(Float16(bitPattern: word16(offset))) }
}
