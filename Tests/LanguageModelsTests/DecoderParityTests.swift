import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// Passes of transformers' decoders in double precision; made by Tests/Golden/decoder_golden.py.
private struct DecoderGolden {
  let model: DecoderModel
  let file: SafetensorsFile

  init(_ name: String) throws {
    model = try DecoderModel(directory: Golden.path(name))
    file = try SafetensorsFile(path: Golden.path(name + "/golden.safetensors"))
  }

  func ids(_ index: Int) throws -> [Int32] { try file.indices("\(index).ids") }
  func greedy(_ index: Int) throws -> [Int32] { try file.indices("\(index).greedy") }
  func matrix(_ index: Int, _ name: String) throws -> Matrix { try file.matrix("\(index).\(name)") }
  var sequences: [Int] { (0..<8).filter { file.contains("\($0).ids") } }
  var longest: Int { sequences.count - 1 }
}

private func bits(_ matrix: Matrix) -> [UInt32] { matrix.elements.map(\.bitPattern) }

private func rows(_ matrix: Matrix, _ rows: [Int]) -> Matrix {
  let result = Matrix(rows: rows.count, columns: matrix.columns)
  for (index, row) in rows.enumerated() { result.row(index).update(from: matrix.row(row), count: matrix.columns) }
  return result
}

@Suite struct DecoderParityTests {
  static let models = ["llama-tiny", "qwen2-tiny", "qwen3-tiny", "llama3-rope-tiny", "yarn-tiny", "dynamic-tiny"]

