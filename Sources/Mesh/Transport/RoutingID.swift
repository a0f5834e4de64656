import CZeroMQ

/// The routing id that a ROUTER gave a connection: a zero byte and a number, unique among the listener's peers for as
/// long as the process lives (until 2^32 connections). Peers that choose their own id are turned away.
package struct RoutingID: Hashable, Sendable, CustomStringConvertible {
  /// Counted by the ROUTER, from a start that it chooses.
  let number: UInt32
  private static let byteCount = 5

  init(number: UInt32) { self.number = number }

  /// Reads a routing id frame; nil if the peer has chosen it.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count == RoutingID.byteCount, bytes[0] == 0 else { return nil }
    number = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
  }

  /// Writes the routing id into a new frame. Small enough for libzmq to allocate nothing.
  func fill(_ frame: UnsafeMutablePointer<zmq_msg_t>) {
    zmq_msg_init_size(frame, RoutingID.byteCount)
    guard let data = zmq_msg_data(frame) else { return }
    data.storeBytes(of: 0, as: UInt8.self)
    UnsafeMutableRawBufferPointer(start: data + 1, count: 4).storeBytes(of: number.bigEndian, as: UInt32.self)
  }

  package var description: String { "peer \(number)" }
}
