import ArgumentParser
import Bundles
import Foundation
import GLTP
import Histogram
import LogitsMatching
import Mesh
import StageServices
import Synchronization
import Tensors

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Put load on a running mesh and measure what it answers.",
    discussion: """
      --concurrency keeps so many requests under way (closed loop). --rate sends so many a second whatever comes back \
      (open loop), and counts latency from when a request was due, so that a mesh that falls behind cannot hide it. \
      Requests are for the bundle's users, one after another.
      """)

  @OptionGroup var mesh: MeshOptions
  @Option(help: ArgumentHelp("The bundle that the mesh serves: it knows the users.", valueName: "dir"))
  var bundle: String
  @Option(help: ArgumentHelp("Requests a second, open loop.", valueName: "r"))
  var rate: Double?
  @Option(help: ArgumentHelp("Requests under way at once, closed loop. (default: 4)", valueName: "c"))
  var concurrency: Int?
  @Option(help: ArgumentHelp("How long, in seconds.", valueName: "s"))
  var duration = 10.0
  @Option(help: ArgumentHelp("Stop after so many requests, if that comes first.", valueName: "n"))
  var requests: Int?
  @Option(help: "How many items to rank.")
  var top = 10
  @Option(help: "slots, first or autoregressive.")
  var mode = PredictionMode.slots
  @Option(help: ArgumentHelp("Candidates by prior; all that the served rule takes where left out.", valueName: "n"))
  var retrieve: Int?
  @Option(help: ArgumentHelp("How long the mesh may take for one, in milliseconds.", valueName: "ms"))
  var deadline = 10_000
  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard rate == nil || concurrency == nil else { throw ValidationError("either --rate or --concurrency") }
    if let rate, !(rate > 0 && rate <= 100_000) { throw ValidationError("--rate is \(rate), expected 0 to 100000") }
    if let concurrency, !(1...4_096).contains(concurrency) {
      throw ValidationError("--concurrency is \(concurrency), expected 1 to 4096")
    }
    guard duration > 0, duration <= 86_400 else {
      throw ValidationError("--duration is \(duration), expected 0 to 86400")
    }
    guard requests.map({ $0 > 0 }) ?? true else { throw ValidationError("--requests must be at least 1") }
  }

  func run() async throws {
    let users = try RecommenderBundle.load(from: bundle).userIDs
    guard !users.isEmpty else { throw GLTAError(.invalidArgument, "\(bundle) has no users to rank for") }
    let client = try mesh.client(name: "glta bench")
    let tally = LoadTally()
    let load = LoadRun(client: client, users: users, command: self, tally: tally)
    let started = ContinuousClock.now
    if let rate { await load.open(rate: rate) } else { await load.closed(concurrency: concurrency ?? 4) }
    let seconds = Double((ContinuousClock.now - started) / .microseconds(1)) / 1e6
    await client.close()
    let report = tally.report(seconds: seconds)
    if json { return try Terminal.printJSON(report) }
    print(report.text)
  }

  func query(_ user: String) -> RankingQuery {
    var query = RankingQuery(user: user, count: top)
    query.mode = RankingMode(mode)
    if let retrieve { query.candidates = .best(retrieve) }
    return query
  }
}

/// Requests on their way, in one of two manners.
private struct LoadRun: Sendable {
  let client: MeshClient
  let users: [String]
  let command: BenchCommand
  let tally: LoadTally

  /// Keeps `concurrency` requests under way.
  func closed(concurrency: Int) async {
    let next = Counter()
    let end = ContinuousClock.now + .seconds(command.duration)
    await withTaskGroup { group in
      for _ in 0..<concurrency {
        group.addTask {
          while ContinuousClock.now < end {
            let number = next.next()
            guard number < command.requests ?? .max else { return }
            await ask(number, due: .now)
          }
        }
      }
    }
  }

  /// Sends on time, whatever comes back.
  func open(rate: Double) async {
    let start = ContinuousClock.now
    let planned = Int((rate * command.duration).rounded(.up))
    await withTaskGroup { group in
      for number in 0..<min(planned, command.requests ?? .max) {
        let due = start + .seconds(Double(number) / rate)
        try? await Task.sleep(until: due, clock: .continuous)
        group.addTask { await ask(number, due: due) }
      }
    }
  }

