import CSodium

/// SHA-256 (FIPS 180-4) of bytes as they come, by libsodium.
public struct ContentHash {
  private var state = crypto_hash_sha256_state()

  /// A hash that no bytes were added to yet.
  public init() { crypto_hash_sha256_init(&state) }

  /// Adds bytes.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    crypto_hash_sha256_update(&state, base.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
  }

  /// Adds the UTF-8 bytes of a text.
  public mutating func update(_ text: String) {
    let bytes = Array(text.utf8)
    bytes.withUnsafeBytes { update($0) }
  }

  /// The digest of what was added, 64 hexadecimal digits. The hash is used up with it.
  public mutating func finish() -> String {
    var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
    crypto_hash_sha256_final(&state, &digest)
    let digits = Array("0123456789abcdef")
    return String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  /// Bytes of a file that are looked at in one go: whole pages.
  private static let blockBytes = 1 << 22

  /// The digest of a file's bytes, 64 hexadecimal digits.
  ///
  /// - Throws: `GLTAError.inputOutput`.
  public static func ofFile(_ path: String) throws(GLTAError) -> String {
    let storage = try Storage.mapping(path: path)
    let bytes = UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
    var hash = ContentHash()
    for start in stride(from: 0, to: bytes.count, by: blockBytes) {
      let block = start..<min(bytes.count, start + blockBytes)
      hash.update(UnsafeRawBufferPointer(rebasing: bytes[block]))
      // Weights of many gigabytes are not to be held for that.
      storage.releasePages(block)
    }
    return hash.finish()
  }
}
