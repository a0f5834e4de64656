/// Named parameters that are optimised together: one Adam state each, one gradient norm over all.
public struct ParameterGroup: Sendable {
  /// The names in the order of `values`. Checkpoints find matrices by them.
  public let names: [String]
  /// The parameters themselves; a step changes their elements.
  public let values: [Matrix]
  private var optimizers: [Adam]

  /// A group before its first step.
  ///
  /// - Parameter parameters: changed in place by `step`; pass copies where the originals must stay.
  public init(_ parameters: [(name: String, value: Matrix)]) {
    names = parameters.map(\.name)
    values = parameters.map(\.value)
    optimizers = values.map { Adam(like: $0) }
  }

  /// The parameter of a name. The name is one of `names`.
  public subscript(name: String) -> Matrix {
    guard let index = names.firstIndex(of: name) else { preconditionFailure("no parameter \(name)") }
    return values[index]
  }

  /// Steps so far.
  public var steps: Int { optimizers.first?.step ?? 0 }

  /// Whether every parameter is a finite number.
  package var isFinite: Bool { values.allSatisfy(\.isFinite) }

  /// One step of Adam against `gradients`, in the order of the parameters, after scaling them all down so that their
  /// joint norm is at most `maximumNorm`.
  ///
  /// - Returns: the norm before scaling; NaN or infinite where a gradient is, and then nothing was changed.
  public mutating func step(
    gradients: [Matrix], options: Adam.Options, maximumNorm: Float, pool: ThreadPool
  ) -> Float {
    precondition(gradients.count == values.count)
    var total: Double = 0
    for gradient in gradients { total += Double(Accumulate.squares(gradient.count, gradient.base)) }
    let norm = Float(total.squareRoot())
    guard norm.isFinite else { return norm }
    if norm > maximumNorm {
      for gradient in gradients { Accumulate.scale(gradient.count, gradient.base, by: maximumNorm / norm) }
    }
    for index in values.indices {
      optimizers[index].update(values[index], gradient: gradients[index], options: options, pool: pool)
    }
    return norm
  }

  /// Counts a step in which the caller updates the elements of a parameter itself, each once, by what this returns.
  public mutating func beginStep(_ options: Adam.Options) -> Adam.Step {
    var step = optimizers[0].beginStep(options)
    for index in optimizers.indices.dropFirst() { step = optimizers[index].beginStep(options) }
    return step
  }

  /// Updates whole parameters from the one at `start` on, in their order; none where `gradients` is empty.
  public func update(_ step: Adam.Step, after start: Int, gradients: [Matrix]) {
    for (index, gradient) in zip(start..., gradients) {
      let (value, optimizer) = (values[index], optimizers[index])
      precondition(value.count == gradient.count)
      step.update(
        value.count, value.base, gradient: gradient.base, first: optimizer.first.base, second: optimizer.second.base)
    }
  }

  /// The moments of a parameter, for `beginStep`.
  public func moments(_ name: String) -> (first: Matrix, second: Matrix) {
    guard let index = names.firstIndex(of: name) else { preconditionFailure("no parameter \(name)") }
    return (optimizers[index].first, optimizers[index].second)
  }

  // MARK: Checkpoints

  /// Parameters and moments under names of their own, and the number of steps.
  public var state: (matrices: [(name: String, value: Matrix)], steps: Int) {
    var matrices: [(name: String, value: Matrix)] = []
    for (index, name) in names.enumerated() {
      matrices.append((name, values[index]))
      matrices.append((name + ".first_moment", optimizers[index].first))
      matrices.append((name + ".second_moment", optimizers[index].second))
    }
    return (matrices, steps)
  }

  /// Takes over a saved state: parameters are overwritten, moments copied.
  ///
  /// - Parameters:
  ///   - steps: the number of steps that `state` had.
  ///   - matrix: finds a saved matrix by name and shape.
  /// - Throws: what `matrix` throws; the group is then partly restored and not to be used.
  public mutating func restore(
    steps: Int, from matrix: (_ name: String, _ rows: Int, _ columns: Int) throws(GLTAError) -> Matrix
  ) throws(GLTAError) {
    for (index, name) in names.enumerated() {
      let (rows, columns) = (values[index].rows, values[index].columns)
      values[index].assign(try matrix(name, rows, columns))
      optimizers[index] = Adam(
        first: try matrix(name + ".first_moment", rows, columns).copy(),
        second: try matrix(name + ".second_moment", rows, columns).copy(), step: steps)
    }
  }
}
