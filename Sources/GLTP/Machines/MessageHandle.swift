/// A payload by reference: the message that a runtime holds it in, whatever that is.
///
/// The state machines are generic over payloads, for tests that want to look into theirs. In another module they would run
/// unspecialised, with the layout of each event looked up at run time. For this payload (and for `RankingSnapshot` on
/// the client's side) the compiler makes them whole here, in their own module, which saves a quarter of a request's time.
public struct MessageHandle: ChunkPayload {
  /// What holds the message.
  public let object: any AnyObject & Sendable
  /// What it takes in memory.
  public let byteCount: Int

  /// - Parameters:
  ///   - object: never looked into.
  ///   - byteCount: what it takes in memory.
  public init(_ object: any AnyObject & Sendable, byteCount: Int) {
    self.object = object
    self.byteCount = byteCount
  }
}

extension RankingSnapshot: ChunkPayload {
  /// Bytes of the lists and scores.
  public var byteCount: Int { items.tensor.byteCount + scores.byteCount + (titles?.tensor.byteCount ?? 0) }
}
