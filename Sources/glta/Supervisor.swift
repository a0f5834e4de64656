import Foundation
import Synchronization

/// Keeps processes up: one that ends is started again, ever more slowly while it keeps ending.
final class Supervisor: Sendable {
  /// Gateways leave after workers.
  enum Kind { case gateway, worker }

  /// A process to keep.
  struct Child: Sendable {
    let name: String
    let kind: Kind
    let executable: String
    let arguments: [String]
  }

  private struct Running {
    var process: Process?
    var startedAt = ContinuousClock.now
    var delay = Supervisor.shortestDelay
  }

  private static let shortestDelay = Duration.milliseconds(200)
  private static let longestDelay = Duration.seconds(10)
  /// A process that lived so long starts its back-off anew.
  private static let settled = Duration.seconds(30)

  private let children: [Child]
  private let note: @Sendable (String) -> Void
  private let running: Mutex<[Running]>
  private let leaving = Mutex<Set<Kind>>([])

  init(_ children: [Child], note: @escaping @Sendable (String) -> Void) {
    self.children = children
    self.note = note
    running = Mutex(children.map { _ in Running() })
  }

  /// Starts the processes of a kind.
  ///
  /// - Throws: what starting a process throws.
  func start(_ kind: Kind) throws {
    for index in children.indices where children[index].kind == kind { try start(index) }
  }

  private func start(_ index: Int) throws {
    let child = children[index]
    let process = Process()
    process.executableURL = URL(fileURLWithPath: child.executable)
    process.arguments = child.arguments
    var environment = ProcessInfo.processInfo.environment
    environment["GLTA_SUPERVISOR_PID"] = "\(getpid())"
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    process.terminationHandler = { [weak self] process in self?.ended(index, process) }
    try process.run()
    running.withLock {
      $0[index].process = process; $0[index].startedAt = .now
    }
  }

  private func ended(_ index: Int, _ process: Process) {
    let child = children[index]
    guard !leaving.withLock({ $0.contains(child.kind) }) else { return }
    let delay = running.withLock { running in
      running[index].process = nil
      if running[index].startedAt.duration(to: .now) > Supervisor.settled {
        running[index].delay = Supervisor.shortestDelay
      }
      defer { running[index].delay = min(Supervisor.longestDelay, running[index].delay * 2) }
      return running[index].delay
    }
    let how = process.terminationReason == .uncaughtSignal ? "was killed by signal" : "ended with status"
    note("\(child.name) \(how) \(process.terminationStatus); starting it again in \(delay)")
    Task {
      try? await Task.sleep(for: delay)
      guard !leaving.withLock({ $0.contains(child.kind) }) else { return }
      do { try start(index) } catch { note("\(child.name) cannot be started: \(error)") }
    }
  }

  /// Asks the processes of a kind to leave, and kills those that have not left in time.
  func drain(_ kind: Kind, within limit: Duration) async {
    _ = leaving.withLock { $0.insert(kind) }
    let processes = processes(of: kind)
    for process in processes { process.terminate() }
    let deadline = ContinuousClock.now + limit
    while processes.contains(where: \.isRunning), ContinuousClock.now < deadline {
      try? await Task.sleep(for: .milliseconds(20))
    }
    for process in processes where process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
  }

  /// Waits until it was asked to let all processes go, and they have gone.
  func waitUntilEmpty() async {
    while leaving.withLock({ $0.count }) < 2 || running.withLock({ $0.contains { $0.process?.isRunning == true } }) {
      try? await Task.sleep(for: .milliseconds(50))
    }
  }

  /// Kills everything at once.
  func kill() {
    leaving.withLock { $0 = [.gateway, .worker] }
    for kind in [Kind.worker, .gateway] {
      for process in processes(of: kind) where process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
    }
  }

  private func processes(of kind: Kind) -> [Process] {
    running.withLock { running in
      children.indices.filter { children[$0].kind == kind }.compactMap { running[$0].process }
    }
  }
}
