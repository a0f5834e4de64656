public import Tensors

/// Tokens that many sequences begin with, and the keys and values that a decoder has made of them, once.
///
/// The first positions of a causal model know nothing of what follows and its weights are frozen, so a pass that starts
/// after them gives the bits of the whole.
public struct SharedPrefix: Sendable {
  /// The tokens.
  public let ids: [Int32]
  let cache: KVCache

  /// Positions that are known.
  public var count: Int { ids.count }
}

extension DecoderModel {
  /// What the model makes of tokens that many sequences begin with; nil where there are none, where they leave no room, or
  /// where the angles of their positions depend on what follows (`RotaryScaling.dynamic`).
  ///
  /// - Throws: what a pass throws.
  public func readPrefix(_ ids: [Int32], pool: ThreadPool) throws(GLTAError) -> SharedPrefix? {
    guard !ids.isEmpty, ids.count < maximumLength, cacheLimit == maximumLength else { return nil }
    return SharedPrefix(ids: ids, cache: try DecoderGenerator(model: self, pool: pool).prefill(ids))
  }
}
