import CAllocationCounter

/// What allocates, or should not.
enum Layer: String, CaseIterable {
  case codec
  case machines
  case mesh
  /// One array a message: whether the counter counts.
  case fault

  func measure() async throws -> Steady {
    switch self {
    case .codec: try CodecLoad().measure()
    case .machines: MachineLoad.measureOne()
    case .mesh: try await MeshLoad.measure()
    case .fault: FaultyLoad().measure()
    }
  }
}

/// What a warm layer allocated for so many messages.
struct Steady {
  var allocations: UInt64
  var messages: Int

  /// Counts what the calling thread allocates in `body`, which returns how many messages it made.
  @inline(never)
  static func count(_ body: () throws -> Int) rethrows -> Steady {
    let before = allocation_counter_total()
    allocation_counter_trace(traces)
    allocation_counter_count_this_thread(true)
    defer { allocation_counter_count_this_thread(false) }
    let messages = try body()
    return Steady(allocations: allocation_counter_total() - before, messages: messages)
  }
}

/// Proof that the counter counts.
struct FaultyLoad {
  func measure() -> Steady {
    Steady.count {
      for size in 1...100 {
        let array = [Int](repeating: size, count: size)
        withExtendedLifetime(array) {}
      }
      return 100
    }
  }
}
