import Glibc
import Mesh
import Synchronization
import Testing

/// All tests of the transport, one at a time: some count the descriptors and the memory of the process.
@Suite(.serialized, .alone, .timeLimit(.minutes(2)))
struct TransportTests {}

/// What happened on a loop, in order, to be read by the test's own thread.
final class Recorder<Event: Sendable>: Sendable {
  private let events = Mutex<[Event]>([])

  func add(_ event: Event) { events.withLock { $0.append(event) } }
  var all: [Event] { events.withLock { $0 } }
  var count: Int { events.withLock { $0.count } }

  /// Waits until the events satisfy `condition`; fails the test after `deadline`.
  func wait(
    _ deadline: Duration = .seconds(10), _ what: String = "events", sourceLocation: SourceLocation = #_sourceLocation,
    until condition: ([Event]) -> Bool
  ) async throws {
    try await eventually(deadline, "\(what); there were \(all.suffix(20))", sourceLocation: sourceLocation) {
      condition(all)
    }
  }
}

struct Timeout: Error {}

/// Waits until `condition` holds; fails the test after `deadline`.
@inline(never)
func eventually(
  _ deadline: Duration = .seconds(10), _ what: @autoclosure () -> String = "condition",
  sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
  let end = ContinuousClock.now + deadline
  while try await !condition() {
    guard ContinuousClock.now < end else {
      Issue.record("timed out waiting for \(what())", sourceLocation: sourceLocation)
      throw Timeout()
    }
    try await Task.sleep(for: .milliseconds(2))
  }
}

extension EventLoop {
  /// Runs `body` on the loop's thread and returns what it returns.
  func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      execute { continuation.resume(with: Result { try body() }) }
    }
  }
}

/// Gives `body` an I/O thread and makes sure that it ends.
func withLoop(_ body: (EventLoop) async throws -> Void) async throws {
  let thread = try IOThread()
  do {
    try await body(thread.loop)
  } catch {
    _ = await thread.stop()
    throw error
  }
  #expect(await thread.stop(), "the I/O thread did not end")
}

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

extension Multipart {
  var bytes: [[UInt8]] { (0..<count).map { Array(self[$0]) } }

  convenience init(_ parts: [UInt8]...) {
    self.init()
    for part in parts { append(copying: part) }
  }
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

extension LinkTimings {
  /// Reconnects fast enough for tests.
  static let quick = {
    var timings = LinkTimings()
    timings.reconnect = .milliseconds(20)
    timings.reconnectMaximum = .milliseconds(100)
    return timings
  }()
}

private final class Work {
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}

/// Runs `body`, which waits for sockets, on a thread of its own.
func onOwnThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
  await withCheckedContinuation { continuation in
    let work = Unmanaged.passRetained(Work { continuation.resume(returning: body()) })
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { argument in
        pthread_detach(pthread_self())
        Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, work.toOpaque())
  }
}

/// A peer made of nothing but a TCP socket: speaks ZMTP 3.0 with the NULL mechanism as far as it likes.
final class RawPeer: Sendable {
  let descriptor: Int32

  init(port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var timeout = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    try #require(status == 0)
  }

  deinit { close(descriptor) }

  /// Whether all bytes left; false once the other end has closed.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + offset, bytes.count - offset, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return false }
      offset += count
    }
    return true
  }

  /// Greeting and READY; whether the other end has answered both.
  func shakeHands(identity: [UInt8] = []) -> Bool {
    var greeting = [UInt8](repeating: 0, count: 64)
    greeting[0] = 0xFF
    greeting[9] = 0x7F
    greeting[10] = 3
    greeting.replaceSubrange(12..<16, with: Array("NULL".utf8))
    guard send(greeting), receive(64) != nil else { return false }
    func property(_ name: String, _ value: [UInt8]) -> [UInt8] {
      [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.count)] + value
    }
    let body =
      [5] + Array("READY".utf8) + property("Socket-Type", Array("DEALER".utf8)) + property("Identity", identity)
    return send([4, UInt8(body.count)] + body) && receive(2) != nil
  }

  func receive(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = recv(descriptor, &bytes, count, Int32(MSG_WAITALL))
    return got == count ? bytes : nil
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
