import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// The tests run their passes through these, whatever the model's own interface is.
private func hiddenStates(_ model: BERTModel, ids: [Int32], threads: Int = 1) throws -> Matrix {
  try BERTPass(model: model, pool: ThreadPool(threads: threads)).forward(ids: ids).copy()
}

private func hiddenStates(_ model: BERTModel, inputEmbeddings: Matrix, threads: Int = 1) throws -> Matrix {
  try BERTPass(model: model, pool: ThreadPool(threads: threads)).forward(inputEmbeddings: inputEmbeddings).copy()
}

private func inputGradient(
  _ model: BERTModel, inputEmbeddings: Matrix, cotangent: Matrix, retention: BERTPass.Retention = .activations,
  threads: Int = 1
) throws -> Matrix {
  let pass = BERTPass(model: model, pool: ThreadPool(threads: threads))
  _ = try pass.forward(inputEmbeddings: inputEmbeddings, retention: retention)
  return pass.backward(cotangent).copy()
}

private func bits(_ matrix: Matrix) -> [UInt32] { matrix.elements.map(\.bitPattern) }

/// Passes of transformers' BertModel in double precision; made by Tests/Golden/bert_golden.py.
private struct BERTGolden {
  let model: BERTModel
  let file: SafetensorsFile

  init(model: String, golden: String) throws {
    self.model = try BERTModel(directory: model)
    file = try SafetensorsFile(path: Golden.path(golden + "/golden.safetensors"))
  }

  init(tiny name: String) throws { try self.init(model: Golden.path(name), golden: name) }

  func ids(_ index: Int) throws -> [Int32] { try file.indices("\(index).ids") }
  func matrix(_ index: Int, _ name: String) throws -> Matrix { try file.matrix("\(index).\(name)") }
}

@Suite struct BERTParityTests {
  static let tinyModels = ["bert-tiny", "bert-tiny-odd"]
  /// Sequences of 1, 7, 33 and 64 tokens.
  static let sequences = 0..<4

  @Test(arguments: tinyModels, sequences)
  func hiddenStatesOfTokensAgreeWithPyTorch(name: String, index: Int) throws {
    let golden = try BERTGolden(tiny: name)
    let hidden = try hiddenStates(golden.model, ids: golden.ids(index))
    #expect(absoluteDifference(hidden.elements, try golden.matrix(index, "hidden").elements) < 2e-5)
  }

  @Test(arguments: tinyModels, sequences)
  func hiddenStatesOfInputEmbeddingsAgreeWithPyTorch(name: String, index: Int) throws {
    let golden = try BERTGolden(tiny: name)
    let hidden = try hiddenStates(golden.model, inputEmbeddings: golden.matrix(index, "embeds"))
    #expect(absoluteDifference(hidden.elements, try golden.matrix(index, "embeds_hidden").elements) < 2e-5)
  }

  @Test(arguments: tinyModels, sequences)
  func inputGradientsAgreeWithPyTorch(name: String, index: Int) throws {
    let golden = try BERTGolden(tiny: name)
    for retention in [BERTPass.Retention.activations, .layerInputs] {
      let gradient = try inputGradient(
        golden.model, inputEmbeddings: golden.matrix(index, "embeds"), cotangent: golden.matrix(index, "cotangent"),
        retention: retention)
      #expect(relativeDifference(gradient.elements, try golden.matrix(index, "gradient").elements) < 1e-4)
    }
  }

  @Test(arguments: tinyModels)
  func anyNumberOfThreadsGivesTheSameBits(name: String) throws {
    let golden = try BERTGolden(tiny: name)
    let (embeds, cotangent) = (try golden.matrix(3, "embeds"), try golden.matrix(3, "cotangent"))
    let hidden = try hiddenStates(golden.model, inputEmbeddings: embeds)
    let gradient = try inputGradient(golden.model, inputEmbeddings: embeds, cotangent: cotangent)
    for threads in [2, 3] {
      #expect(bits(try hiddenStates(golden.model, inputEmbeddings: embeds, threads: threads)) == bits(hidden))
      let other = try inputGradient(golden.model, inputEmbeddings: embeds, cotangent: cotangent, threads: threads)
      #expect(bits(other) == bits(gradient))
    }
  }

