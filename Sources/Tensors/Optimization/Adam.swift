import CProcessor

/// Adam (Kingma and Ba, 2015) over one parameter matrix, as `torch.optim.Adam` computes it without weight decay.
public struct Adam: Sendable {
  /// The constants of algorithm 1 in the paper, with its defaults for all but the step size.
  public struct Options: Sendable, Codable, Equatable {
    /// The step size, alpha in the paper.
    public var learningRate: Float
    /// The decay of the first moment from step to step.
    public var beta1: Float = 0.9
    /// The decay of the second moment from step to step.
    public var beta2: Float = 0.999
    /// Added to the root of the corrected second moment, so that a zero gradient does not divide by zero.
    public var epsilon: Float = 1e-8

    /// The default constants with a step size.
    public init(learningRate: Float) { self.learningRate = learningRate }
  }

  /// The first moment, the running mean of gradients, in the parameter's shape. Checkpoints save it.
  public let first: Matrix
  /// The second moment, the running mean of squared gradients, in the parameter's shape. Checkpoints save it.
  public let second: Matrix
  /// Updates so far. Checkpoints save it.
  public var step: Int

  /// The state before the first step: moments of zero in the shape of `parameter`.
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

  /// Moves `parameter` in place against `gradient`, which has its shape. Elements are shared out over `pool`; the
  /// result does not depend on how.
  public mutating func update(
    _ parameter: Matrix, gradient: Matrix, options: Options, pool: ThreadPool
  ) {
    precondition(parameter.count == first.count && gradient.count == first.count)
    let step = beginStep(options)
    let count = parameter.count
    let block = 16_384
    pool.forEach((count + block - 1) / block) { index, _ in
      let start = index * block
      step.update(
        min(block, count - start), parameter.base + start, gradient: gradient.base + start, first: first.base + start,
        second: second.base + start)
    }
  }

  /// Counts a step whose elements the caller updates piece by piece, each once: a kernel that makes a gradient row by row
  /// can use it at once, and the gradient is never written.
  public mutating func beginStep(_ options: Options) -> Step {
    step += 1
    var power1: Double = 1
    var power2: Double = 1
    for _ in 0..<step {
      power1 *= Double(options.beta1)
      power2 *= Double(options.beta2)
      if power1 < 1e-12 && power2 < 1e-12 { break }
    }
    return Step(
      rate: Float(Double(options.learningRate) / (1 - power1)), correction: Float(1 / (1 - power2).squareRoot()),
      options: options)
  }

  /// The constants of one step.
  public struct Step: Sendable {
    fileprivate let rate: Float
    fileprivate let correction: Float
    fileprivate let options: Options

    /// Updates `count` elements of a parameter and its moments.
    public func update(
      _ count: Int, _ x: UnsafeMutablePointer<Float>, gradient g: UnsafePointer<Float>,
      first m: UnsafeMutablePointer<Float>, second v: UnsafeMutablePointer<Float>
    ) {
      var constants = glta_adam_step(
        rate: rate, correction: correction, epsilon: options.epsilon, beta1: options.beta1, beta2: options.beta2)
      glta_adam(&constants, count, x, g, m, v)
    }
  }
}
