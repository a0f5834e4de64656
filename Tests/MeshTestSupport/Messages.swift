package import GLTP

extension RequestID {
  package static func test(_ number: UInt64) -> RequestID { RequestID(high: 0x7000, low: number) }
}

/// Changes one bit of a part.
package func flip(_ part: Int, at offset: Int) -> ([[UInt8]]) -> [[UInt8]] {
  { parts in
    var parts = parts
    parts[part][offset < 0 ? parts[part].count + offset : offset] ^= 0x10
    return parts
  }
}

/// A head or a descriptor table with its checksum made right: at offset 60 of a head, 4 of a table.
package func sealed(_ bytes: [UInt8], checksumAt offset: Int) -> [UInt8] {
  var bytes = bytes
  for index in offset..<offset + 4 { bytes[index] = 0 }
  let checksum = bytes.withUnsafeBytes { XXH32.hash($0) }
  for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(index))) }
  return bytes
}