  @Test(arguments: models) func logitsOfTokensAgreeWithPyTorch(name: String) throws {
    let golden = try DecoderGolden(name)
    let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: 1))
    for index in golden.sequences {
      let hidden = try pass.forward(ids: golden.ids(index))
      let expected = try golden.matrix(index, "logits")
      let logits = try golden.model.logits(
        hidden.slice(hidden.rows - expected.rows..<hidden.rows), pool: ThreadPool(threads: 1))
      #expect(relativeDifference(logits.elements, expected.elements) < 2e-5)
    }
  }

  @Test(arguments: models) func hiddenStatesOfInputEmbeddingsAgreeWithPyTorch(name: String) throws {
    let golden = try DecoderGolden(name)
    let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: 1))
    for index in golden.sequences {
      let hidden = try pass.forward(inputEmbeddings: golden.matrix(index, "embeds"))
      #expect(relativeDifference(hidden.elements, try golden.matrix(index, "embeds_hidden").elements) < 2e-5)
    }
  }

  @Test(arguments: models) func inputGradientsAgreeWithPyTorch(name: String) throws {
    let golden = try DecoderGolden(name)
    for retention in [Retention.activations, .layerInputs] {
      let pass = golden.model.makePass(pool: ThreadPool(threads: 1))
      for index in golden.sequences {
        _ = try pass.forward(
          inputEmbeddings: golden.matrix(index, "embeds"), wanted: nil, retention: retention)
        let gradient = pass.backward(try golden.matrix(index, "cotangent"))
        #expect(relativeDifference(gradient.elements, try golden.matrix(index, "gradient").elements) < 1e-4)
      }
    }
  }

  @Test(arguments: models) func anyNumberOfThreadsGivesTheSameBits(name: String) throws {
    let golden = try DecoderGolden(name)
    let (embeds, cotangent) = (
      try golden.matrix(golden.longest, "embeds"), try golden.matrix(golden.longest, "cotangent")
    )
    func run(_ threads: Int) throws -> ([UInt32], [UInt32]) {
      let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: threads))
      let hidden = bits(try pass.forward(inputEmbeddings: embeds, retention: .activations))
      return (hidden, bits(pass.backward(cotangent)))
    }
    let alone = try run(1)
    for threads in [2, 3] {
      let other = try run(threads)
      #expect(other.0 == alone.0)
      #expect(other.1 == alone.1)
    }
  }

  @Test(arguments: models) func wantedPositionsAreRowsOfTheWhole(name: String) throws {
    let golden = try DecoderGolden(name)
    let (embeds, cotangent) = (
      try golden.matrix(golden.longest, "embeds"), try golden.matrix(golden.longest, "cotangent")
    )
    let wanted = [0, 5, embeds.rows - 2, embeds.rows - 1]
    let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: 2))
    let whole = try pass.forward(inputEmbeddings: embeds).copy()
    for retention in [Retention.activations, .layerInputs] {
      #expect(bits(try pass.forward(inputEmbeddings: embeds, wanted: wanted)) == bits(rows(whole, wanted)))
      let some = try pass.forward(inputEmbeddings: embeds, wanted: wanted, retention: retention)
      #expect(bits(some) == bits(rows(whole, wanted)))
      let gradient = pass.backward(rows(cotangent, wanted)).copy()
      // The cotangent of the other positions is zero: both ways are the same function.
      let all = Matrix(rows: cotangent.rows, columns: cotangent.columns)
      for row in wanted { all.row(row).update(from: cotangent.row(row), count: cotangent.columns) }
      _ = try pass.forward(inputEmbeddings: embeds, retention: retention)
      #expect(relativeDifference(gradient.elements, pass.backward(all).elements) < 1e-5)
    }
  }

  @Test(arguments: models) func oneFunctionOfASequenceWhateverThePassDidBefore(name: String) throws {
    let golden = try DecoderGolden(name)
    let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: 1))
    for index in golden.sequences + golden.sequences.reversed() {
      let embeds = try golden.matrix(index, "embeds")
      let fresh = try DecoderPass(model: golden.model, pool: ThreadPool(threads: 1)).forward(inputEmbeddings: embeds)
      #expect(bits(try pass.forward(inputEmbeddings: embeds)) == bits(fresh))
    }
  }

  @Test(arguments: models.filter { $0 != "dynamic-tiny" })
  func whatFollowsACachedPrefixIsThatOfTheWhole(name: String) throws {
    let golden = try DecoderGolden(name)
    let cotangent = try golden.matrix(golden.longest, "cotangent")
    let ids = (0..<Int32(cotangent.rows)).map { $0 * 7 % Int32(golden.model.vocabularySize) }
    // Nodes of the graph stand among the tokens behind a prefix.
    let embeds = golden.model.inputEmbeddings(ids)
    embeds.slice(embeds.rows - 2..<embeds.rows).assign(randomMatrix(2, embeds.columns))
    let pool = ThreadPool(threads: 2)
    let pass = DecoderPass(model: golden.model, pool: pool)
    let whole = try pass.forward(inputEmbeddings: embeds, retention: .activations).copy()
    let gradient = pass.backward(cotangent).copy()
    for count in [1, 16, embeds.rows - 3] {
      let prefix = try #require(try golden.model.readPrefix(Array(ids.prefix(count)), pool: pool))
      #expect(prefix.count == count)
      let rest = count..<embeds.rows
      for retention in [Retention.activations, .layerInputs] {
        let hidden = try pass.forward(inputEmbeddings: embeds.slice(rest), after: prefix, retention: retention)
        #expect(bits(hidden) == bits(whole.slice(rest)))
        // What later positions cause does not depend on where the prefix ends.
        let found = pass.backward(cotangent.slice(rest))
        #expect(relativeDifference(found.elements, gradient.slice(rest).elements) < 1e-5)
      }
    }
  }

  @Test func refusesSequencesThatAreEmptyOrTooLong() throws {
    let golden = try DecoderGolden("llama-tiny")
    let pass = DecoderPass(model: golden.model, pool: ThreadPool(threads: 1))
    for length in [0, 257] {
      #expect(throws: GLTAError.self) { try pass.forward(inputEmbeddings: Matrix(rows: length, columns: 48)) }
    }
  }
}
