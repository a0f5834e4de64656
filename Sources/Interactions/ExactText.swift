/// A text as a key by its bytes. `String` takes two spellings of one accented letter as equal; ids that differ are not.
package struct ExactText: Hashable, Sendable {
  let text: String

  package init(_ text: String) { self.text = text }

  package static func == (a: ExactText, b: ExactText) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  package func hash(into hasher: inout Hasher) {
    // Texts out of files are contiguous UTF-8, which this does not copy.
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// The parts between separators that are not empty. A separator is one whatever marks follow it, which is not so for the
  /// characters that `split` goes by.
  func parts(between separator: Unicode.Scalar) -> [String] {
    unicodeScalars.split(separator: separator).map { String($0) }
  }
}
