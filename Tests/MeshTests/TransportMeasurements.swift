import GLTP
import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  /// Prints what an echo through a listener costs: dialer and listener on an I/O thread each, over loopback.
  @Suite struct Measurements {
    struct Figures: Sendable {
      var roundTrips = 0
      var latencies: [Int64] = []
    }

    /// Keeps `inFlight` messages under way for `duration` and measures their round trips.
    private func measure(_ byteCount: Int, inFlight: Int, _ duration: Duration, isEncrypted: Bool) async throws
      -> Figures
    {
      let server = try IOThread()
      let client = try IOThread()
      let serverKeys = try KeyPair.generate()
      let clientKeys = try KeyPair.generate()
      let list = AllowListSource(AllowList([clientKeys.publicKey: .client]))
      let echo = try await server.loop.run {
        try Listener(
          on: Endpoint("tcp://127.0.0.1:0"), loop: server.loop,
          security: isEncrypted ? .curve(serverKeys, list) : .open(allowPublic: false), limits: .mesh
        ) { listener, event in
          if case .message(let message, let peer) = event { _ = listener.send(message, to: peer) }
        }
      }
      let figures = Mutex(Figures())
      figures.withLock { $0.latencies.reserveCapacity(1 << 20) }
      let isOver = Atomic<Bool>(false)
      let loop = client.loop
      let end = Mutex(MonotonicInstant.now)
      @Sendable func send(_ dialer: Dialer) {
        let buffer = loop.buffers.take(byteCount)
        buffer.base.storeBytes(of: MonotonicInstant.now.nanoseconds, as: Int64.self)
        let message = loop.messages.take()
        message.append(
          MessagePart(owner: buffer, bytes: UnsafeRawBufferPointer(start: buffer.base, count: byteCount)))
        _ = dialer.send(message)
      }
      let dialer = try await loop.run {
        try Dialer(
          to: echo.endpoint, loop: loop,
          security: isEncrypted ? .curve(clientKeys, server: serverKeys.publicKey) : .open(allowPublic: false)
        ) { dialer, event in
          switch event {
          case .connected:
            end.withLock { $0 = MonotonicInstant.now.advanced(by: duration) }
            for _ in 0..<inFlight { send(dialer) }
          case .message(let message):
            let now = MonotonicInstant.now
            let sentAt = message[0].load(as: Int64.self)
            figures.withLock { figures in
              figures.roundTrips += 1
              if figures.latencies.count < 1 << 20 { figures.latencies.append(now.nanoseconds - sentAt) }
            }
            if now < end.withLock({ $0 }) { send(dialer) } else { isOver.store(true, ordering: .relaxed) }
          default: break
          }
        }
      }
      try await eventually(duration + .seconds(10)) { isOver.load(ordering: .relaxed) }
      withExtendedLifetime(dialer) {}
      #expect(await client.stop())
      #expect(await server.stop())
      return figures.withLock { $0 }
    }

    @Test("Round trips through a listener", arguments: [false, true])
    func roundTrips(isEncrypted: Bool) async throws {
      let seconds = getenv("GLTA_MEASURE_SECONDS").flatMap { Double(String(cString: $0)) } ?? 0.3
      for byteCount in [1 << 10, 64 << 10] {
        for inFlight in [1, 8] {
          var figures = try await measure(byteCount, inFlight: inFlight, .seconds(seconds), isEncrypted: isEncrypted)
          #expect(figures.roundTrips > 0)
          figures.latencies.sort()
          let p50 = figures.latencies[figures.latencies.count / 2] / 1_000
          let p99 = figures.latencies[figures.latencies.count * 99 / 100] / 1_000
          let rate = Int(Double(figures.roundTrips) / seconds)
          print(
            "\(isEncrypted ? "CURVE" : "open") \(byteCount >> 10) KiB, \(inFlight) in flight: "
              + "\(rate) round trips/s, p50 \(p50) us, p99 \(p99) us")
        }
      }
    }
  }
}
