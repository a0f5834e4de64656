import Tensors

/// Which items a request may be answered with.
public struct ItemFilter: Sendable {
  /// Dense indices that are left out, in any order.
  public var excluded: [Int32]
  /// Dense indices beside which everything is left out; nil: the whole catalogue is allowed.
  public var allowed: [Int32]?

  /// A filter; without arguments it lets everything pass.
  public init(excluded: [Int32] = [], allowed: [Int32]? = nil) {
    self.excluded = excluded
    self.allowed = allowed
  }
}

/// A bit for every item: in this form a filter costs an item next to nothing.
final class ItemMask {
  /// Sixteen items a word, as many as a panel has.
  let words: UnsafeMutablePointer<UInt16>

  /// - Throws: `GLTAError.unknownItem` for an index outside the catalogue.
  init(_ filter: ItemFilter, items: Int) throws(GLTAError) {
    if let item = (filter.excluded + (filter.allowed ?? [])).first(where: { $0 < 0 || $0 >= items }) {
      throw GLTAError(.unknownItem, "item \(item) of \(items)")
    }
    let count = (items + 15) / 16
    words = .allocate(capacity: count)
    words.initialize(repeating: filter.allowed == nil ? .max : 0, count: count)
    for item in filter.allowed ?? [] { words[Int(item) / 16] |= 1 << (item % 16) }
    for item in filter.excluded { words[Int(item) / 16] &= ~(1 << (item % 16)) }
  }

  deinit { words.deallocate() }
}