  @Test(arguments: tinyModels)
  func wantedPositionsAgreeWithPyTorchForwardAndBackward(name: String) throws {
    let golden = try BERTGolden(tiny: name)
    let wanted = [0, 5, 30, 32]
    let pass = BERTPass(model: golden.model, pool: ThreadPool(threads: 1))
    let hidden = try pass.forward(
      inputEmbeddings: golden.matrix(2, "embeds"), wanted: wanted, retention: .activations)
    let expected = try golden.matrix(2, "embeds_hidden")
    for (row, position) in wanted.enumerated() {
      #expect(
        absoluteDifference(hidden.slice(row..<row + 1).elements, expected.slice(position..<position + 1).elements)
          < 2e-5)
    }
    // The cotangent of the other positions is zero: both ways are the same function.
    let cotangent = try golden.matrix(2, "cotangent")
    let some = Matrix(rows: wanted.count, columns: cotangent.columns)
    let all = Matrix(rows: cotangent.rows, columns: cotangent.columns)
    for (row, position) in wanted.enumerated() {
      some.row(row).update(from: cotangent.row(position), count: cotangent.columns)
      all.row(position).update(from: cotangent.row(position), count: cotangent.columns)
    }
    let gradient = pass.backward(some).copy()
    let reference = try inputGradient(golden.model, inputEmbeddings: golden.matrix(2, "embeds"), cotangent: all)
    #expect(relativeDifference(gradient.elements, reference.elements) < 1e-4)
  }

  @Test func oneFunctionOfASequenceWhateverThePassDidBefore() throws {
    let golden = try BERTGolden(tiny: "bert-tiny")
    let pass = BERTPass(model: golden.model, pool: ThreadPool(threads: 1))
    for index in [3, 0, 2, 1, 3] {
      let embeds = try golden.matrix(index, "embeds")
      let fresh = try hiddenStates(golden.model, inputEmbeddings: embeds)
      #expect(bits(try pass.forward(inputEmbeddings: embeds)) == bits(fresh))
    }
  }

  @Test func refusesSequencesThatAreEmptyOrTooLong() throws {
    let golden = try BERTGolden(tiny: "bert-tiny")
    for length in [0, 65] {
      #expect(throws: GLTAError.self) {
        try hiddenStates(golden.model, inputEmbeddings: Matrix(rows: length, columns: 32))
      }
    }
  }

  @Test func readsTheNamesOfHeadedAndOfOldCheckpoints() throws {
    let source = try SafetensorsFile(path: Golden.path("bert-tiny/model.safetensors"))
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("glta-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    try FileManager.default.copyItem(
      atPath: Golden.path("bert-tiny/config.json"), toPath: directory.appendingPathComponent("config.json").path)
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in source.names {
      let old = name.replacingOccurrences(of: "LayerNorm.weight", with: "LayerNorm.gamma")
        .replacingOccurrences(of: "LayerNorm.bias", with: "LayerNorm.beta")
      tensors.append(("bert." + old, try source.tensor(name)))
    }
    try SafetensorsWriter.write(tensors, metadata: [:], to: directory.appendingPathComponent("model.safetensors").path)
    let golden = try BERTGolden(tiny: "bert-tiny")
    let model = try BERTModel(directory: directory.path)
    let ids = try golden.ids(2)
    #expect(bits(try hiddenStates(model, ids: ids)) == bits(try hiddenStates(golden.model, ids: ids)))
  }
}

@Suite(.enabled(if: Golden.hasMiniLM, "all-MiniLM-L6-v2 is not on this machine"))
struct MiniLMParityTests {
  /// Texts of 5, 32, 126 and 345 tokens.
  @Test(arguments: 0..<4)
  func hiddenStatesAgreeWithPyTorch(index: Int) throws {
    let golden = try BERTGolden(model: Golden.miniLM, golden: "bert-minilm")
    let hidden = try hiddenStates(golden.model, ids: golden.ids(index))
    let expected = try golden.matrix(index, "hidden")
    for (row, position) in try golden.file.indices("\(index).positions").enumerated() {
      let found = hidden.slice(Int(position)..<Int(position) + 1)
      #expect(absoluteDifference(found.elements, expected.slice(row..<row + 1).elements) < 2e-5)
    }
  }

  @Test func inputGradientsAgreeWithPyTorch() throws {
    let golden = try BERTGolden(model: Golden.miniLM, golden: "bert-minilm")
    let gradient = try inputGradient(
      golden.model, inputEmbeddings: golden.model.inputEmbeddings(try golden.ids(1)),
      cotangent: golden.matrix(1, "cotangent"))
    #expect(relativeDifference(gradient.elements, try golden.matrix(1, "gradient").elements) < 1e-4)
  }

  @Test func theTokenizerMakesTheIDsOfTheGoldens() throws {
    let golden = try BERTGolden(model: Golden.miniLM, golden: "bert-minilm")
    let tokenizer = try WordPieceTokenizer(directory: Golden.miniLM)
    #expect(tokenizer.encode("a love story", addingSpecialTokens: true) == (try golden.ids(0)))
  }
}
