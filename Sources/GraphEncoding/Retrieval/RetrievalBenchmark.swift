public import Tensors

/// How fast the exact best items are found on this machine, beside its own matrix product at the same number of threads.
public struct RetrievalBenchmark: Sendable, Codable {
  /// One way to be asked.
  public struct Case: Sendable, Codable {
    /// How the items are kept.
    public var form: ItemIndex.Form
    /// Queries that are asked together.
    public var batch: Int
    /// From a query to its answer, the batch shared out.
    public var millisecondsPerRequest: Double
    /// Of a whole batch.
    public var millisecondsPerBatch: Double
    /// 10^9 operations of the scores, 2 |I| d a query, in a second of the whole search.
    public var gflops: Double
    /// `gflops` over the matrix product's.
    public var shareOfSgemm: Double

    enum CodingKeys: String, CodingKey {
      case form
      case batch
      case millisecondsPerRequest = "ms_per_request"
      case millisecondsPerBatch = "ms_per_batch"
      case gflops
      case shareOfSgemm = "share_of_sgemm"
    }
  }

  /// What is searched.
  public struct Shape: Sendable, Codable {
    /// |I|, at least one.
    public var items: Int
    /// d, at least one.
    public var dimensions: Int
    /// Items that a query asks for.
    public var wanted: Int

    /// A shape of at least one in each direction.
    public init(items: Int, dimensions: Int, wanted: Int) {
      self.items = items
      self.dimensions = dimensions
      self.wanted = wanted
    }
  }

  /// What was searched.
  public var shape: Shape
  /// Threads that the search and the matrix product had.
  public var threads: Int
  /// The kernel that OpenBLAS chose for this processor, as OpenBLAS names it.
  public var openBLASCore: String
  /// OpenBLAS on 1024 x 1024 x 1024, one product a thread.
  public var sgemmGflops: Double
  /// One for each form and batch.
  public var cases: [Case]

  enum CodingKeys: String, CodingKey {
    case shape
    case threads
    case openBLASCore = "openblas_core"
    case sgemmGflops = "sgemm_gflops"
    case cases
  }

  /// Measures searches among vectors of draws from N(0, 1), the best of several rounds; each form and batch has its turn in
  /// every round, and so has the matrix product.
  ///
  /// - Throws: what `ItemIndex` does.
  public static func run(
    _ shape: Shape, batches: [Int], rounds: Int = 5, pool: ThreadPool
  ) throws(GLTAError) -> RetrievalBenchmark {
    let items = normal(shape.items, shape.dimensions, seed: 1, pool)
    let queries = normal(max(1, batches.max() ?? 1), shape.dimensions, seed: 2, pool)
    var best: [String: Double] = [:]
    var sgemm = 0.0
    var indexes: [ItemIndex] = []
    for form in ItemIndex.Form.allCases { indexes.append(try ItemIndex(items, form: form, pool: pool)) }
    for _ in 0..<rounds {
      sgemm = max(sgemm, Measurement.sgemmGflops(pool, repetitions: 3))
      for (form, index) in zip(ItemIndex.Form.allCases, indexes) {
        for batch in batches {
          let seconds = try Measurement.best(of: 2) { () throws(GLTAError) in
            _ = try index.best(shape.wanted, of: queries.slice(0..<batch), pool: pool)
          }
          best["\(form) \(batch)"] = min(seconds, best["\(form) \(batch)"] ?? .infinity)
        }
      }
    }
    var report = RetrievalBenchmark(
      shape: shape, threads: pool.threads, openBLASCore: Processor.openBLASCore, sgemmGflops: sgemm, cases: [])
    for form in ItemIndex.Form.allCases {
      for batch in batches { report.add(form, batch, seconds: best["\(form) \(batch)"] ?? .infinity) }
    }
    return report
  }

  private mutating func add(_ form: ItemIndex.Form, _ batch: Int, seconds: Double) {
    let gflops = 2 * Double(shape.items) * Double(shape.dimensions) * Double(batch) / seconds / 1e9
    cases.append(
      Case(
        form: form, batch: batch, millisecondsPerRequest: seconds * 1e3 / Double(batch),
        millisecondsPerBatch: seconds * 1e3, gflops: gflops, shareOfSgemm: gflops / sgemmGflops))
  }

  private static func normal(_ rows: Int, _ columns: Int, seed: UInt64, _ pool: ThreadPool) -> Matrix {
    let matrix = Matrix(rows: rows, columns: columns)
    pool.forEach(rows) { row, _ in
      var random = Philox(seed: seed, purpose: "retrieval benchmark", index: UInt64(row)).sequence()
      for column in 0..<columns { matrix.row(row)[column] = random.normal() }
    }
    return matrix
  }

  /// A table for people.
  public var text: String {
    var lines = [
      "exact top \(shape.wanted) of \(shape.items) items x \(shape.dimensions) dimensions, \(threads) threads, OpenBLAS core \(openBLASCore)",
      "sgemm 1024^3 \(Int(sgemmGflops.rounded())) GFLOP/s",
    ]
    for item in cases {
      let share = Int((100 * item.shareOfSgemm).rounded())
      lines.append(
        "\(item.form), batch \(item.batch): \(hundredths(item.millisecondsPerRequest)) ms a request, "
          + "\(hundredths(item.millisecondsPerBatch)) ms a batch, \(Int(item.gflops.rounded())) GFLOP/s, \(share) % of sgemm"
      )
    }
    return lines.joined(separator: "\n")
  }

  private func hundredths(_ value: Double) -> String { String((value * 100).rounded() / 100) }
}
