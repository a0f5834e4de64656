/// A step of a BPE tokenizer that rewrites a text before it is cut into words.
enum TextNormalization: Sendable, Equatable {
  /// Normalisation form C.
  case composed
  /// Puts scalars before a text, unless it is empty.
  case prepend([Unicode.Scalar])
  /// Puts other scalars in the place of one.
  case replace(Unicode.Scalar, by: [Unicode.Scalar])

  func apply(to scalars: inout [Unicode.Scalar]) {
    switch self {
    case .composed: CanonicalComposition.compose(&scalars)
    case .prepend(let prefix): if !scalars.isEmpty { scalars.insert(contentsOf: prefix, at: 0) }
    case .replace(let old, let new):
      guard scalars.contains(old) else { return }
      if new.count == 1 {
        for index in scalars.indices where scalars[index] == old { scalars[index] = new[0] }
      } else {
        scalars = scalars.flatMap { $0 == old ? new : [$0] }
      }
    }
  }
}

/// SentencePiece's sign for a space.
enum Metaspace {
  static let sign: Unicode.Scalar = "\u{2581}"
}

/// What is put before a text, after normalisation and the search for added tokens.
enum TextPrefix: Sendable, Equatable {
  case none
  /// ByteLevel's `add_prefix_space`: a space, where there is none.
  case space
  /// Metaspace's `prepend_scheme`: U+2581 for spaces, and one before a text that does not start with it.
  case metaspace(prepends: Prepending)

  enum Prepending: Sendable, Equatable {
    case always
    /// Only where the whole text starts, not after an added token.
    case first
    case never
  }

  /// - Parameter isFirst: whether nothing stands before the text.
  func apply(to scalars: inout [Unicode.Scalar], isFirst: Bool) {
    guard !scalars.isEmpty else { return }
    switch self {
    case .none: break
    case .space: if scalars[0] != " " { scalars.insert(" ", at: 0) }
    case .metaspace(let prepends):
      for index in scalars.indices where scalars[index] == " " { scalars[index] = Metaspace.sign }
      guard prepends == .always || (prepends == .first && isFirst), scalars[0] != Metaspace.sign else { return }
      scalars.insert(Metaspace.sign, at: 0)
    }
  }
}
