import Tensors

/// The keys and values of one layer, packed for attention.
struct KeyValuePanels: Sendable {
  let keys: ScorePanels
  let values: SumPanels

  /// Floats that panels for `positions` take.
  static func count(_ configuration: DecoderConfiguration, positions: Int) -> Int {
    let (heads, columns) = (configuration.keyHeadCount, configuration.headColumns)
    return ScorePanels.count(heads: heads, headColumns: columns, positions: positions)
      + SumPanels.count(heads: heads, headColumns: columns, positions: positions) + 2 * 16
  }

  init(_ configuration: DecoderConfiguration, positions: Int, from arena: inout FloatArena) {
    let (heads, columns) = (configuration.keyHeadCount, configuration.headColumns)
    keys = ScorePanels(
      heads: heads, headColumns: columns,
      memory: arena.take(1, ScorePanels.count(heads: heads, headColumns: columns, positions: positions)))
    values = SumPanels(
      heads: heads, headColumns: columns,
      memory: arena.take(1, SumPanels.count(heads: heads, headColumns: columns, positions: positions)))
  }

  /// Copies one head of the first positions of others.
  func copy(_ other: KeyValuePanels, head: Int, positions: Int) {
    keys.copy(other.keys, head: head, positions: positions)
    values.copy(other.values, head: head, positions: positions)
  }
}

/// The keys and values that a decoder has computed for the first positions of a sequence, so that whatever follows need
/// not compute them again.
///
/// What several sequences have in common, such as an instruction, is computed once: each goes on from a `fork`, or a
/// pass starts after it (`SharedPrefix`). Not to be written by two threads at once; any number may read one that nobody writes.
public final class KVCache: @unchecked Sendable {
  /// The shape of the model that the cache belongs to.
  let configuration: DecoderConfiguration
  private var storage: [FloatArena] = []
  private(set) var layers: [KeyValuePanels] = []
  /// Positions that are known.
  public private(set) var count = 0
  /// Positions that there is room for; grows where more are added.
  public private(set) var capacity = 0

  /// A cache that knows nothing yet.
  ///
  /// - Parameter capacity: positions that are expected.
  public init(model: DecoderModel, capacity: Int = 0) {
    configuration = model.configuration
    reserve(capacity)
  }

  private init(copying other: KVCache, capacity: Int) {
    configuration = other.configuration
    reserve(max(capacity, other.count))
    copyLayers(other.layers, positions: other.count)
    count = other.count
  }

  /// A cache of its own that knows the same positions.
  ///
  /// - Parameter capacity: positions that are expected in all.
  public func fork(capacity: Int = 0) -> KVCache { KVCache(copying: self, capacity: capacity) }

  /// Forgets what stands behind the first `count` positions.
  public func truncate(to count: Int) {
    precondition(count >= 0 && count <= self.count)
    self.count = count
  }

  /// Bytes that the cache takes.
  public var byteCount: Int {
    layers.count * KeyValuePanels.count(configuration, positions: capacity) * MemoryLayout<Float>.stride
  }

  /// Bytes that a cache with room for `positions` takes at the most.
  static func byteCount(_ configuration: DecoderConfiguration, capacity positions: Int) -> Int {
    let floats = KeyValuePanels.count(configuration, positions: CausalAttention.capacity(max(positions, 1)))
    return configuration.layerCount * FloatArena.byteCount(floats)
  }

  /// Makes room for `positions` in all.
  func reserve(_ positions: Int) {
    guard positions > capacity || layers.isEmpty else { return }
    let known = layers
    // Half as much again: generation asks for one position more at a time.
    capacity = CausalAttention.capacity(max(positions, min(capacity * 3 / 2, configuration.maximumLength), 1))
    let floats = KeyValuePanels.count(configuration, positions: capacity)
    let kept = storage
    storage = []
    layers = []
    for _ in 0..<configuration.layerCount {
      var arena = FloatArena()
      arena.reset(count: floats)
      layers.append(KeyValuePanels(configuration, positions: capacity, from: &arena))
      storage.append(arena)
    }
    copyLayers(known, positions: count)
    withExtendedLifetime(kept) {}
  }

  private func copyLayers(_ others: [KeyValuePanels], positions: Int) {
    guard positions > 0 else { return }
    for (layer, other) in zip(layers, others) {
      for head in 0..<configuration.keyHeadCount { layer.copy(other, head: head, positions: positions) }
    }
  }

  /// Says that `positions` more have been written to all layers.
  func advance(by positions: Int) {
    count += positions
    precondition(count <= capacity)
  }
}
