import CZlib
import Foundation
import Tensors

/// Reads whole files, plain or gz.
enum TextFile {
  /// The most bytes of text that are taken: a small gz file can unpack to any number.
  static let maximumBytes = 1 << 32
  private static let chunkBytes = 1 << 20

  /// The content of a file; gz is known by its first bytes and unpacked, all its members.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` where the gz stream is damaged, truncated or
  ///   followed by something else, and for more than `maximumBytes`.
  static func read(_ path: String) throws(GLTAError) -> [UInt8] {
    guard FileManager.default.fileExists(atPath: path) else {
      throw GLTAError(.inputOutput, "there is no file \(path)")
    }
    guard let file = FileHandle(forReadingAtPath: path) else { throw GLTAError(.inputOutput, "cannot open \(path)") }
    var bytes: [UInt8] = []
    var unpacker: GzipUnpacker?
    var isFirst = true
    while true {
      let chunk: [UInt8]
      do {
        chunk = [UInt8](try file.read(upToCount: chunkBytes) ?? Data())
      } catch { throw GLTAError(.inputOutput, "cannot read \(path): \(error.localizedDescription)") }
      if chunk.isEmpty { break }
      if isFirst, chunk.starts(with: [0x1F, 0x8B]) { unpacker = GzipUnpacker(path: path) }
      isFirst = false
      if let unpacker { try unpacker.unpack(chunk, into: &bytes) } else { bytes += chunk }
      guard bytes.count <= maximumBytes else { throw tooLarge(path) }
    }
    try unpacker?.finish()
    return bytes
  }

  fileprivate static func tooLarge(_ path: String) -> GLTAError {
    GLTAError(.invalidFile, "\(path) holds more than \(maximumBytes >> 30) GiB of text, which is the most that is read")
  }
}

/// Unpacks gzip members (RFC 1952), one after another.
private final class GzipUnpacker {
  private let path: String
  // zlib keeps this address: the stream must not move.
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private var isInMember = true
  private var members = 0
  private var buffer = [UInt8](repeating: 0, count: 1 << 18)

  init(path: String) {
    self.path = path
    stream.initialize(to: z_stream())
    // 16: gzip, and nothing else. It fails where memory does, and then says so at the first `inflate`.
    inflateInit2_(stream, MAX_WBITS + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Unpacks the next bytes of the file.
  func unpack(_ input: [UInt8], into output: inout [UInt8]) throws(GLTAError) {
    // The standard library's closure does not carry typed errors.
    var failure: GLTAError?
    var input = input
    input.withUnsafeMutableBufferPointer { input in
      do throws(GLTAError) { try unpack(input, into: &output) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  private func unpack(_ input: UnsafeMutableBufferPointer<UInt8>, into output: inout [UInt8]) throws(GLTAError) {
    stream.pointee.next_in = input.baseAddress
    stream.pointee.avail_in = UInt32(input.count)
    while true {
      if !isInMember {
        if stream.pointee.avail_in == 0 { return }
        inflateReset(stream)
        isInMember = true
      }
      let status = buffer.withUnsafeMutableBufferPointer { buffer in
        stream.pointee.next_out = buffer.baseAddress
        stream.pointee.avail_out = UInt32(buffer.count)
        return inflate(stream, Z_NO_FLUSH)
      }
      let count = buffer.count - Int(stream.pointee.avail_out)
      output += buffer[..<count]
      guard output.count <= TextFile.maximumBytes else { throw TextFile.tooLarge(path) }
      switch status {
      case Z_STREAM_END:
        isInMember = false
        members += 1
      case Z_OK where stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0: continue
      // All was taken; more comes with the next bytes of the file.
      case Z_OK, Z_BUF_ERROR: return
      default: throw damage(status)
      }
    }
  }

  /// Says that the file ends here.
  func finish() throws(GLTAError) {
    guard isInMember else { return }
    // A byte is too little to tell what it begins.
    if members > 0 && stream.pointee.total_in < 2 { throw trailing() }
    throw GLTAError(.invalidFile, "\(path) is truncated: its gz stream does not end", hint: Self.hint)
  }

  private func damage(_ status: Int32) -> GLTAError {
    if members > 0 && stream.pointee.total_out == 0 { return trailing() }
    let reason = stream.pointee.msg.map { String(cString: $0) } ?? "error \(status)"
    return GLTAError(.invalidFile, "\(path) is damaged: \(reason)", hint: Self.hint)
  }

  private func trailing() -> GLTAError {
    GLTAError(.invalidFile, "\(path) has something after the end of its gz stream", hint: Self.hint)
  }

  private static let hint = "download or copy it again"
}
