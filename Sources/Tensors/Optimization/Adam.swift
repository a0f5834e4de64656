/// Adam (Kingma and Ba, 2015) over one parameter matrix, as `torch.optim.Adam` computes it without weight decay.
public struct Adam: Sendable {
  public struct Options: Sendable, Codable, Equatable {
    public var learningRate: Float
    public var beta1: Float = 0.9
    public var beta2: Float = 0.999
    public var epsilon: Float = 1e-8

    public init(learningRate: Float) { self.learningRate = learningRate }
  }

  /// First and second moments, in the parameter's shape. Checkpoints save both.
  public let first: Matrix
  public let second: Matrix
  /// Updates so far. Checkpoints save it.
  public var step: Int

  public init(like parameter: Matrix) {
    self.init(
      first: Matrix(rows: parameter.rows, columns: parameter.columns),
      second: Matrix(rows: parameter.rows, columns: parameter.columns), step: 0)
  }

  /// The state of a checkpoint.
  public init(first: Matrix, second: Matrix, step: Int) {
    self.first = first
    self.second = second
    self.step = step
  }

  /// Moves `parameter` against `gradient`, both in place of their shape. Rows are shared out over `pool`.
  public mutating func update(
    _ parameter: Matrix, gradient: Matrix, options: Options, pool: ThreadPool
  ) {
    precondition(parameter.count == first.count && gradient.count == first.count)
    step += 1
    var power1: Double = 1
    var power2: Double = 1
    for _ in 0..<step {
      power1 *= Double(options.beta1)
      power2 *= Double(options.beta2)
      if power1 < 1e-12 && power2 < 1e-12 { break }
    }
    let rate = SIMD8<Float>(repeating: Float(Double(options.learningRate) / (1 - power1)))
    let correction = SIMD8<Float>(repeating: Float(1 / (1 - power2).squareRoot()))
    let epsilon = SIMD8<Float>(repeating: options.epsilon)
    let beta1 = SIMD8<Float>(repeating: options.beta1)
    let beta2 = SIMD8<Float>(repeating: options.beta2)
    let rest1 = SIMD8<Float>(repeating: 1 - options.beta1)
    let rest2 = SIMD8<Float>(repeating: 1 - options.beta2)

    let (x, g, m, v) = (parameter.base, gradient.base, first.base, second.base)
    let count = parameter.count
    let block = 16_384
    pool.forEach((count + block - 1) / block) { index, _ in
      forEachVector(from: index * block, to: min(count, (index + 1) * block)) { offset, lanes in
        let gradient = load8(g + offset, lanes)
        let moment1 = load8(m + offset, lanes) * beta1 + gradient * rest1
        let moment2 = load8(v + offset, lanes) * beta2 + gradient * gradient * rest2
        store8(m + offset, moment1, lanes)
        store8(v + offset, moment2, lanes)
        let denominator = moment2.squareRoot() * correction + epsilon
        store8(x + offset, load8(x + offset, lanes) - rate * moment1 / denominator, lanes)
      }
    }
  }
}
