public import Tensors

/// How fast a model runs on this machine, beside the machine's own matrix product at the same number of threads.
public struct ModelBenchmark: Sendable, Codable {
  /// One shape of work.
  public struct Case: Sendable, Codable {
    /// Sequences in the batch.
    public var batch: Int
    /// Tokens of each sequence.
    public var tokens: Int
    /// 10^9 floating-point operations a second, by the formula of `LanguageModel.operations`.
    public var forwardGflops: Double
    /// As `forwardGflops`, for a forward pass and a backward pass to the inputs: twice the operations.
    public var forwardBackwardGflops: Double

    enum CodingKeys: String, CodingKey {
      case batch
      case tokens
      case forwardGflops = "forward_gflops"
      case forwardBackwardGflops = "forward_backward_gflops"
    }
  }

  /// Threads that the model and the matrix product had.
  public var threads: Int
  /// The kernel that OpenBLAS chose for this processor, as OpenBLAS names it.
  public var openBLASCore: String
  /// OpenBLAS on 1024 x 1024 x 1024, one product a thread.
  public var sgemmGflops: Double
  /// One for each shape of work that was measured.
  public var cases: [Case]

  enum CodingKeys: String, CodingKey {
    case threads
    case openBLASCore = "openblas_core"
    case sgemmGflops = "sgemm_gflops"
    case cases
  }

  /// Measures 1 x 128 and 16 x 128 tokens, the best of several repetitions.
  public static func run(model: any LanguageModel, pool: ThreadPool) throws(GLTAError) -> ModelBenchmark {
    var cases: [Case] = []
    let tokens = min(128, model.maximumLength)
    for batch in [1, 16] {
      let work = Double(batch) * model.operations(length: tokens)
      // One sequence has all threads inside its pass; many are shared out.
      let passes = (0..<max(batch, pool.threads)).map { _ in
        model.makePass(pool: batch == 1 ? pool : .serial)
      }
      let input = model.inputEmbeddings((0..<Int32(tokens)).map { $0 % Int32(model.vocabularySize) })
      let gradient = Matrix(rows: tokens, columns: model.hiddenSize)
      gradient.fill(0.01)
      let outputs = (0..<batch).map { _ in Matrix(rows: tokens, columns: model.hiddenSize) }
      let failures = FirstFailure()
      func time(_ retention: Retention) -> Double {
        Measurement.best(of: batch == 1 ? 20 : 6) {
          pool.forEach(batch) { index, worker in
            do throws(GLTAError) {
              // A forward pass alone leaves nothing behind: one for each worker serves all its sequences.
              let pass = passes[retention == .nothing ? worker : index]
              let hidden = try pass.forward(inputEmbeddings: input, wanted: nil, retention: retention)
              if retention == .nothing {
                outputs[index].assign(hidden)
              } else {
                outputs[index].assign(pass.backward(gradient))
              }
            } catch { failures.record(error, at: index) }
          }
        }
      }
      let forward = time(.nothing)
      let both = time(.activations)
      try failures.rethrow()
      cases.append(
        Case(
          batch: batch, tokens: tokens, forwardGflops: work / forward / 1e9,
          forwardBackwardGflops: 2 * work / both / 1e9))
    }
    return ModelBenchmark(
      threads: pool.threads, openBLASCore: Processor.openBLASCore, sgemmGflops: Measurement.sgemmGflops(pool),
      cases: cases)
  }

  /// A table for people.
  public var text: String {
    var lines = [
      "threads \(threads), OpenBLAS core \(openBLASCore), vectors \(Processor.vectors)",
      "sgemm 1024^3           \(rounded(sgemmGflops)) GFLOP/s",
    ]
    for item in cases {
      let name = "\(item.batch) x \(item.tokens) tokens"
      lines.append("\(name) forward     \(rounded(item.forwardGflops)) GFLOP/s, \(share(item.forwardGflops)) of sgemm")
      lines.append(
        "\(name) forward+backward \(rounded(item.forwardBackwardGflops)) GFLOP/s, "
          + "\(share(item.forwardBackwardGflops)) of sgemm")
    }
    return lines.joined(separator: "\n")
  }

  private func rounded(_ value: Double) -> String { String(Int(value.rounded())) }
  private func share(_ value: Double) -> String { "\(Int((100 * value / sgemmGflops).rounded())) %" }
}
