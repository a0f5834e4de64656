import Tensors

/// A linear map or one with a hidden layer, leaky ReLU between: y = W2 leaky(W1 x + b1) + b2. It carries vectors between
/// the spaces of graph and text.
struct Perceptron {
  private let prefix: String
  private let hidden: Int
  private let inputs: Int
  private let outputs: Int
  private static let slope: Float = 0.2

  /// - Parameter hidden: the width of the hidden layer; 0 = a linear map W1 x.
  init(prefix: String, inputs: Int, hidden: Int, outputs: Int) {
    self.prefix = prefix
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
  }

  /// Parameters as they start: weights uniform within sqrt(6 / (in + out)) (Glorot and Bengio, 2010), biases zero.
  func initialParameters(seed: UInt64) -> [(name: String, value: Matrix)] {
    func weight(_ rows: Int, _ columns: Int, _ name: String) -> (name: String, value: Matrix) {
      let matrix = Matrix(rows: rows, columns: columns)
      var random = Philox(seed: seed, purpose: "perceptron " + prefix + name).sequence()
      let bound = (6 / Float(rows + columns)).squareRoot()
      for index in 0..<matrix.count { matrix.base[index] = bound * (2 * random.uniform() - 1) }
      return (prefix + name, matrix)
    }
    guard hidden > 0 else { return [weight(outputs, inputs, "w1")] }
    return [
      weight(hidden, inputs, "w1"), (prefix + "b1", Matrix(rows: 1, columns: hidden)),
      weight(outputs, hidden, "w2"), (prefix + "b2", Matrix(rows: 1, columns: outputs)),
    ]
  }

  /// What `backward` needs of a forward pass.
  struct Pass {
    fileprivate let input: Matrix
    fileprivate let activation: Matrix
    /// n x outputs.
    let output: Matrix
  }

  /// Maps n rows.
  func forward(_ x: Matrix, _ parameters: ParameterGroup, pool: ThreadPool) -> Pass {
    let first = affine(x, parameters[prefix + "w1"], hidden > 0 ? parameters[prefix + "b1"] : nil, pool)
    guard hidden > 0 else { return Pass(input: x, activation: x, output: first) }
    for index in 0..<first.count where first.base[index] < 0 { first.base[index] *= Self.slope }
    return Pass(
      input: x, activation: first, output: affine(first, parameters[prefix + "w2"], parameters[prefix + "b2"], pool))
  }

  /// Gradients of the parameters, in their order, and of the input.
  func backward(
    _ pass: Pass, gradient: Matrix, _ parameters: ParameterGroup, pool: ThreadPool
  ) -> (parameters: [Matrix], input: Matrix) {
    guard hidden > 0 else {
      let (weight, input) = affineBackward(pass.input, gradient, parameters[prefix + "w1"], pool)
      return ([weight], input)
    }
    let (second, dhidden) = affineBackward(pass.activation, gradient, parameters[prefix + "w2"], pool)
    for index in 0..<dhidden.count where pass.activation.base[index] < 0 { dhidden.base[index] *= Self.slope }
    let (first, dinput) = affineBackward(pass.input, dhidden, parameters[prefix + "w1"], pool)
    return ([first, columnSums(dhidden), second, columnSums(gradient)], dinput)
  }

  private func affine(_ x: Matrix, _ weight: Matrix, _ bias: Matrix?, _ pool: ThreadPool) -> Matrix {
    let y = Matrix(rows: x.rows, columns: weight.rows)
    Matmul.multiply(x, weight, transposingB: true, into: y, pool: pool)
    if let bias { for row in 0..<y.rows { Accumulate.add(y.columns, bias.base, to: y.row(row)) } }
    return y
  }

  private func affineBackward(
    _ x: Matrix, _ dy: Matrix, _ weight: Matrix, _ pool: ThreadPool
  ) -> (weight: Matrix, input: Matrix) {
    let dweight = Matrix(rows: weight.rows, columns: weight.columns)
    let dx = Matrix(rows: x.rows, columns: x.columns)
    Matmul.multiply(dy, transposingA: true, x, into: dweight, pool: pool)
    Matmul.multiply(dy, weight, into: dx, pool: pool)
    return (dweight, dx)
  }

  private func columnSums(_ x: Matrix) -> Matrix {
    let sums = Matrix(rows: 1, columns: x.columns)
    for row in 0..<x.rows { Accumulate.add(x.columns, x.row(row), to: sums.base) }
    return sums
  }
}
