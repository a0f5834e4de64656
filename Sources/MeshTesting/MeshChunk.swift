public import GLTP

/// What travels between the stages of a mesh in memory, in place of tensors: an instruction, candidates or a ranking.
public struct MeshChunk: ChunkPayload, Hashable {
  /// Items of candidates and rankings; any words in other chunks.
  public var items: [String]
  /// Of a ranking: candidates taken into account.
  public var itemsSeen: Int
  /// All candidates of the request; 0 while unknown.
  public var itemsTotal: Int
  /// Bytes that it would take.
  public var byteCount: Int
  /// Whether a fault has damaged it, so that the next codec refuses it.
  public internal(set) var isDamaged = false

  /// Counts as 64 bytes and 8 for each item unless told otherwise.
  public init(_ items: [String], itemsSeen: Int = 0, itemsTotal: Int = 0, byteCount: Int? = nil) {
    self.items = items
    self.itemsSeen = itemsSeen
    self.itemsTotal = itemsTotal
    self.byteCount = byteCount ?? 64 + 8 * items.count
  }
}
