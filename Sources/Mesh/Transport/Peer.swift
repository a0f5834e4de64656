/// One connection of a listener from its first message to its end. Used on the loop's thread only.
package final class Peer: Hashable, CustomStringConvertible, @unchecked Sendable {
  package let id: RoutingID
  /// Who the peer has proved to be; nil where the listener does not ask for keys.
  package let identity: PeerIdentity?
  /// The other end, such as `127.0.0.1:40312`, or `inproc`.
  package let address: String
  /// Whether messages can still be sent to it.
  package internal(set) var isReachable = true
  /// For the layer above: the session that belongs to the peer, so that no second table is needed.
  package var attachment: AnyObject?

  let connection: Connection?
  var lanes = OutboundLanes()
  var isParked = false
  /// Messages that still come from a peer that was disconnected are dropped.
  var isExpelled = false

  init(id: RoutingID, identity: PeerIdentity?, address: String, connection: Connection?) {
    self.id = id
    self.identity = identity
    self.address = address
    self.connection = connection
  }

  /// The messages that wait because libzmq's queue to the peer is full.
  package var parkedMessages: Int { lanes.count }

  package static func == (left: Peer, right: Peer) -> Bool { left === right }
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
  package var description: String {
    identity.map { "\($0.role) at \(address)" } ?? "\(id) at \(address)"
  }
}
