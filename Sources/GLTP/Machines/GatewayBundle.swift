/// A bundle that workers offer, or offered.
struct GatewayBundle: Sendable {
  var hash: BundleHash
  /// In which order the gateway has met bundles.
  var age: UInt64
  /// The workers of each stage, and the runs that wait for them.
  var pools: ContiguousArray<StagePool>
  /// Requests pinned to it.
  var pinned = 0

  init(hash: BundleHash, age: UInt64) {
    self.hash = hash
    self.age = age
    pools = [StagePool(), StagePool(), StagePool()]
  }

  /// Whether each stage has a worker of it.
  var isServed: Bool { pools.allSatisfy { $0.members > 0 } }
  /// Whether nobody would miss it.
  var isUnused: Bool { pinned == 0 && pools.allSatisfy { $0.members == 0 } }
}

/// The workers of one stage that offer one bundle, and the runs that wait for one of them.
struct StagePool: Sendable {
  /// Sessions that do not drain.
  var members = 0
  /// Their slots, all in all.
  var slots: UInt64 = 0
  /// Sessions with credit, the least busy first.
  var ready = IndexedHeap<WorkerLoad>()
  /// Requests whose run of this stage waits and would go to any session.
  var waiting = IndexedHeap<QueueKey>()
  /// Requests whose run waits and avoids some sessions: few, since each has cost a retry or a move.
  var choosy = ContiguousArray<Int32>()

  var waitingCount: Int { waiting.count + choosy.count }
}

/// A stage, all bundles together.
struct GatewayStage: Sendable {
  /// Sessions that do not drain.
  var members = 0
  /// Since when there has been none.
  var emptySince: MonotonicTime? = .zero
  /// Mean duration of successful runs, of which the newest weigh most.
  var meanRun = MonotonicDuration.zero
  var times = GatewayReport.StageTimes()
}
