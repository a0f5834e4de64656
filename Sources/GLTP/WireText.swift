/// A short text of a message: one of ours as a string, or one of a peer's in pooled memory, so that decoding and
/// comparing it allocate nothing. A peer's text is UTF-8 and bounded, but may hold any character: escape it in logs.
public struct WireText: @unchecked Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  private enum Content {
    case string(String)
    case pooled(PooledBuffer, offset: Int, count: Int)
  }
  private let content: Content

  /// A text of ours. Its length is checked when it is encoded.
  public init(_ string: String) { content = .string(string) }
  /// A literal text of ours, as in `"gateway-1"`.
  public init(stringLiteral value: String) { content = .string(value) }

  init(_ buffer: PooledBuffer, offset: Int, count: Int) {
    content = .pooled(buffer, offset: offset, count: count)
  }

  /// The text as a string.
  public var string: String {
    switch content {
    case .string(let string): string
    case .pooled: withUTF8 { String(decoding: $0, as: UTF8.self) }
    }
  }

  /// The text unescaped; the same as `string`.
  public var description: String { string }

  /// The text's bytes.
  public func withUTF8<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch content {
    case .string(var string):
      var result: Swift.Result<Result, Failure>?
      string.withUTF8 { bytes in
        do throws(Failure) { result = .success(try body(UnsafeRawBufferPointer(bytes))) } catch {
          result = .failure(error)
        }
      }
      return try result.unsafelyUnwrapped.get()
    case .pooled(let buffer, let offset, let count):
      defer { withExtendedLifetime(buffer) {} }
      return try body(UnsafeRawBufferPointer(start: buffer.base + offset, count: count))
    }
  }
}

extension WireText: Hashable {
  /// Whether the bytes are equal, wherever they are kept.
  public static func == (a: WireText, b: WireText) -> Bool {
    a.withUTF8 { a in b.withUTF8 { b in a.elementsEqual(b) } }
  }

  /// Hashes the bytes, so that texts of ours and of peers meet in one table.
  public func hash(into hasher: inout Hasher) { withUTF8 { hasher.combine(bytes: $0) } }
}
