internal import GLTP

/// Events into machines, and their actions carried out: all of one event before the next, as a runtime must.
extension InMemoryMesh {
  /// Tells a process that dials.
  mutating func tellDialler(
    _ process: MeshProcess, _ client: ClientEvent<MeshChunk>, _ worker: WorkerEvent<MeshChunk>
  ) {
    if process.role == .client { tell(process, client: client) } else { tell(process, worker: worker) }
  }

  mutating func tell(_ process: MeshProcess, client event: ClientEvent<MeshChunk>) {
    guard case .client(var machine)? = nodes[process]?.machine else { return }
    nodes[process]?.machine = .none
    var actions: [ClientAction<MeshChunk>] = []
    machine.handle(event, now: now, into: &actions)
    nodes[process]?.hold(.client(machine))
    for action in actions { perform(action, process) }
  }

  mutating func tell(_ process: MeshProcess, gateway event: GatewayEvent<MeshChunk>) {
    guard case .gateway(var machine)? = nodes[process]?.machine else { return }
    nodes[process]?.machine = .none
    var actions: [GatewayAction<MeshChunk>] = []
    machine.handle(event, now: now, into: &actions)
    nodes[process]?.hold(.gateway(machine))
    for action in actions { perform(action, process) }
  }

  mutating func tell(_ process: MeshProcess, worker event: WorkerEvent<MeshChunk>) {
    guard case .worker(var machine, let compute)? = nodes[process]?.machine else { return }
    nodes[process]?.machine = .none
    var actions: [WorkerAction<MeshChunk>] = []
    machine.handle(event, now: now, into: &actions)
    nodes[process]?.hold(.worker(machine, compute))
    for action in actions { perform(action, process) }
  }

  private mutating func perform(_ action: ClientAction<MeshChunk>, _ process: MeshProcess) {
    switch action {
    case .send(let link, let message): sendUp(message, from: process, link)
    case .dial(let link, let wait): scheduleDial(process, link, after: wait)
    case .close(let link): hangUp(process, link)
    case .snapshot(let id, let chunk, let isProvisional):
      let snapshot = MeshAnswer.Snapshot(time: now, chunk: chunk, isProvisional: isProvisional)
      answers[RankHandle(client: process.index, id: id)]?.snapshots.append(snapshot)
    case .complete(let id, let outcome):
      let handle = RankHandle(client: process.index, id: id)
      guard var answer = answers[handle] else { return }
      answer.completions += 1
      if answer.outcome == nil {
        answer.outcome = outcome
        answer.endedAt = now
      }
      answers[handle] = answer
    case .report, .reportFailed, .notice: break
    case .closed: nodes[process]?.hold(.none)
    }
  }

  private mutating func perform(_ action: GatewayAction<MeshChunk>, _ process: MeshProcess) {
    switch action {
    case .send(let message, let peer): sendDown(message, from: process, to: peer)
    case .close(let peer):
      let index = Int(peer.number) - 1
      if connections.indices.contains(index) { connections[index].isHeard = false }
    case .verify(let chunk, let ticket):
      store.add(.verified(process, ticket: ticket, isIntact: !chunk.isDamaged), at: now)
    case .note(let note): notes.append(note)
    case .drained: leave(process)
    case .report: break
    }
  }

  private mutating func perform(_ action: WorkerAction<MeshChunk>, _ process: MeshProcess) {
    switch action {
    case .send(let link, let message): sendUp(message, from: process, link)
    case .dial(let link, let wait): scheduleDial(process, link, after: wait)
    case .close(let link): hangUp(process, link)
    case .start(let start): withCompute(process) { $0.start(start, $1) }
    case .deliver(let run, let stream, let chunk, _, let isFinal):
      withCompute(process) { $0.deliver(run, stream, chunk, isFinal: isFinal, $1) }
    case .cancel(let run):
      if withCompute(process, { compute, _ in compute.cancel(run) }) == true {
        store.add(.stopped(process, run), at: now)
      }
    case .exit(let exit):
      nodes[process]?.hold(.none)
      exits[process] = exit
    case .release, .report, .notice: break
    }
  }

  @discardableResult
  private mutating func withCompute<Result>(
    _ process: MeshProcess, _ body: (inout SimulatedCompute, MonotonicTime) -> Result
  ) -> Result? {
    guard case .worker(let machine, var compute)? = nodes[process]?.machine else { return nil }
    let result = body(&compute, now)
    nodes[process]?.hold(.worker(machine, compute))
    return result
  }
}
