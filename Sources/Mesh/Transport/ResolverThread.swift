#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ
import Synchronization

/// Asks a resolver for the addresses of some hosts again and again, on a thread of its own, because resolvers wait.
final class ResolverThread: Sendable {
  typealias Answer = (host: String, result: Result<[String], MeshError>)

  private let alarm: LoopAlarm
  private let isStopped = Atomic<Bool>(false)

  /// - Parameter report: called on the new thread for every host, every `interval`.
  /// - Throws: `MeshError.inputOutput` if the system refuses a thread.
  init(
    hosts: [String], resolver: any AddressResolver, interval: Duration, report: @escaping @Sendable (Answer) -> Void
  ) throws(MeshError) {
    alarm = try LoopAlarm()
    let task = Task(thread: self) { thread in
      while !thread.isStopped.load(ordering: .acquiring) {
        for host in hosts {
          let result = Result { () throws(MeshError) in try resolver.addresses(of: host) }
          if thread.isStopped.load(ordering: .acquiring) { return }
          report((host, result))
        }
        thread.sleep(interval)
      }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var handle = pthread_t()
    let argument = Unmanaged.passRetained(task)
    let status = pthread_create(
      &handle, &attributes,
      { argument in
        guard let argument else { return nil }
        pthread_setname_np(pthread_self(), "glta-resolver")
        let task = Unmanaged<Task>.fromOpaque(argument).takeRetainedValue()
        task.body(task.thread)
        return nil
      }, argument.toOpaque())
    pthread_attr_destroy(&attributes)
    guard status == 0 else {
      argument.release()
      errno = status
      throw systemError("start the resolver's thread")
    }
  }

  private final class Task {
    let thread: ResolverThread
    let body: (ResolverThread) -> Void

    init(thread: ResolverThread, body: @escaping (ResolverThread) -> Void) {
      self.thread = thread
      self.body = body
    }
  }

  /// Lets the thread end when the resolver next returns. Does not wait for it.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    eventfd_write(alarm.descriptor, 1)
  }

  private func sleep(_ duration: Duration) {
    var wait = pollfd(fd: alarm.descriptor, events: Int16(POLLIN), revents: 0)
    poll(&wait, 1, duration.milliseconds)
  }
}
