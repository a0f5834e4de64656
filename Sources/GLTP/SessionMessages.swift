/// What a peer is ready to receive.
public struct PeerLimits: Sendable, Hashable {
  /// Bytes of the largest part.
  public var partBytes: UInt32
  /// Raw bytes of all tensors of a message.
  public var messageBytes: UInt32
  /// Chunks of a stream that may be sent without ACK.
  public var window: UInt32

  /// Limits in bytes and chunks. None may exceed the table of gltp-1.md 8.
  public init(partBytes: UInt32, messageBytes: UInt32, window: UInt32 = 4) {
    self.partBytes = partBytes
    self.messageBytes = messageBytes
    self.window = window
  }

  /// What workers and gateways take from one another.
  public static let mesh = PeerLimits(partBytes: 9 << 20, messageBytes: 32 << 20)
  /// What gateways take from clients.
  public static let clientEdge = PeerLimits(partBytes: 320 << 10, messageBytes: 1 << 20)
}

/// The first message of a session, from the side that dials.
public struct Hello: Sendable, Equatable {
  /// What the peer speaks (gltp-1.md 6.2).
  public var versions: VersionRange
  /// What the peer wants to be.
  public var role: Role
  /// What it is ready to receive.
  public var limits: PeerLimits
  /// A set of bits; 1.0 defines none.
  public var features: UInt64
  /// A name for logs, 1 to 128 bytes.
  public var peerID: WireText?
  /// Names the process; new at every start (gltp-1.md 7.7).
  public var bootID: BootID?
  /// Software and version, 1 to 128 bytes.
  public var build: WireText?
  /// Runs that a worker executes or queues at once.
  public var slots: UInt32?
  /// What a worker serves, at most 8.
  public var bundles: [BundleHash]

  /// A worker must give `slots` and at least one bundle (gltp-1.md 5.2).
  public init(
    role: Role, versions: VersionRange = .supported, limits: PeerLimits = .mesh, features: UInt64 = 0,
    peerID: WireText? = nil, bootID: BootID? = nil, build: WireText? = nil, slots: UInt32? = nil,
    bundles: [BundleHash] = []
  ) {
    self.versions = versions
    self.role = role
    self.limits = limits
    self.features = features
    self.peerID = peerID
    self.bootID = bootID
    self.build = build
    self.slots = slots
    self.bundles = bundles
  }
}

/// The gateway's acceptance; the session's id stands in the header.
public struct Welcome: Sendable, Equatable {
  /// The version in force from here on (gltp-1.md 6.2).
  public var version: ProtocolVersion
  /// `gateway`; anything else is a contradiction.
  public var role: Role
  /// Silence in milliseconds after which a side sends PING; holds for both (gltp-1.md 6.4).
  public var heartbeatMilliseconds: UInt32
  /// Silence in milliseconds that ends the session; at least twice the heartbeat.
  public var expiryMilliseconds: UInt32
  /// What the gateway is ready to receive.
  public var limits: PeerLimits
  /// A set of bits; 1.0 defines none.
  public var features: UInt64
  /// The gateway's name for logs, 1 to 128 bytes.
  public var peerID: WireText?
  /// Names the gateway's process; new at every start.
  public var bootID: BootID?
  /// Software and version of the gateway, 1 to 128 bytes.
  public var build: WireText?
  /// The gateway's current bundle, where it has one.
  public var bundles: [BundleHash]

  /// The intervals of gltp-1.md 6.4 unless told otherwise.
  public init(
    version: ProtocolVersion = .current, role: Role = .gateway, heartbeatMilliseconds: UInt32 = 2000,
    expiryMilliseconds: UInt32 = 6000, limits: PeerLimits = .mesh, features: UInt64 = 0, peerID: WireText? = nil,
    bootID: BootID? = nil, build: WireText? = nil, bundles: [BundleHash] = []
  ) {
    self.version = version
    self.role = role
    self.heartbeatMilliseconds = heartbeatMilliseconds
    self.expiryMilliseconds = expiryMilliseconds
    self.limits = limits
    self.features = features
    self.peerID = peerID
    self.bootID = bootID
    self.build = build
    self.bundles = bundles
  }
}

/// The gateway's refusal of a peer, or of a session that it does not have; the reason is the header's status.
public struct Reject: Sendable, Equatable {
  /// What the gateway speaks, where the status is VERSION.
  public var versions: VersionRange?
  /// When to say HELLO again, in milliseconds.
  public var retryAfterMilliseconds: UInt32?
  /// For people and logs, 1 to 1,024 bytes.
  public var detail: WireText?

  /// `versions` must be there where the header's status is VERSION.
  public init(versions: VersionRange? = nil, retryAfterMilliseconds: UInt32? = nil, detail: WireText? = nil) {
    self.versions = versions
    self.retryAfterMilliseconds = retryAfterMilliseconds
    self.detail = detail
  }
}
