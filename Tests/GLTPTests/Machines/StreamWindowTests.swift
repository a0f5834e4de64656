import GLTP
import Testing

/// What all machines share: windows, liveness, time.
@Suite struct StreamWindowTests {
  @Test func aSenderStopsAtItsWindowAndAtFinal() {
    var sender = StreamSender(window: 2)
    #expect(sender.send(isFinal: false) == 0 && sender.isOpen && sender.send(isFinal: false) == 1 && !sender.isOpen)
    #expect(
      sender.acknowledge(0) == .stale && sender.acknowledge(3) == .violation && sender.acknowledge(1) == .progress)
    #expect(sender.isOpen && sender.send(isFinal: true) == 2)
    #expect(sender.acknowledge(3) == .progress && !sender.isOpen && sender.isFinished)
  }

  @Test(arguments: [(UInt32(0), UInt32(1)), (3, 3), (4, 4), (.max, 4)])
  func aWindowIsOneToFour(_ asked: UInt32, _ expected: UInt32) {
    #expect(StreamSender(window: asked).window == expected)
  }

  @Test func aReceiverTellsDuplicatesGapsAndWhatFollowsTheEnd() {
    var receiver = StreamReceiver(window: 4)
    #expect(receiver.receive(1, isFinal: false) == .gap)
    #expect(receiver.receive(0, isFinal: false) == .accepted && receiver.receive(0, isFinal: true) == .duplicate)
    #expect(receiver.receive(.max, isFinal: false) == .gap && receiver.receive(1, isFinal: false) == .accepted)
    #expect(receiver.acknowledge(upTo: 1) == 1 && receiver.acknowledge(upTo: 1) == nil)
    #expect(receiver.acknowledgeAll() == 2 && receiver.acknowledgeAll() == nil && receiver.acknowledge(upTo: 99) == nil)
    #expect(receiver.receive(2, isFinal: true) == .accepted && receiver.receive(3, isFinal: false) == .afterFinal)
    #expect(receiver.receive(9, isFinal: false) == .afterFinal && receiver.receive(2, isFinal: true) == .duplicate)
  }

  @Test func theLastChunkOfAStreamIsNotAcknowledged() {
    var receiver = StreamReceiver(window: 4)
    #expect(receiver.receive(0, isFinal: false) == .accepted && receiver.receive(1, isFinal: true) == .accepted)
    #expect(receiver.acknowledgeAll() == nil)
  }

  @Test func aReceiverRefusesMoreThanItsWindow() {
    var receiver = StreamReceiver(window: 2)
    for sequence in 0..<2 { #expect(receiver.receive(UInt32(sequence), isFinal: false) == .accepted) }
    #expect(receiver.receive(2, isFinal: false) == .overrun)
    _ = receiver.acknowledge(upTo: 1)
    #expect(receiver.receive(2, isFinal: false) == .accepted)
  }

  @Test func quietSidesPingAndSilentOnesExpire() {
    var now = MonotonicTime.zero
    var liveness = Liveness(heartbeat: .seconds(2), expiry: .seconds(1), now: now)
    #expect(liveness.expiry == .seconds(4), "at least twice the heartbeat")
    #expect(liveness.nextTimer == now + .seconds(2) && liveness.check(now) == nil)
    now += .seconds(2)
    #expect(liveness.check(now) == .ping(sequence: 1) && liveness.check(now) == nil)
    liveness.noteReceived(now)
    now += .seconds(1)
    liveness.noteSent(now)
    #expect(liveness.nextTimer == now + .seconds(2) && liveness.silence(now) == .seconds(1))
    now += .seconds(3)
    #expect(liveness.check(now) == .expired)
  }

  @Test func timeSaturates() {
    #expect(MonotonicTime.distantFuture + .seconds(1) == .distantFuture)
    #expect(MonotonicTime.zero + .seconds(.max) == .distantFuture)
    #expect(MonotonicTime.zero.since(.distantFuture) == .zero)
    #expect(MonotonicDuration.seconds(10_000_000).wholeMilliseconds == .max)
    #expect(MonotonicDuration.microseconds(.max) + .seconds(1) == .microseconds(.max))
  }
}
