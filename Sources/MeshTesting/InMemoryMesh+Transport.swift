internal import GLTP

/// Connections in memory: ordered, reliable and quick, but for the faults.
extension InMemoryMesh {
  // MARK: Processes

  mutating func launch(_ process: MeshProcess, bundle: BundleHash? = nil) {
    let bundle = bundle ?? self.bundle
    let boot = BootID(high: now.microseconds, low: UInt64(processes.count))
    let name = WireText("\(process)")
    var node = Node(machine: .none, bundle: bundle)
    switch process.role {
    case .client:
      var configuration = ClientConfiguration(peerID: name, bootID: boot, build: "in memory")
      configureClient(&configuration)
      node.hold(.client(ClientMachine(configuration)))
    case .gateway:
      var configuration = GatewayConfiguration()
      configuration.name = name
      configuration.bootID = boot
      // Those of an earlier life must not be taken for new ones.
      configuration.firstSessionID = now.microseconds << 8
      configureGateway(&configuration)
      node.hold(.gateway(GatewayMachine(configuration: configuration)))
    case .encoder, .aligner, .ranker:
      var configuration = WorkerConfiguration(
        role: process.role, bundles: [bundle], slots: slots, peerID: name, bootID: boot, build: "in memory")
      configureWorker(&configuration)
      let stage = stages[process.role.stage] ?? { _ in [] }
      node.hold(.worker(WorkerMachine(configuration), SimulatedCompute(process, stage)))
    }
    if nodes[process] == nil { processes.append(process) } else { cutAll(of: process) }
    nodes[process] = node
    exits[process] = nil
    guard process.role != .gateway else { return }
    for gateway in processes where gateway.role == .gateway { introduce(gateway, to: process) }
  }

  mutating func introduce(_ gateway: MeshProcess, to process: MeshProcess) {
    let link = LinkID(rawValue: UInt32(gateway.index))
    tellDialler(process, .added(link, name: "\(gateway)"), .added(link, name: "\(gateway)"))
  }

  // MARK: Connections

  mutating func scheduleDial(_ process: MeshProcess, _ link: LinkID, after wait: MonotonicDuration) {
    hangUp(process, link)
    let number = (nodes[process]?.dials[link] ?? 0) + 1
    nodes[process]?.dials[link] = number
    store.add(.dial(process, link, number: number), at: now + wait)
  }

  mutating func dial(_ process: MeshProcess, _ link: LinkID, _ number: Int) {
    guard nodes[process]?.isAlive == true, nodes[process]?.dials[link] == number else { return }
    let gateway = MeshProcess.gateway(Int(link.rawValue))
    let index = connections.count
    let peer = PeerID(process.role == .client ? .clients : .workers, UInt64(index) + 1)
    connections.append(Connection(dialler: process, link: link, gateway: gateway, peer: peer))
    nodes[process]?.connections[link] = index
    if nodes[gateway]?.isAlive == true {
      // A process that is stopped does not shake hands.
      guard nodes[gateway]?.stoppedAt == nil else { return }
      store.add(.connected(process, link, connection: index), at: now + latency)
    } else {
      connections[index].isOpen = false
      store.add(
        .disconnected(process, link, connection: index, reason: "connection refused"), at: now + latency)
    }
  }

  /// The dialling side closes its socket: what it sent still arrives.
  mutating func hangUp(_ process: MeshProcess, _ link: LinkID) {
    guard let index = nodes[process]?.connections.removeValue(forKey: link) else { return }
    guard connections[index].isOpen else { return }
    let arrival = max(connections[index].lastArrival.up, now + latency)
    store.add(.lost(connections[index].gateway, connections[index].peer), at: arrival)
  }

  /// The connection breaks, with all that is on its way.
  mutating func cut(_ index: Int, reason: String) {
    let connection = connections[index]
    connections[index].isOpen = false
    store.add(
      .disconnected(connection.dialler, connection.link, connection: index, reason: reason), at: now + latency)
    store.add(.lost(connection.gateway, connection.peer), at: now + latency)
  }

  mutating func cutAll(of process: MeshProcess) {
    for index in connections.indices where connections[index].isOpen {
      guard connections[index].dialler == process || connections[index].gateway == process else { continue }
      cut(index, reason: "connection reset")
    }
  }

