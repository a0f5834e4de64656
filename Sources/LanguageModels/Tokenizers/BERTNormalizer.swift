/// The normaliser of BERT tokenizers: cleans control characters, sets CJK ideographs apart, strips accents, lowercases.
///
/// The judge is Hugging Face's `tokenizers` (`BertNormalizer`); character classes are those of its Rust libraries.
package struct BERTNormalizer: Sendable, Equatable {
  package var cleansText = true
  package var handlesChineseCharacters = true
  /// nil follows `lowercases`.
  package var stripsAccents: Bool?
  package var lowercases = true

  package init() {}

  /// The scalars of `text` after normalisation.
  package func normalize(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
    var scalars = Array(text)
    if cleansText { clean(&scalars) }
    let isASCII = scalars.allSatisfy { $0.value < 0x80 }
    if !isASCII && handlesChineseCharacters { scalars = separateChinese(scalars) }
    if !isASCII && stripsAccents ?? lowercases { scalars = stripAccents(scalars) }
    if lowercases { scalars = isASCII ? scalars.map(lowercaseASCII) : lowercase(scalars) }
    return scalars
  }

  private func clean(_ scalars: inout [Unicode.Scalar]) {
    var kept = 0
    for scalar in scalars where !CharacterClass.isControl(scalar) {
      scalars[kept] = CharacterClass.isWhitespace(scalar) ? " " : scalar
      kept += 1
    }
    scalars.removeSubrange(kept...)
  }

  private func separateChinese(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard scalars.contains(where: CharacterClass.isChinese) else { return scalars }
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(scalars.count * 3)
    for scalar in scalars {
      guard CharacterClass.isChinese(scalar) else {
        result.append(scalar)
        continue
      }
      result.append(" ")
      result.append(scalar)
      result.append(" ")
    }
    return result
  }

  /// Canonical decomposition (NFD) without nonspacing marks.
  private func stripAccents(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var decomposed: [Unicode.Scalar] = []
    decomposed.reserveCapacity(scalars.count)
    for scalar in scalars { CanonicalDecomposition.append(scalar, to: &decomposed) }
    CanonicalDecomposition.order(&decomposed)
    decomposed.removeAll(where: CharacterClass.isNonspacingMark)
    return decomposed
  }

  private func lowercaseASCII(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    (0x41...0x5A).contains(scalar.value) ? Unicode.Scalar(UInt8(scalar.value) + 0x20) : scalar
  }

  /// Scalar by scalar, without context: a capital sigma at the end of a word becomes σ, not ς.
  private func lowercase(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(scalars.count)
    for scalar in scalars {
      if scalar.value < 0x80 {
        result.append(lowercaseASCII(scalar))
      } else if scalar.properties.changesWhenLowercased {
        result.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
      } else {
        result.append(scalar)
      }
    }
    return result
  }
}
