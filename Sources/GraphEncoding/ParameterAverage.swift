import Tensors

/// A moving average of parameters over epochs. What is looked at, kept and ranked with is the average: single epochs scatter
/// around it, and it ranks better than any of them (Polyak and Juditsky, 1992; Izmailov et al., *Averaging weights leads to
/// wider optima and better generalization*, UAI 2018).
struct ParameterAverage {
  let values: [Matrix]
  private let names: [String]
  private let decay: Float

  /// - Parameter decay: what an epoch leaves of the average before it, from 0 to below 1.
  init(of parameters: ParameterGroup, decay: Float) {
    names = parameters.names.map { "average." + $0 }
    values = parameters.values.map { $0.copy() }
    self.decay = decay
  }

  /// Takes in the parameters after an epoch, counted from zero. The first epochs count alike, until there are as many as the
  /// decay reaches back.
  func update(_ parameters: ParameterGroup, epoch: Int) {
    let share = max(1 - decay, 1 / Float(epoch + 1))
    for (average, value) in zip(values, parameters.values) {
      Accumulate.scale(average.count, average.base, by: 1 - share)
      Accumulate.add(average.count, value.base, scaledBy: share, to: average.base)
    }
  }

  /// Swaps the average with the parameters; once more brings both back.
  func exchange(with parameters: ParameterGroup) {
    for (average, value) in zip(values, parameters.values) {
      for index in 0..<average.count { swap(&average.base[index], &value.base[index]) }
    }
  }

  /// What a checkpoint holds of it.
  var state: [(name: String, value: Matrix)] { Array(zip(names, values)).map { (name: $0, value: $1) } }

  /// Takes over what a checkpoint holds.
  func restore(
    from matrix: (_ name: String, _ rows: Int, _ columns: Int) throws(GLTAError) -> Matrix
  ) throws(GLTAError) {
    for (name, value) in zip(names, values) { value.assign(try matrix(name, value.rows, value.columns)) }
  }
}
