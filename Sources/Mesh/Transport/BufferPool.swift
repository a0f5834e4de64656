import Synchronization

/// A piece of memory from a ``BufferPool``: 64-byte aligned, written by one owner, then sent by ``Message/append(_:)``.
package final class PooledBuffer: @unchecked Sendable {
  /// The first byte.
  package let base: UnsafeMutableRawPointer
  /// The bytes there is room for.
  package let capacity: Int
  /// The bytes in use, counted from the start; whoever fills the buffer sets it.
  package var count: Int {
    didSet { precondition(count >= 0 && count <= capacity, "a buffer of \(capacity) bytes cannot hold \(count)") }
  }

  /// Held while the buffer is in use, so that no pool dies before its buffers; nil while it lies in the pool.
  fileprivate var pool: BufferPool?

  fileprivate init(capacity: Int) {
    self.capacity = capacity
    count = 0
    base = .allocate(byteCount: capacity, alignment: 64)
  }

  deinit { base.deallocate() }

  /// Gives the buffer back to its pool. Its owner must not touch it any more; a buffer that is merely dropped is freed.
  package func recycle() { pool?.keep(self) }
}

/// Memory for outgoing parts that is used again instead of freed, for any thread. Sizes are powers of two.
package final class BufferPool: Sendable {
  private struct Shelves {
    var buffers: [[PooledBuffer]]
    var byteCount = 0
  }

  private static let smallest = 8
  private static let largest = 25
  private let shelves: Mutex<Shelves>
  private let limit: Int

  /// - Parameter limit: the bytes that idle buffers may hold.
  package init(limit: Int = 64 << 20) {
    self.limit = limit
    let shelf: [PooledBuffer] = []
    shelves = Mutex(Shelves(buffers: Array(repeating: shelf, count: BufferPool.largest - BufferPool.smallest + 1)))
  }

  /// A buffer for at least `capacity` bytes, of undefined content, with a `count` of zero.
  package func take(capacity: Int) -> PooledBuffer {
    precondition(capacity >= 0)
    let bits = max(BufferPool.smallest, Int.bitWidth - max(capacity - 1, 0).leadingZeroBitCount)
    let isPooled = bits <= BufferPool.largest
    let found: PooledBuffer? =
      isPooled
      ? shelves.withLock { shelves in
        let buffer = shelves.buffers[bits - BufferPool.smallest].popLast()
        shelves.byteCount -= buffer?.capacity ?? 0
        return buffer
      } : nil
    let buffer = found ?? PooledBuffer(capacity: isPooled ? 1 << bits : capacity)
    buffer.count = 0
    buffer.pool = self
    return buffer
  }

  fileprivate func keep(_ buffer: PooledBuffer) {
    buffer.pool = nil
    let bits = Int.bitWidth - 1 - buffer.capacity.leadingZeroBitCount
    guard bits <= BufferPool.largest, buffer.capacity == 1 << bits else { return }
    shelves.withLock { shelves in
      guard shelves.byteCount + buffer.capacity <= limit else { return }
      shelves.byteCount += buffer.capacity
      shelves.buffers[bits - BufferPool.smallest].append(buffer)
    }
  }
}
