import CAllocationCounter

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

// Prints what the steady state of each layer allocates, one line each: "NAME ALLOCATIONS MESSAGES". With the name of a
// layer, only that one; with --trace behind it, where from.
let only = CommandLine.arguments.dropFirst().first
let traces = CommandLine.arguments.contains("--trace")

func report(_ name: String, _ count: Steady) {
  print(name, count.allocations, count.messages)
}

guard allocation_counter_works() else {
  print("skipped: allocations are counted with glibc only")
  exit(0)
}
for layer in Layer.allCases where only == nil || only == layer.rawValue {
  report(layer.rawValue, try await layer.measure())
}
