import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  @Suite struct Loop {
    @Test("Timers fire by deadline, then by the order of arming; disarmed and re-armed ones keep their word")
    func timers() async throws {
      try await withLoop { loop in
        let fired = Recorder<Int>()
        let kept = Mutex<[LoopTimer]>([])
        try await loop.run {
          let base = MonotonicInstant.now.advanced(by: .milliseconds(20))
          let delays = [3, 1, 2, 1, 0, 3]
          let timers = delays.indices.map { index in loop.makeTimer { fired.add(index) } }
          for (timer, delay) in zip(timers, delays) { timer.arm(at: base.advanced(by: .milliseconds(delay))) }
          timers[2].disarm()
          timers[4].arm(at: base.advanced(by: .milliseconds(9)))
          #expect(timers[2].deadline == nil && timers[4].deadline != nil)
          kept.withLock { $0 = timers }
        }
        try await fired.wait(until: { $0.count == 5 })
        #expect(fired.all == [1, 3, 0, 5, 4])
      }
    }

    @Test("Two thousand timers fire in order, whatever order they are armed and disarmed in")
    func manyTimers() async throws {
      try await withLoop { loop in
        let fired = Recorder<Int>()
        let expected = try await loop.run {
          var state: UInt64 = 42
          func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
          }
          let base = MonotonicInstant.now.advanced(by: .milliseconds(30))
          var due = [Int?](repeating: nil, count: 2_000)
          let timers = due.indices.map { index in loop.makeTimer { fired.add(index) } }
          var order = due.map { _ in 0 }
          for step in 0..<6_000 {
            let index = random(2_000)
            if random(3) == 0 {
              timers[index].disarm()
              due[index] = nil
            } else {
              let delay = random(500)
              timers[index].arm(at: base.advanced(by: .microseconds(delay)))
              due[index] = delay
              order[index] = step
            }
          }
          return due.indices.filter { due[$0] != nil }.sorted { (due[$0]!, order[$0]) < (due[$1]!, order[$1]) }
        }
        try await fired.wait(until: { $0.count == expected.count })
        #expect(fired.all == expected)
      }
    }

    @Test("A timer that arms itself for the past does not keep the loop from its other work")
    func greedyTimer() async throws {
      try await withLoop { loop in
        let stop = Atomic<Bool>(false)
        let holder = Mutex<LoopTimer?>(nil)
        try await loop.run {
          let timer = loop.makeTimer {
            if !stop.load(ordering: .relaxed) { holder.withLock { $0 }?.arm(at: MonotonicInstant(nanoseconds: 0)) }
          }
          holder.withLock { $0 = timer }
          timer.arm(after: .zero)
        }
        for _ in 0..<20 { try await loop.run {} }
        stop.store(true, ordering: .relaxed)
      }
    }

    @Test("Values from other threads wake the loop, arrive once and in order per thread")
    func inbox() async throws {
      try await withLoop { loop in
        let seen = Mutex<[Int: [Int]]>([:])
        let inbox = loop.makeInbox(of: (Int, Int).self) { value in
          precondition(loop.isCurrent)
          seen.withLock { $0[value.0, default: []].append(value.1) }
        }
        await withTaskGroup(of: Void.self) { group in
          for thread in 0..<4 {
            group.addTask {
              await onOwnThread {
                for number in 0..<20_000 {
                  inbox.post((thread, number))
                  if number % 1_000 == 0 { usleep(200) }
                }
              }
            }
          }
        }
        try await eventually { seen.withLock { $0.values.map(\.count).reduce(0, +) } == 80_000 }
        #expect(seen.withLock { $0.values.allSatisfy { $0 == Array(0..<20_000) } })
      }
    }

    @Test("A sleeping loop wakes within milliseconds")
    func wakeLatency() async throws {
      try await withLoop { loop in
        var worst = Duration.zero
        for _ in 0..<20 {
          try await Task.sleep(for: .milliseconds(5))
          let start = ContinuousClock.now
          try await loop.run {}
          worst = max(worst, ContinuousClock.now - start)
        }
        #expect(worst < .milliseconds(200), "\(worst)")
      }
    }

    @Test("Two hundred loops start and stop under way without a hang or a leaked descriptor")
    func lifecycle() async throws {
      let once = { (round: Int) async throws in
        let thread = try IOThread()
        let loop = thread.loop
        let heard = Recorder<Heard>()
        let list = AllowListSource(AllowList([:]))
        let listener =
          round % 5 == 4
          ? try await loop.listener("tcp://127.0.0.1:0", heard, security: .curve(.generate(), list))
          : try await loop.echo("tcp://127.0.0.1:0", heard)
        let dialer = try await loop.dialer(listener.endpoint, heard)
        // One that never gets through, one without a listener.
        _ = try await loop.dialer(Endpoint("tcp://127.0.0.1:1"), heard)
        _ = try await loop.dialer(Endpoint("inproc://nobody"), heard)
        if round % 5 != 4 {
          try await heard.wait(until: { $0.contains(.connected) })
          _ = try await loop.run {
            for _ in 0..<10 { _ = dialer.send(Multipart([UInt8](repeating: 1, count: 50_000))) }
          }
        }
        #expect(await thread.stop(linger: round % 2 == 0 ? .zero : .milliseconds(20)))
      }
      try await once(0)
      try await once(4)
      let before = openDescriptors()
      for round in 0..<200 { try await once(round) }
      try await eventually(.seconds(5), "descriptors to close: \(openDescriptors()), were \(before)") {
        openDescriptors() <= before
      }
    }

    @Test("A stopped loop drops what is posted, and can be asked to stop again")
    func afterTheEnd() async throws {
      let thread = try IOThread()
      let inbox = thread.loop.makeInbox(of: Int.self) { _ in }
      #expect(thread.stopAndWait())
      inbox.post(1)
      thread.loop.execute { Issue.record("ran after the end") }
      #expect(await thread.stop())
      #expect(thread.stopAndWait())
    }

    @Test("Stopping gives up at its deadline when a handler does not return, and sees the end later")
    func stuck() async throws {
      let thread = try IOThread()
      thread.loop.execute { usleep(700_000) }
      let start = ContinuousClock.now
      #expect(await thread.stop(deadline: .milliseconds(100)) == false)
      #expect(thread.stopAndWait(deadline: .milliseconds(100)) == false)
      #expect(ContinuousClock.now - start < .milliseconds(600))
      #expect(await thread.stop())
    }

    @Test("Sent messages reach their peer although the sender stops, within the linger time")
    func linger() async throws {
      try await withLoop { loop in
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard)
        let sender = try IOThread()
        let connected = Recorder<Heard>()
        let dialer = try await sender.loop.dialer(listener.endpoint, connected)
        try await connected.wait(until: { $0.contains(.connected) })
        _ = try await sender.loop.run {
          for number in 0..<50 { _ = dialer.send(Multipart([UInt8(number)], [UInt8](repeating: 0, count: 100_000))) }
        }
        #expect(await sender.stop(linger: .seconds(5)))
        try await heard.wait(until: { $0.filter { if case .message = $0 { true } else { false } }.count == 50 })
      }
    }
  }
}