  private func ask(_ number: Int, due: ContinuousClock.Instant) async {
    tally.sent()
    do {
      let options = RankOptions(deadline: .milliseconds(command.deadline))
      let ranking = try await client.ranking(command.query(users[number % users.count]), options: options)
      tally.answered(in: ContinuousClock.now - due, ranking.timings)
    } catch { tally.failed(error) }
  }

  private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).oldValue }
  }
}

/// What came back, in HDR histograms of microseconds.
private final class LoadTally: Sendable {
  private struct State {
    var requests = 0
    var ok = 0
    var errors: [String: Int] = [:]
    var latency = LoadTally.histogram()
    var stages: [Stage: [Histogram<UInt32>]] = [:]
  }

  private let state = Mutex(State())

  private static func histogram() -> Histogram<UInt32> {
    // Up to ten minutes, three digits.
    Histogram(lowestDiscernibleValue: 1, highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)
  }

  func sent() { state.withLock { $0.requests += 1 } }

  func answered(in time: Duration, _ timings: [Stage: RunTiming]) {
    let microseconds = UInt64(max(1, time / .microseconds(1)))
    state.withLock { state in
      state.ok += 1
      _ = state.latency.record(min(microseconds, 600_000_000))
      for (stage, timing) in timings {
        var histograms =
          state.stages.removeValue(forKey: stage) ?? MeshReport.timeParts.map { _ in LoadTally.histogram() }
        for (index, value) in [timing.queue, timing.decode, timing.compute, timing.encode].enumerated() {
          _ = histograms[index].record(UInt64(min(max(value, 1), 600_000_000)))
        }
        state.stages[stage] = histograms
      }
    }
  }

  func failed(_ error: MeshError) {
    let name = error.failure?.status.map { "\($0)" } ?? error.code.description
    state.withLock { $0.errors[name, default: 0] += 1 }
  }

  func report(seconds: Double) -> LoadReport {
    state.withLock { state in
      var stages: [String: [String: LoadReport.Percentiles]] = [:]
      for (stage, histograms) in state.stages {
        stages["\(stage)"] = Dictionary(
          uniqueKeysWithValues: zip(MeshReport.timeParts, histograms.map(LoadReport.Percentiles.init)))
      }
      return LoadReport(
        requests: state.requests, ok: state.ok, errors: state.errors, seconds: seconds,
        throughput: Double(state.ok) / max(seconds, 1e-9), latency_ms: LoadReport.Percentiles(state.latency),
        stages: stages)
    }
  }
}

/// The result of a benchmark, as scripts read it.
private struct LoadReport: Encodable {
  /// Milliseconds.
  struct Percentiles: Encodable {
    let mean: Double
    let p50: Double
    let p90: Double
    let p99: Double
    let max: Double

    init(_ histogram: Histogram<UInt32>) {
      func value(_ percentile: Double) -> Double { Double(histogram.valueAtPercentile(percentile)) / 1_000 }
      mean = histogram.totalCount == 0 ? 0 : histogram.mean / 1_000
      (p50, p90, p99) = (value(50), value(90), value(99))
      max = histogram.totalCount == 0 ? 0 : Double(histogram.max) / 1_000
    }
  }

  let requests: Int
  let ok: Int
  let errors: [String: Int]
  let seconds: Double
  /// Answers a second.
  let throughput: Double
  let latency_ms: Percentiles
  let stages: [String: [String: Percentiles]]

  var text: String {
    func line(_ name: String, _ item: Percentiles) -> String {
      name.padding(toLength: 18, withPad: " ", startingAt: 0)
        + String(format: "p50 %8.2f  p90 %8.2f  p99 %8.2f  max %8.2f ms", item.p50, item.p90, item.p99, item.max)
    }
    var lines = [
      String(format: "%d requests in %.1f s: %d answered, %.1f a second", requests, seconds, ok, throughput),
      line("latency", latency_ms),
    ]
    for stage in MeshReport.stageNames {
      for part in MeshReport.timeParts {
        if let item = stages[stage]?[part] { lines.append(line("\(stage) \(part)", item)) }
      }
    }
    for (name, count) in errors.sorted(by: { $0.key < $1.key }) { lines.append("\(name): \(count)") }
    return lines.joined(separator: "\n")
  }
}
