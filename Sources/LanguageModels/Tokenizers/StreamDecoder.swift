/// Reads tokens one at a time: gives out text as soon as it is whole UTF-8.
///
/// What it gave out in all is what `TextTokenizer.decode` makes of the whole, but for bytes that are not UTF-8, where the
/// number of U+FFFD may differ.
public struct StreamDecoder: Sendable {
  private let tokenizer: any TextTokenizer
  private var pending: [UInt8] = []
  private var isFirst = true

  /// Starts a text.
  public init(_ tokenizer: any TextTokenizer) { self.tokenizer = tokenizer }

  /// The text that a token completes; empty while a character is not whole.
  public mutating func append(_ id: Int32) -> String {
    if tokenizer.appendText(of: id, isFirst: isFirst, to: &pending) { isFirst = false }
    let whole = pending.count - StreamDecoder.unfinished(pending)
    guard whole > 0 else { return "" }
    defer { pending.removeFirst(whole) }
    return String(decoding: pending[..<whole], as: UTF8.self)
  }

  /// What is held back, as U+FFFD; the next token starts a new text.
  public mutating func finish() -> String {
    defer {
      pending.removeAll()
      isFirst = true
    }
    return String(decoding: pending, as: UTF8.self)
  }

  /// The bytes at the end that more bytes could make a character of.
  private static func unfinished(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let lead = bytes[bytes.count - length]
      if lead < 0x80 { return 0 }
      guard lead >= 0xC0 else { continue }
      let wanted = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
      return lead < 0xF8 && wanted > length ? length : 0
    }
    return 0
  }
}
