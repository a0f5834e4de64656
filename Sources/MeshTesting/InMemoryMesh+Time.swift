internal import GLTP

/// How time passes: messages first, then computation, then timers.
extension InMemoryMesh {
  mutating func run(until end: MonotonicTime) {
    while step(until: end) {}
    time.advance(to: end)
  }

  /// Takes the next thing that happens by `end`. Returns false where there is nothing; then it is `end`.
  mutating func step(until end: MonotonicTime) -> Bool {
    let next = nextTime
    guard next <= end else {
      time.advance(to: end)
      return false
    }
    time.advance(to: next)
    if let happening = store.next(at: now) {
      handle(happening)
      return true
    }
    for process in processes where isAwake(process) && nodes[process]?.wakes ?? .distantFuture <= now {
      advanceComputation(process)
      return true
    }
    for process in processes where isAwake(process) && nodes[process]?.timer ?? .distantFuture <= now {
      fireTimer(process)
    }
    return true
  }

  private func isAwake(_ process: MeshProcess) -> Bool { nodes[process]?.stoppedAt == nil }

  private var nextTime: MonotonicTime {
    var next = store.nextTime
    for node in nodes.values where node.stoppedAt == nil { next = min(next, node.timer, node.wakes) }
    return max(next, now)
  }

  private mutating func fireTimer(_ process: MeshProcess) {
    switch process.role {
    case .client: tell(process, client: .timer)
    case .gateway: tell(process, gateway: .timer)
    default: tell(process, worker: .timer)
    }
  }

  private mutating func advanceComputation(_ process: MeshProcess) {
    guard case .worker(let machine, var compute)? = nodes[process]?.machine else { return }
    let events = compute.advance(now)
    nodes[process]?.hold(.worker(machine, compute))
    for event in events { tell(process, worker: event) }
  }

  private mutating func handle(_ happening: Happening) {
    if let process = happening.process(connections) {
      guard nodes[process]?.isAlive == true else { return }
      if nodes[process]?.stoppedAt != nil {
        nodes[process]?.parked.append(happening)
        return
      }
    }
    switch happening {
    case .message(let message, let connection, let toGateway):
      if toGateway { deliverUp(message, connection) } else { deliverDown(message, connection) }
    case .dial(let process, let link, let number): dial(process, link, number)
    case .connected(let process, let link, let connection):
      guard nodes[process]?.connections[link] == connection, connections[connection].isOpen else { return }
      tellDialler(process, .connected(link), .connected(link))
    case .disconnected(let process, let link, let connection, let reason):
      guard nodes[process]?.connections[link] == connection else { return }
      nodes[process]?.connections[link] = nil
      tellDialler(process, .disconnected(link, reason: reason), .disconnected(link, reason: reason))
    case .lost(let process, let peer): tell(process, gateway: .disconnected(peer))
    case .stopped(let process, let run): tell(process, worker: .stopped(run))
    case .verified(let process, let ticket, let isIntact):
      tell(process, gateway: .verified(ticket: ticket, isIntact: isIntact))
    }
  }
}
