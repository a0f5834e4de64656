import Synchronization

/// A block of 64-byte-aligned memory that belongs to a pool and is taken again once nobody else holds it.
///
/// Whoever took it writes before sharing it; afterwards it is read only. Hence `@unchecked Sendable`.
public final class PooledBuffer: @unchecked Sendable {
  /// The alignment of `base`, in bytes.
  public static let alignment = 64

  /// The first of `byteCount` bytes, at a multiple of `alignment`. Valid as long as this object lives.
  public let base: UnsafeMutableRawPointer
  /// Usable bytes.
  public let byteCount: Int

  fileprivate init(byteCount: Int) {
    base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: PooledBuffer.alignment)
    self.byteCount = byteCount
  }

  deinit { base.deallocate() }
}

/// Memory for messages: buffers that are reused without being returned.
///
/// The pool holds every buffer. One that nobody else references is free, so copying a message is copying references and
/// nothing is ever handed back by hand. In steady state taking a buffer allocates nothing. Share one pool in a process:
/// its budget is the process's limit for decoded bytes (gltp-1.md 8).
public final class BufferPool: Sendable {
  /// What the pool has done since it was made.
  public struct Statistics: Sendable, Hashable {
    /// Bytes that the pool holds, in use or free.
    public var allocatedBytes = 0
    /// The largest that `allocatedBytes` has been.
    public var peakBytes = 0
    /// Buffers allocated.
    public var allocations = 0
    /// Buffers taken without allocating.
    public var reuses = 0
    /// Requests that were refused for the budget.
    public var refusals = 0
  }

  private struct SizeClass {
    var buffers = ContiguousArray<PooledBuffer>()
    var cursor = 0

    /// The next buffer in turn that nobody holds, among so many.
    mutating func reuse(probes: Int) -> PooledBuffer? {
      let count = buffers.count
      for _ in 0..<min(probes, count) {
        let slot = cursor
        cursor = slot + 1 == count ? 0 : slot + 1
        if isKnownUniquelyReferenced(&buffers[slot]) { return buffers[slot] }
      }
      return nil
    }
  }

  private struct State {
    var classes: ContiguousArray<SizeClass>
    var statistics = Statistics()
  }

  /// Buffers looked at before a new one is allocated. Messages live about as long as one another, so the next in turn
  /// is nearly always free.
  private static let probes = 16
  /// Room beyond a power of two: a tensor of 2^k bytes stays in its class with the frame around it.
  private static let slack = 128
  private static let smallest = 256

  /// Bytes that decoding may take, all messages together.
  public let budget: Int
  private let state: Mutex<State>

  /// - Parameter budget: bytes that decoded messages may hold at once in this process.
  public init(budget: Int = 256 << 20) {
    self.budget = budget
    state = Mutex(State(classes: ContiguousArray(repeating: SizeClass(), count: 24)))
  }

  /// A snapshot of the counts, taken under the pool's lock.
  public var statistics: Statistics { state.withLock { $0.statistics } }

  /// Bytes of buffers that somebody holds now. Looks at every buffer: for tests and reports.
  public var bytesInUse: Int {
    state.withLock { state in
      var bytes = 0
      for index in state.classes.indices {
        for slot in state.classes[index].buffers.indices
        where !isKnownUniquelyReferenced(&state.classes[index].buffers[slot]) {
          bytes += state.classes[index].buffers[slot].byteCount
        }
      }
      return bytes
    }
  }

  /// A buffer of at least `byteCount` bytes with undefined contents, for what we send. It may exceed the budget, since a
  /// process that cannot say OVERLOADED helps nobody; windows and queues bound it.
  public func take(_ byteCount: Int) -> PooledBuffer {
    precondition(byteCount >= 0 && byteCount <= 1 << 30)
    return take(byteCount, within: .max).unsafelyUnwrapped
  }

  /// A buffer for what a peer sent.
  ///
  /// - Throws: `.decodeBudget` where the pool would hold more than its budget.
  func takeWithinBudget(_ byteCount: Int) throws(FrameError) -> PooledBuffer {
    guard let buffer = take(byteCount, within: budget) else {
      throw FrameError(.decodeBudget, found: byteCount, expected: budget)
    }
    return buffer
  }

  private func take(_ byteCount: Int, within budget: Int) -> PooledBuffer? {
    let index = BufferPool.sizeClass(byteCount)
    let capacity = BufferPool.capacity(index)
    return state.withLock { state in
      if let buffer = state.classes[index].reuse(probes: BufferPool.probes) {
        state.statistics.reuses += 1
        return buffer
      }
      if state.statistics.allocatedBytes + capacity > budget {
        if let buffer = state.classes[index].reuse(probes: .max) {
          state.statistics.reuses += 1
          return buffer
        }
        BufferPool.free(&state, until: budget - capacity)
        guard state.statistics.allocatedBytes + capacity <= budget else {
          state.statistics.refusals += 1
          return nil
        }
      }
      let buffer = PooledBuffer(byteCount: capacity)
      state.classes[index].buffers.append(buffer)
      state.statistics.allocations += 1
      state.statistics.allocatedBytes += capacity
      state.statistics.peakBytes = max(state.statistics.peakBytes, state.statistics.allocatedBytes)
      return buffer
    }
  }

  /// Gives free buffers back to the system, the largest first, until at most `bytes` are held.
  private static func free(_ state: inout State, until bytes: Int) {
    for index in state.classes.indices.reversed() {
      var slot = 0
      while slot < state.classes[index].buffers.count, state.statistics.allocatedBytes > bytes {
        if isKnownUniquelyReferenced(&state.classes[index].buffers[slot]) {
          state.statistics.allocatedBytes -= state.classes[index].buffers[slot].byteCount
          state.classes[index].buffers.swapAt(slot, state.classes[index].buffers.count - 1)
          state.classes[index].buffers.removeLast()
        } else {
          slot += 1
        }
      }
      state.classes[index].cursor = 0
    }
  }

  private static func sizeClass(_ byteCount: Int) -> Int {
    let payload = max(byteCount - slack, smallest)
    let bits = Int.bitWidth - (payload - 1).leadingZeroBitCount
    return bits - smallest.trailingZeroBitCount
  }

  private static func capacity(_ index: Int) -> Int { smallest << index + slack }
}
