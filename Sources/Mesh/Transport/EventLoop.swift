#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
package import GLTP
import Synchronization

/// Owns every socket of a process and runs on one thread: sockets, timers and what other threads post.
///
/// `execute`, the pools and the inboxes are for any thread; everything else, and everything made here, is for the loop's
/// thread only, which calls of this package check. Nothing the loop does waits for a peer, and handlers must not wait
/// either: they move messages and decide; compute happens elsewhere.
///
/// A turn takes in what was posted, fires the timers that are due, serves the sockets that may have input, and sleeps
/// until the next of these. It polls ZeroMQ's descriptors itself instead of calling `zmq_poll`, which asks every socket
/// anew on each call, allocates beyond 16 of them, and does not return when a full queue has drained.
package final class EventLoop: @unchecked Sendable {
  /// Messages to be used again. For any thread.
  package let messages = MultipartPool()
  /// Memory for the parts of messages. For any thread.
  package let buffers: BufferPool

  let context: UnsafeMutableRawPointer
  var timers = TimerHeap()
  private(set) var authenticator: Authenticator?
  private let alarm: LoopAlarm
  private var thread: pthread_t?
  private let inboxes = Mutex<[InboxDrain]>([])
  private var inboxesInUse: [InboxDrain] = []
  private var work: Inbox<@Sendable () -> Void>?
  private var sockets: [ZeroMQSocket] = []
  private var descriptors: [pollfd] = []
  private var mustRebuildDescriptors = true
  private var members: [ObjectIdentifier: any LoopMember] = [:]
  private var usedMessages: [Multipart] = []
  private var turnEnds: [() -> Void] = []
  private var isStopping = false
  private var linger = Duration.zero
  private var nextName = 0
  private let turns = Atomic<Int64>(0)

  init(buffers: BufferPool) throws(MeshError) {
    self.buffers = buffers
    alarm = try LoopAlarm()
    guard let context = zmq_ctx_new() else { throw zeroMQError("make a ZeroMQ context") }
    self.context = context
    zmq_ctx_set(context, ZMQ_IO_THREADS, 1)
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 1_023)
    zmq_ctx_set(context, ZMQ_BLOCKY, 0)
    usedMessages.reserveCapacity(1_024)
    work = makeInbox(of: (@Sendable () -> Void).self) { $0() }
  }

  // MARK: For any thread

  /// Runs `body` on the loop's thread, after what this thread has given it before.
  package func execute(_ body: @escaping @Sendable () -> Void) { work?.post(body) }

  /// Makes an inbox whose values `receive` gets on the loop's thread.
  package func makeInbox<Element: Sendable>(
    of type: Element.Type = Element.self, _ receive: @escaping (Element) -> Void
  ) -> Inbox<Element> {
    let inbox = Inbox<Element>(alarm: alarm, receive: receive)
    inboxes.withLock { $0.append(inbox) }
    return inbox
  }

  /// Whether the caller runs on the loop's thread.
  package var isCurrent: Bool {
    guard let thread else { return false }
    return pthread_equal(thread, pthread_self()) != 0
  }

  /// When the loop last began a turn. A loop without work sleeps up to a second, so an older turn means that a handler
  /// does not return: what a liveness probe wants to know.
  package var lastTurn: MonotonicInstant { MonotonicInstant(nanoseconds: turns.load(ordering: .relaxed)) }

  // MARK: For the loop's thread

  /// Makes a timer that calls `fire` on the loop's thread. It is not armed.
  package func makeTimer(_ fire: @escaping () -> Void) -> LoopTimer { LoopTimer(loop: self, fire: fire) }

  /// Ends the program if the caller is on another thread: a mistake of ours, which no peer can cause.
  func assertOnLoop() {
    precondition(isCurrent, "sockets and timers of an event loop are used on its thread only; see EventLoop.execute")
  }

  /// A name for sockets within the process that nobody else has.
  func uniqueName(_ prefix: String) -> String {
    nextName += 1
    return "\(prefix)-\(nextName)"
  }

  /// Lets `body` be called at the end of each turn: for what is better done once than for each message.
  func atEndOfTurn(_ body: @escaping () -> Void) { turnEnds.append(body) }

  func add(_ socket: ZeroMQSocket) {
    sockets.append(socket)
    mustRebuildDescriptors = true
  }

  func remove(_ socket: ZeroMQSocket) {
    sockets.removeAll { $0 === socket }
    mustRebuildDescriptors = true
  }

  /// Remembers what must be closed when the loop stops.
  func add(_ member: any LoopMember) { members[ObjectIdentifier(member)] = member }
  func remove(_ member: any LoopMember) { members[ObjectIdentifier(member)] = nil }

  /// Takes a message that the transport is done with. It returns to the pool at the end of the turn if nobody else
  /// holds it: by then the caller's own variables are gone.
  func reuse(_ message: Multipart) { usedMessages.append(message) }

  /// Lets the loop end after this turn.
  func stop(linger: Duration) {
    self.linger = max(self.linger, linger)
    isStopping = true
  }

  // MARK: The thread

  /// Starts the authentication handler, which must be there before anything is bound.
  func prepare() throws(MeshError) {
    thread = pthread_self()
    authenticator = try Authenticator(loop: self)
  }

  /// Runs until `stop`, closes every socket and ends the context.
  func run() {
    while !isStopping { turn() }
    let closing = members.values.sorted { $0.closingOrder < $1.closingOrder }
    for member in closing { member.close(linger: linger) }
    authenticator?.close()
    authenticator = nil
    timers.removeAll()
    turnEnds.removeAll()
    sockets.removeAll()
    for inbox in inboxes.withLock({ $0 }) { inbox.close() }
    usedMessages.removeAll()
    while zmq_ctx_term(context) != 0, zmq_errno() == EINTR {}
  }

  private func turn() {
    let now = MonotonicInstant.now
    turns.store(now.nanoseconds, ordering: .relaxed)
    if alarm.takeRing() { drainInboxes() }

    let due = timers.takeDue(at: now)
    for index in 0..<due { timers.taken(index)?() }
    if due > 0 { timers.forgetTaken() }

    // What one socket brings is often sent by one that was served before: look at that again before asking the system.
    serveSockets()
    if isBusy { serveSockets() }
    for body in turnEnds { body() }
    recycleMessages()
    if !isStopping { sleep(isBusy: isBusy) }
  }

  private func serveSockets() {
    var index = 0
    while index < sockets.count {
      let socket = sockets[index]
      if socket.isDirty, !socket.isClosed {
        socket.isDirty = false
        if socket.serve?() ?? false { socket.isDirty = true }
      }
      index += 1
    }
  }

  private var isBusy: Bool {
    for socket in sockets where socket.isDirty && !socket.isClosed { return true }
    return false
  }

  private func drainInboxes() {
    inboxes.withLock { inboxes in
      if inboxes.count != inboxesInUse.count { inboxesInUse = inboxes }
    }
    for inbox in inboxesInUse { inbox.drain() }
  }

  private func recycleMessages() {
    while var message = usedMessages.popLast() {
      if isKnownUniquelyReferenced(&message) { messages.recycle(message) }
    }
  }

  /// At most this long without a turn, so that `lastTurn` tells a sleeping loop from a stuck one.
  private static let longestSleep = Int64(1_000_000_000)

  private func sleep(isBusy: Bool) {
    if mustRebuildDescriptors { rebuildDescriptors() }
    var wait = Int64(0)
    if !isBusy, alarm.prepareToSleep() {
      wait = EventLoop.longestSleep
      if let next = timers.next {
        wait = min(wait, max(0, next.nanoseconds - MonotonicInstant.now.nanoseconds))
      }
    }
    let ready = SystemTime.with(nanoseconds: wait) { timeout in
      descriptors.withUnsafeMutableBufferPointer { ppoll($0.baseAddress, nfds_t($0.count), timeout, nil) }
    }
    alarm.wake(wasSignalled: ready > 0 && descriptors[0].revents != 0)
    guard ready > 0 else { return }
    for index in 1..<descriptors.count where descriptors[index].revents != 0 { sockets[index - 1].isDirty = true }
  }

  private func rebuildDescriptors() {
    mustRebuildDescriptors = false
    descriptors.removeAll(keepingCapacity: true)
    descriptors.append(pollfd(fd: alarm.descriptor, events: Int16(POLLIN), revents: 0))
    for socket in sockets {
      descriptors.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
    }
  }
}

/// What a loop closes when it stops.
protocol LoopMember: AnyObject {
  /// Lower ones close first: what makes dialers, then dialers and listeners.
  var closingOrder: Int { get }
  func close(linger: Duration)
}
