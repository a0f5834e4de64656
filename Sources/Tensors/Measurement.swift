#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What benchmarks measure with.
public enum Measurement {
  /// The seconds that the fastest of several runs takes, after one that does not count.
  public static func best<Failure: Error>(
    of repetitions: Int, _ body: () throws(Failure) -> Void
  ) throws(Failure) -> Double {
    try body()
    var best = Double.infinity
    for _ in 0..<repetitions {
      let start = now()
      try body()
      best = min(best, now() - start)
    }
    return best
  }

  /// What this machine's own matrix product does: OpenBLAS on 1024 x 1024 x 1024, one product a thread, in 10^9
  /// operations a second.
  public static func sgemmGflops(_ pool: ThreadPool, repetitions: Int = 10) -> Double {
    let size = 1024
    let operands = (0..<pool.threads).map { _ in
      let (a, b) = (Matrix(rows: size, columns: size), Matrix(rows: size, columns: size))
      a.fill(0.5)
      b.fill(0.25)
      return (a, b, Matrix(rows: size, columns: size))
    }
    let seconds = best(of: repetitions) {
      pool.forEach(pool.threads) { index, _ in
        let (a, b, c) = operands[index]
        Matmul.multiply(a, b, into: c, tileRows: size, pool: .serial)
      }
    }
    return Double(pool.threads) * 2 * Double(size * size * size) / seconds / 1e9
  }

  /// Seconds of a clock that only goes forward.
  public static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
