import Tensors

/// The largest of what several threads have seen, each in a cache line of its own.
struct LargestOfThreads: Sendable {
  private let values: Matrix

  init(threads: Int) { values = Matrix(rows: threads, columns: 16) }

  /// Zero before anything has been seen.
  var value: Float { (0..<values.rows).reduce(0) { max($0, values.row($1)[0]) } }

  func forget() { values.fill(0) }

  func see(_ value: Float, worker: Int) { values.row(worker)[0] = max(values.row(worker)[0], value) }
}
