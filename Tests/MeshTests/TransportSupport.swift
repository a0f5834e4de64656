import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

/// All tests of the transport, one at a time: some count the descriptors and the memory of the process.
@Suite(.serialized, .alone, .timeLimit(.minutes(2)))
struct TransportTests {}

/// What listeners report, in a form that can be compared and outlives the message.
enum Heard: Sendable, Equatable {
  case arrived(String?)
  case message([[UInt8]])
  case gone
  case offence(Offence)
  case refused(Offence)
  case handshakeFailed(HandshakeFailure)
  case connected
  case disconnected
  case retrying
  case unparked
  case other
}

extension Heard {
  init(_ event: ListenerEvent) {
    switch event {
    case .peerArrived(let peer): self = .arrived(peer.identity?.role.rawValue)
    case .message(let message, _): self = .message(message.bytes)
    case .peerGone: self = .gone
    case .offence(let offence, _): self = .offence(offence)
    case .refused(let offence, _): self = .refused(offence)
    case .handshakeFailed(let failure): self = .handshakeFailed(failure)
    case .unparked: self = .unparked
    case .acceptFailed: self = .other
    }
  }

  init(_ event: DialerEvent) {
    switch event {
    case .connected: self = .connected
    case .disconnected: self = .disconnected
    case .message(let message): self = .message(message.bytes)
    case .offence(let offence): self = .offence(offence)
    case .handshakeFailed(let failure): self = .handshakeFailed(failure)
    case .retrying: self = .retrying
    case .unparked: self = .unparked
    }
  }
}

extension EventLoop {
  /// A listener on loopback that records what it hears.
  func listener(
    _ endpoint: String = "tcp://127.0.0.1:0", _ heard: Recorder<Heard>, security: ListenerSecurity? = nil,
    limits: EdgeLimits = .mesh, also handler: @escaping @Sendable (Listener, ListenerEvent) -> Void = { _, _ in }
  ) async throws -> Listener {
    let security = security ?? .open(allowPublic: false)
    return try await run {
      try Listener(
        on: Endpoint(endpoint), loop: self, security: security, limits: limits, timings: .quick
      ) { listener, event in
        heard.add(Heard(event))
        handler(listener, event)
      }
    }
  }

  /// A listener that sends every message back by moving its parts.
  func echo(_ endpoint: String = "tcp://127.0.0.1:0", _ heard: Recorder<Heard> = Recorder()) async throws -> Listener {
    try await listener(endpoint, heard) { listener, event in
      guard case .message(let message, let peer) = event else { return }
      _ = listener.send(message, to: peer)
    }
  }

  func dialer(
    _ endpoint: Endpoint, _ heard: Recorder<Heard>, security: DialerSecurity = .open(allowPublic: false),
    limits: EdgeLimits = .mesh, also handler: @escaping @Sendable (Dialer, DialerEvent) -> Void = { _, _ in }
  ) async throws -> Dialer {
    try await run {
      try Dialer(to: endpoint, loop: self, security: security, limits: limits, timings: .quick) { dialer, event in
        heard.add(Heard(event))
        handler(dialer, event)
      }
    }
  }
}

/// The memory of this process that is in RAM, in bytes.
func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var text = [CChar](repeating: 0, count: 256)
  guard fgets(&text, 256, file) != nil else { return 0 }
  let words = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
    separator: " ")
  return (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

/// The descriptors that this process has open.
func openDescriptors() -> Int { (0..<4_096).filter { fcntl(Int32($0), F_GETFD) >= 0 }.count }
