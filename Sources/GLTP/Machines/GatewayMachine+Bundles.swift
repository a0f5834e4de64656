// Which workers offer which bundle, which bundle is current, and what becomes of requests whose bundle is gone
// (gltp-1.md 7.3, 7.8).

extension GatewayMachine {
  /// The slots of bundles, known or new; nil where there is no room for a new one.
  mutating func bundleSlots(_ hashes: [BundleHash]) -> ContiguousArray<Int>? {
    var slots = ContiguousArray<Int>()
    for hash in hashes {
      guard let slot = bundlesByPrefix[hash.prefix] ?? newBundle(hash, sparing: slots) else { return nil }
      if !slots.contains(slot) { slots.append(slot) }
    }
    return slots
  }

  private mutating func newBundle(_ hash: BundleHash, sparing taken: ContiguousArray<Int>) -> Int? {
    guard let slot = freeBundleSlot(sparing: taken) else { return nil }
    if let old = bundles[slot] { bundlesByPrefix[old.hash.prefix] = nil }
    bundlesMet += 1
    bundles[slot] = GatewayBundle(hash: hash, age: bundlesMet)
    bundlesByPrefix[hash.prefix] = slot
    return slot
  }

  /// An empty slot, or that of the oldest bundle that nobody would miss. Bundles without workers are kept while there is
  /// room, so that a worker that comes back does not make an old bundle look new.
  private mutating func freeBundleSlot(sparing taken: ContiguousArray<Int>) -> Int? {
    if bundles.count < configuration.maximumBundles {
      bundles.append(nil)
      return bundles.count - 1
    }
    let unused = bundles.indices.filter { slot in
      slot != currentBundle && !taken.contains(slot) && bundles[slot]?.isUnused ?? true
    }
    return unused.min { bundles[$0]?.age ?? 0 < bundles[$1]?.age ?? 0 }
  }

  // MARK: Coming and going

  /// A new worker offers its bundles.
  mutating func join(_ session: Int, _ offered: ContiguousArray<Int>) {
    let pool = Self.pool(sessions[session].role.stage)
    sessions[session].bundles = offered
    for bundle in offered {
      bundles[bundle]?.pools[pool].members += 1
      bundles[bundle]?.pools[pool].slots += UInt64(sessions[session].slots)
    }
    let wasEmpty = stages[pool].members == 0
    stages[pool].members += 1
    stages[pool].emptySince = nil
    chooseCurrentBundle()
    if wasEmpty { reconsiderAll() }
  }

  /// A worker takes no more.
  mutating func leavePools(_ session: Int) {
    let pool = Self.pool(sessions[session].role.stage)
    for bundle in sessions[session].bundles {
      bundles[bundle]?.pools[pool].members -= 1
      bundles[bundle]?.pools[pool].slots -= UInt64(sessions[session].slots)
      bundles[bundle]?.pools[pool].ready.remove(session)
    }
    stages[pool].members -= 1
    if stages[pool].members == 0 { stages[pool].emptySince = now }
  }

  mutating func afterLeaving(_ session: Int) {
    afterLeaving(bundles: sessions[session].bundles, sessions[session].role.stage)
  }

  /// Sees to the runs that waited for a worker that has left.
  mutating func afterLeaving(bundles left: ContiguousArray<Int>, _ stage: Stage) {
    chooseCurrentBundle()
    for bundle in left { reconsider(bundle, stage) }
  }

  /// The youngest bundle that every stage serves is current; while there is none, the last one stays.
  private mutating func chooseCurrentBundle() {
    var best: Int?
    for slot in bundles.indices {
      guard let bundle = bundles[slot], bundle.isServed else { continue }
      if let other = best, bundles[other]?.age ?? 0 > bundle.age { continue }
      best = slot
    }
    guard let best, best != currentBundle, let hash = bundles[best]?.hash else { return }
    currentBundle = best
    actions.append(.note(.currentBundle(hash)))
    reconsiderAll()
  }

  // MARK: Runs that wait

  private mutating func reconsiderAll() {
    for slot in bundles.indices where bundles[slot] != nil {
      for stage in [Stage.encoder, .aligner, .ranker] { reconsider(slot, stage) }
    }
  }

  /// Looks again at the runs that wait for a bundle's workers, after some have gone or others have come.
  private mutating func reconsider(_ bundle: Int, _ stage: Stage) {
    let pool = Self.pool(stage)
    guard let state = bundles[bundle]?.pools[pool], state.waitingCount > 0 else { return }
    if isGone(bundle, stage) {
      for request in state.waiting.ids + state.choosy.map({ Int($0) }) { leaveBundle(request, bundle, stage) }
    } else {
      for request in state.choosy {
        let run = Self.run(Int(request), stage)
        guard runs[run].state == .waiting, let session = readySession(for: run) else { continue }
        dequeue(run)
        start(run, on: session)
      }
    }
  }

  /// Whether a stage has workers, and none of them offers the bundle. A stage without any worker is waited for.
  func isGone(_ bundle: Int, _ stage: Stage) -> Bool {
    let pool = Self.pool(stage)
    return stages[pool].members > 0 && bundles[bundle]?.pools[pool].members == 0
  }

  /// A request's run waits for workers that are no more.
  private mutating func leaveBundle(_ request: Int, _ bundle: Int, _ stage: Stage) {
    // An earlier one of the list may have ended this one.
    guard requests[request].number > 0, requests[request].bundle == bundle,
      runs[Self.run(request, stage)].state == .waiting
    else { return }
    guard requests[request].isPinnedByClient || bundle != currentBundle else { return }
    changeBundle(request, stage)
  }

  /// Does a request again on the current bundle, once, where its client has not pinned it.
  mutating func changeBundle(_ request: Int, _ stage: Stage) {
    guard !requests[request].isPinnedByClient, !requests[request].hasChangedBundle, let current = currentBundle else {
      return finish(request, .bundleGone)
    }
    requests[request].hasChangedBundle = true
    bundles[requests[request].bundle]?.pinned -= 1
    bundles[current]?.pinned += 1
    // The run that waits must leave its old bundle's pool before the bundle changes.
    cancelRuns(of: request)
    requests[request].bundle = current
    noteRetry(request, stage, .bundleGone, isRestart: true)
    counters.replacements += 1
    restart(request)
  }
}
