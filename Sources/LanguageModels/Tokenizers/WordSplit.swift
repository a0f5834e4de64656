/// A step that cuts text into words, which merges never cross.
enum WordSplit: Sendable, Equatable {
  /// The regular expression of GPT-2, which the ByteLevel step of Hugging Face has built in.
  case gpt2
  /// The regular expression of Llama 3 and of Qwen2, which differ in how many digits stand together.
  case llama3(digits: Int)
  /// Every digit by itself, or runs of them.
  case digits(individual: Bool)
  /// Before every U+2581, as the Metaspace step does.
  case metaspace

  /// The scanner of a regular expression by its source.
  init?(regularExpression source: String) {
    switch source {
    case #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
      #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#:
      self = .gpt2
    case WordSplit.llama3Source(digits: #"\p{N}{1,3}"#): self = .llama3(digits: 3)
    case WordSplit.llama3Source(digits: #"\p{N}"#): self = .llama3(digits: 1)
    default: return nil
    }
  }

  private static func llama3Source(digits: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  /// Appends the end of each word of `range`, in order; the last is the end of the range.
  func appendEnds(of range: Range<Int>, in text: ClassifiedText, to ends: inout [Int]) {
    var start = range.lowerBound
    while start < range.upperBound {
      let end =
        switch self {
        case .gpt2: GPT2Scanner.end(of: start..<range.upperBound, in: text)
        case .llama3(let digits): Llama3Scanner.end(of: start..<range.upperBound, in: text, digits: digits)
        case .digits(let individual): endOfDigits(start..<range.upperBound, in: text, individual: individual)
        case .metaspace: text.end(of: start + 1..<range.upperBound) { text.scalars[$0] != Metaspace.sign }
        }
      ends.append(end)
      start = end
    }
  }

  private func endOfDigits(_ range: Range<Int>, in text: ClassifiedText, individual: Bool) -> Int {
    let isDigit = SplitClass.isNumeric(text.scalars[range.lowerBound])
    if isDigit && individual { return range.lowerBound + 1 }
    return text.end(of: range) { SplitClass.isNumeric(text.scalars[$0]) == isDigit }
  }
}

/// A text beside the class of each of its scalars.
struct ClassifiedText {
  let scalars: UnsafeBufferPointer<Unicode.Scalar>
  let classes: UnsafeBufferPointer<SplitClass>

  /// The end of the run at the start of `range` that a condition on places holds for.
  @inline(__always)
  func end(of range: Range<Int>, while condition: (Int) -> Bool) -> Int {
    var at = range.lowerBound
    while at < range.upperBound, condition(at) { at += 1 }
    return at
  }

  /// The end of the run of one class.
  @inline(__always)
  func end(of range: Range<Int>, _ wanted: SplitClass) -> Int { end(of: range) { classes[$0] == wanted } }

  /// `'s|'t|'re|'ve|'m|'ll|'d` at the start of `range`; nil where there is none.
  func endOfContraction(_ range: Range<Int>, ignoringCase: Bool) -> Int? {
    guard range.count >= 2, scalars[range.lowerBound] == "'" else { return nil }
    let first = letter(range.lowerBound + 1, ignoringCase)
    switch first {
    case "s", "t", "m", "d": return range.lowerBound + 2
    case "r", "v", "l":
      guard range.count >= 3 else { return nil }
      let isWhole = letter(range.lowerBound + 2, ignoringCase) == (first == "l" ? "l" : "e")
      return isWhole ? range.lowerBound + 3 : nil
    default: return nil
    }
  }

  private func letter(_ at: Int, _ ignoringCase: Bool) -> Unicode.Scalar {
    let scalar = scalars[at]
    guard ignoringCase else { return scalar }
    // The long s is an s to expressions that ignore case.
    if scalar.value == 0x17F { return "s" }
    return (0x41...0x5A).contains(scalar.value) ? Unicode.Scalar(UInt8(scalar.value) + 0x20) : scalar
  }

  /// `\s+(?!\S)|\s+`: white space, but for its last sign where a word follows.
  func endOfSpace(_ range: Range<Int>) -> Int {
    let end = end(of: range) { classes[$0].isSpace }
    return end < range.upperBound && end > range.lowerBound + 1 ? end - 1 : end
  }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` (Radford et al., 2019).
enum GPT2Scanner {
  /// The end of the word at the start of `range`.
  static func end(of range: Range<Int>, in text: ClassifiedText) -> Int {
    if let end = text.endOfContraction(range, ignoringCase: false) { return end }
    let start = range.lowerBound
    let hasSpace = text.scalars[start] == " " && start + 1 < range.upperBound && !text.classes[start + 1].isSpace
    let first = hasSpace ? start + 1 : start
    if text.classes[first].isSpace { return text.endOfSpace(range) }
    return text.end(of: first..<range.upperBound, text.classes[first])
  }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
/// of Llama 3, and with `\p{N}` of Qwen2.
enum Llama3Scanner {
  /// The end of the word at the start of `range`.
  static func end(of range: Range<Int>, in text: ClassifiedText, digits: Int) -> Int {
    if let end = text.endOfContraction(range, ignoringCase: true) { return end }
    let start = range.lowerBound
    let kind = text.classes[start]
    let follower = start + 1 < range.upperBound ? text.classes[start + 1] : nil
    if kind == .letter { return text.end(of: range, .letter) }
    if kind == .number { return text.end(of: start..<min(range.upperBound, start + digits), .number) }
    if kind != .lineEnd, follower == .letter { return text.end(of: start + 1..<range.upperBound, .letter) }
    if kind == .other { return endOfSigns(range, in: text) }
    if text.scalars[start] == " ", follower == .other { return endOfSigns(start + 1..<range.upperBound, in: text) }
    return endOfLines(range, in: text) ?? text.endOfSpace(range)
  }

  /// `[^\s\p{L}\p{N}]+[\r\n]*`
  private static func endOfSigns(_ range: Range<Int>, in text: ClassifiedText) -> Int {
    let end = text.end(of: range, .other)
    return text.end(of: end..<range.upperBound, .lineEnd)
  }

  /// `\s*[\r\n]+`: white space up to its last line end; nil where it has none.
  private static func endOfLines(_ range: Range<Int>, in text: ClassifiedText) -> Int? {
    let end = text.end(of: range) { text.classes[$0].isSpace }
    return (range.lowerBound..<end).last { text.classes[$0] == .lineEnd }.map { $0 + 1 }
  }
}