  /// A gateway has said all that it had to say, and ends.
  mutating func leave(_ gateway: MeshProcess) {
    vanish(gateway)
    for index in connections.indices where connections[index].isOpen && connections[index].gateway == gateway {
      let connection = connections[index]
      connections[index].isHeard = false
      store.add(
        .disconnected(connection.dialler, connection.link, connection: index, reason: "closed by the gateway"),
        at: max(connection.lastArrival.down, now + latency))
    }
  }

  // MARK: Sending

  mutating func sendUp(_ message: PeerMessage<MeshChunk>, from process: MeshProcess, _ link: LinkID) {
    guard let index = nodes[process]?.connections[link] else { return }
    transmit(message, index, toGateway: true)
  }

  mutating func sendDown(_ message: PeerMessage<MeshChunk>, from gateway: MeshProcess, to peer: PeerID) {
    let index = Int(peer.number) - 1
    guard connections.indices.contains(index), connections[index].gateway == gateway else { return }
    transmit(message, index, toGateway: false)
  }

  private mutating func transmit(_ message: PeerMessage<MeshChunk>, _ index: Int, toGateway: Bool) {
    let connection = connections[index]
    let (from, to) =
      toGateway ? (connection.dialler, connection.gateway) : (connection.gateway, connection.dialler)
    referee.watch(message, from: from, to: to)
    let passage = Passage(from: from, to: to, header: message.header, time: now)
    if records { passages.append(passage) }
    guard connection.isOpen else { return }
    var arrival = max(now + latency, toGateway ? connection.lastArrival.up : connection.lastArrival.down)
    var message = message
    var copies = 1
    var keepsOrder = true
    switch takeFault(passage) {
    case .drop?: return
    case .cut?: return cut(index, reason: "connection reset")
    case .delay(let wait)?: arrival += wait
    case .reorder(let wait)?:
      arrival += wait
      keepsOrder = false
    case .duplicate?: copies = 2
    case .corrupt?: message = damaged(message)
    case nil: break
    }
    if keepsOrder {
      if toGateway {
        connections[index].lastArrival.up = arrival
      } else {
        connections[index].lastArrival.down = arrival
      }
    }
    for _ in 0..<copies {
      store.add(.message(message, connection: index, toGateway: toGateway), at: arrival)
    }
  }

  private mutating func takeFault(_ passage: Passage) -> LinkFault.Effect? {
    for index in faults.indices where faults[index].remaining > 0 && faults[index].picks(passage) {
      faults[index].remaining -= 1
      return faults[index].effect
    }
    return nil
  }

  /// A message with a flipped bit: in the payload where it has one, else in its head.
  private func damaged(_ message: PeerMessage<MeshChunk>) -> PeerMessage<MeshChunk> {
    switch message.body {
    case .chunk(var chunk):
      chunk.isDamaged = true
      return PeerMessage(message.header, .chunk(chunk))
    case .end(let end, var ranking?):
      ranking.isDamaged = true
      return PeerMessage(message.header, .end(end, ranking: ranking))
    default:
      // Nothing of it can be read: `deliver` knows it by its version.
      var message = message
      message.header.version = ProtocolVersion(major: 0, minor: 0)
      return message
    }
  }

  // MARK: Receiving

  /// A gateway does not open payloads, so damage passes through it.
  mutating func deliverUp(_ message: PeerMessage<MeshChunk>, _ index: Int) {
    let connection = connections[index]
    guard connection.isOpen, connection.isHeard else { return }
    guard message.header.version.major > 0 else {
      return tell(connection.gateway, gateway: .refused(.failsRequest, nil, from: connection.peer))
    }
    tell(connection.gateway, gateway: .received(message, from: connection.peer, authenticatedAs: nil))
  }

  mutating func deliverDown(_ message: PeerMessage<MeshChunk>, _ index: Int) {
    let connection = connections[index]
    let (process, link) = (connection.dialler, connection.link)
    guard connection.isOpen, nodes[process]?.connections[link] == index else { return }
    let isReadable = message.header.version.major > 0
    var payload: MeshChunk?
    switch message.body {
    case .chunk(let chunk): payload = chunk
    case .end(_, let ranking): payload = ranking
    case .control: break
    }
    if isReadable, payload?.isDamaged != true {
      tellDialler(process, .received(link, message), .received(link, message))
    } else {
      let header = isReadable ? message.header : nil
      tellDialler(
        process, .refused(link, header, .failsRequest, detail: "payloadChecksum"),
        .refused(link, header, .failsRequest, detail: "payloadChecksum"))
    }
  }
}
