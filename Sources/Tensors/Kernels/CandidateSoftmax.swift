#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The softmax of a few wanted columns, each against the same unwanted ones: -log(e^s_p / (e^s_p + sum over n of e^s_n)).
///
/// Wanted columns do not compete with one another, so one row serves a user with any number of positives, and its cost
/// does not grow with them.
public enum CandidateSoftmax {
  /// Replaces a row of logits by `scale` times the gradient of the sum of the losses of its wanted columns.
  ///
  /// - Parameters:
  ///   - x: `columns` logits. Columns that are neither wanted nor unwanted are minus infinity, and so may wanted ones be;
  ///     gradients of the former become zero to within 1e-37.
  ///   - wanted: distinct columns, with the logit of each in `logits` and how often its loss counts in `counts`.
  /// - Returns: the sum of the losses.
  public static func forwardBackward(
    _ columns: Int, _ x: UnsafeMutablePointer<Float>, wanted: [Int32], logits: [Float], counts: [Float], scale: Float
  ) -> Float {
    for column in wanted { x[Int(column)] = -.infinity }
    var highest = Softmax.maximum(columns, x)
    for logit in logits { highest = max(highest, logit) }
    // Also for a row without unwanted columns: the differences below are then 0 and minus infinity.
    let center = Vector(repeating: highest)
    var sums = Vector.zero
    forEachVector(to: columns) { offset, lanes in
      let value = keep8(exp8(load8(x + offset, lanes) - center), lanes)
      sums += value
      store8(x + offset, value, lanes)
    }
    let unwanted = sum8(sums)
    var (loss, factor): (Float, Float) = (0, 0)
    for index in wanted.indices {
      let own = expf(logits[index] - highest)
      let total = unwanted + own
      loss += counts[index] * (logf(total) + highest - logits[index])
      factor += counts[index] / total
    }
    let scaled = Vector(repeating: factor * scale)
    forEachVector(to: columns) { offset, lanes in store8(x + offset, load8(x + offset, lanes) * scaled, lanes) }
    for index in wanted.indices {
      let own = expf(logits[index] - highest)
      x[Int(wanted[index])] = scale * counts[index] * (own / (unwanted + own) - 1)
    }
    return loss
  }
}
