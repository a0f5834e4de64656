/// What a group of dialers tells its owner, on the loop's thread.
package enum DialerGroupEvent {
  /// An address has appeared; its dialer is at work.
  case appeared(Dialer)
  /// An address is gone from the resolver's answers. The dialer stays as it is, so that its session can say goodbye; its
  /// owner closes it. Should the address come back, it gets a new dialer.
  case disappeared(Dialer)
  /// Something happened to a dialer of the group, past ones that are not closed included.
  case dialer(Dialer, DialerEvent)
  /// A name could not be looked up, or an address not be dialled; what was known of the name stays.
  case failed(Endpoint, MeshError)
}

/// One dialer for every address behind some endpoints, kept up to date. Used on the loop's thread only.
///
/// A name that stands for several addresses (a headless service, say) gets a dialer for each; numeric endpoints get one
/// for good. Names are looked up every `interval`.
package final class DialerGroup: @unchecked Sendable {
  /// The dialers of the addresses that exist now.
  package var dialers: [Dialer] { Array(current.values) }

  private let loop: EventLoop
  private let security: DialerSecurity
  private let limits: EdgeLimits
  private let timings: LinkTimings
  private let handler: (DialerGroup, DialerGroupEvent) -> Void
  private let named: [Endpoint]
  private var fixed: [Endpoint] = []
  private var answers: [String: [String]] = [:]
  private var current: [Endpoint: Dialer] = [:]
  private var resolving: ResolverThread?
  private var isClosed = false

  /// - Parameters:
  ///   - endpoints: names and addresses; double ones count once.
  ///   - handler: called on the loop's thread, never from within this initialiser; must not wait.
  /// - Throws: `MeshError.insecure` for a numeric endpoint beyond this machine without keys (a name is checked when its
  ///   addresses are known, and reported as `failed`), `.inputOutput` if the system refuses a thread.
  package init(
    to endpoints: [Endpoint], loop: EventLoop, security: DialerSecurity, limits: EdgeLimits = .mesh,
    timings: LinkTimings = LinkTimings(), resolver: any AddressResolver = SystemResolver(),
    interval: Duration = .seconds(5), handler: @escaping (DialerGroup, DialerGroupEvent) -> Void
  ) throws(MeshError) {
    loop.assertOnLoop()
    self.loop = loop
    self.security = security
    self.limits = limits
    self.timings = timings
    self.handler = handler
    named = endpoints.filter { !$0.isNumeric }
    fixed = endpoints.filter { $0.isNumeric }
    if case .open(let allowPublic) = security {
      for endpoint in fixed { try endpoint.requireKeysUnlessLocal(isAllowed: allowPublic, action: "connect to") }
    }
    let inbox = loop.makeInbox(of: ResolverThread.Answer.self) { [weak self] in self?.take($0) }
    if !named.isEmpty {
      var hosts: [String] = []
      for endpoint in named where !hosts.contains(endpoint.host) { hosts.append(endpoint.host) }
      resolving = try ResolverThread(hosts: hosts, resolver: resolver, interval: interval) { inbox.post($0) }
    }
    loop.add(self)
    loop.execute { [weak self] in self?.update() }
  }

  /// The addresses that an endpoint of the group stands for now.
  package func addresses(of endpoint: Endpoint) -> [Endpoint] {
    guard !endpoint.isNumeric else { return [endpoint] }
    return (answers[endpoint.host] ?? []).map { Endpoint(tcp: $0, port: endpoint.port) }
  }

  private func take(_ answer: ResolverThread.Answer) {
    guard !isClosed else { return }
    switch answer.result {
    case .success(let addresses): answers[answer.host] = addresses
    case .failure(let error):
      for endpoint in named where endpoint.host == answer.host { handler(self, .failed(endpoint, error)) }
    }
    update()
  }

  private func update() {
    guard !isClosed else { return }
    var wanted = fixed
    for endpoint in named { wanted += addresses(of: endpoint) }
    let wantedSet = Set(wanted)
    for (endpoint, dialer) in current where !wantedSet.contains(endpoint) {
      current[endpoint] = nil
      handler(self, .disappeared(dialer))
    }
    for endpoint in wanted where current[endpoint] == nil && !isClosed {
      do throws(MeshError) {
        let dialer = try Dialer(to: endpoint, loop: loop, security: security, limits: limits, timings: timings) {
          [weak self] dialer, event in
          guard let self, !self.isClosed else { return }
          self.handler(self, .dialer(dialer, event))
        }
        current[endpoint] = dialer
        handler(self, .appeared(dialer))
      } catch {
        handler(self, .failed(endpoint, error))
      }
    }
  }

  /// Stops looking names up and closes the dialers of the addresses that exist now. No event follows.
  package func close(linger: Duration = .zero) {
    loop.assertOnLoop()
    guard !isClosed else { return }
    isClosed = true
    resolving?.stop()
    for dialer in current.values { dialer.close(linger: linger) }
    current.removeAll()
    loop.remove(self)
  }
}

extension DialerGroup: LoopMember {
  var closingOrder: Int { 0 }
}
