import Foundation
import LanguageModels
import Tensors
import TestSupport
import Testing

/// Linear layers of four bits in safetensors.
struct GPTQTests {
  private static let layers = ["groups", "whole", "reordered", "implied"]
  private static let (inputs, outputs) = (96, 40)

  private func source(_ folder: String, precision: Precision = .stored) throws -> GPTQSource {
    let directory = try HuggingFaceDirectory(path: folder)
    let settings = try #require(try GPTQSettings(directory: directory))
    return GPTQSource(
      floats: try SafetensorsSource(directory: directory, precision: precision), settings: settings,
      precision: precision)
  }

  /// What a weight stands for: the product of the identity.
  private func numbers(_ linear: FrozenLinear) -> Matrix {
    let identity = Matrix(rows: linear.inputs, columns: linear.inputs)
    for index in 0..<linear.inputs { identity[index, index] = 1 }
    let result = Matrix(rows: linear.inputs, columns: linear.outputs)
    linear.apply(rows: linear.inputs, identity.base, into: result.base)
    return result
  }

  @Test(arguments: ["v1", "v2"], layers) func standsForWhatTheFormatSays(version: String, layer: String) throws {
    let folder = Golden.path("gptq/" + version)
    let expected = try SafetensorsFile(path: folder + "/expected.safetensors").matrix(layer + ".weight")
    let linear = try source(folder).linear(layer, out: Self.outputs, in: Self.inputs, hasBias: false)
    let found = numbers(linear)
    for row in 0..<Self.inputs {
      #expect((0..<Self.outputs).allSatisfy { found[row, $0] == expected[$0, row] })
    }
  }

  @Test(arguments: layers) func productsHaveTheBitsOfTheFloats(layer: String) throws {
    let folder = Golden.path("gptq/v1")
    let weight = try SafetensorsFile(path: folder + "/expected.safetensors").matrix(layer + ".weight")
    let quantized = try source(folder).linear(layer, out: Self.outputs, in: Self.inputs, hasBias: false)
    let floats = FrozenLinear(weight: weight)
    for rows in [1, 5] {
      let (x, dout) = (randomMatrix(rows, Self.inputs), randomMatrix(rows, Self.outputs, seed: 2))
      let (y, z) = (Matrix(rows: rows, columns: Self.outputs), Matrix(rows: rows, columns: Self.outputs))
      quantized.apply(rows: rows, x.base, into: y.base)
      floats.apply(rows: rows, x.base, into: z.base)
      #expect(y.elements == z.elements)
      let (dx, dz) = (Matrix(rows: rows, columns: Self.inputs), Matrix(rows: rows, columns: Self.inputs))
      quantized.applyBackward(rows: rows, dout.base, into: dx.base)
      floats.applyBackward(rows: rows, dout.base, into: dz.base)
      #expect(dx.elements == dz.elements)
    }
  }

  @Test(arguments: Precision.allCases) func takesEveryPrecision(precision: Precision) throws {
    let folder = Golden.path("gptq/v1")
    let source = try source(folder, precision: precision)
    for layer in ["reordered", "float"] {
      let expected = try SafetensorsFile(path: folder + "/expected.safetensors").matrix(layer + ".weight")
      let found = numbers(try source.linear(layer, out: Self.outputs, in: Self.inputs, hasBias: false))
      let transposed = (0..<Self.inputs).flatMap { row in (0..<Self.outputs).map { expected[$0, row] } }
      let bound: Float = precision == .int8 ? 1e-2 : precision == .bf16 ? 4e-3 : 0
      #expect(relativeDifference(found.elements, transposed) <= bound)
    }
  }

  @Test func ignoresABiasOfZeros() throws {
    let source = try source(Golden.path("gptq/v1"))
    #expect(!source.contains("groups.bias"))
    #expect(source.contains("whole.bias") && source.contains("groups.weight") && source.contains("float.weight"))
    #expect(!source.contains("nothing.weight"))
    let linear = try source.linear("whole", out: Self.outputs, in: Self.inputs, hasBias: true)
    #expect(linear.bias?.elements.allSatisfy { $0 == 1 } == true)
  }

  // MARK: Bad input

  /// The error with which settings are refused; nil where they are taken or there are none.
  private func refusal(settings: String) throws -> GLTAError? {
    let folder = try TemporaryFolder()
    try folder.write("config.json", #"{"model_type":"llama","quantization_config":\#(settings)}"#)
    do throws(GLTAError) {
      _ = try GPTQSettings(directory: HuggingFaceDirectory(path: folder.path))
      return nil
    } catch { return error }
  }

  @Test func readsSettings() throws {
    let folder = try TemporaryFolder()
    try folder.write("config.json", #"{"model_type":"llama"}"#)
    let directory = try HuggingFaceDirectory(path: folder.path)
    #expect(try GPTQSettings(directory: directory) == nil)
    try folder.write("quantize_config.json", #"{"bits":4,"group_size":-1,"desc_act":false}"#)
    #expect(try GPTQSettings(directory: directory) == GPTQSettings(groupSize: nil))
    try folder.write(
      "config.json", #"{"quantization_config":{"bits":4,"group_size":64,"checkpoint_format":"gptq_v2"}}"#)
    #expect(try GPTQSettings(directory: directory) == GPTQSettings(groupSize: 64, zeroOffset: 0))
  }

  @Test(arguments: [
    (#"{"quant_method":"awq","bits":4}"#, "awq"), (#"{"quant_method":"gptq","bits":3}"#, "3 bits"),
    (#"{"quant_method":"gptq"}"#, "bits is missing"), (#"{"bits":"four"}"#, "bits"),
    (#"{"bits":4,"group_size":0}"#, "group_size"), (#"{"bits":4,"group_size":-2}"#, "group_size"),
    (#"{"bits":4,"group_size":1e3}"#, "group_size"), (#"{"bits":4,"checkpoint_format":"marlin"}"#, "marlin"),
  ])
  func refusesSettings(settings: String, expected: String) throws {
    let error = try #require(try refusal(settings: settings))
    #expect(error.message.contains(expected), "\(error.message)")
  }

  /// A layer `x` of 32 inputs and 16 outputs, one group a unit, changed by the test.
  private func refusal(_ change: (inout [String: Tensor]) -> Void) throws -> GLTAError? {
    var tensors: [String: Tensor] = [
      "qweight": Tensor([Int32](repeating: 0x7654_3210, count: 64), shape: [4, 16]),
      "qzeros": Tensor([Int32](repeating: 0x7777_7777, count: 2), shape: [1, 2]),
      "scales": Tensor([Float16](repeating: 0.5, count: 16), shape: [1, 16]),
      "g_idx": Tensor([Int32](repeating: 0, count: 32)),
    ]
    change(&tensors)
    let folder = try TemporaryFolder()
    try folder.write("config.json", #"{"quantization_config":{"bits":4,"group_size":32}}"#)
    try SafetensorsWriter.write(
      tensors.sorted { $0.key < $1.key }.map { ("x." + $0.key, $0.value) }, metadata: [:],
      to: folder.path + "/model.safetensors")
    let source = try source(folder.path)
    do throws(GLTAError) {
      let linear = try source.linear("x", out: 16, in: 32, hasBias: false)
      let y = Matrix(rows: 1, columns: 16)
      linear.apply(rows: 1, Matrix(rows: 1, columns: 32).base, into: y.base)
      return nil
    } catch { return error }
  }

  @Test func refusesPartsThatDoNotFit() throws {
    #expect(try refusal { _ in } == nil)
    #expect(try refusal { $0["g_idx"] = nil } == nil)
    func expect(_ expected: String, _ change: (inout [String: Tensor]) -> Void) throws {
      let error = try #require(try refusal(change), "\(expected)")
      #expect(error.message.contains(expected), "\(error.message)")
    }
    try expect("no tensor x.scales") { $0["scales"] = nil }
    try expect("no tensor x.qzeros") { $0["qzeros"] = nil }
    try expect("of shape [4, 15]") { $0["qweight"] = Tensor(.i32, shape: [4, 15]) }
    try expect("of shape [5, 16]") { $0["qweight"] = Tensor(.i32, shape: [5, 16]) }
    try expect("codes are F16") { $0["qweight"] = Tensor(.f16, shape: [4, 16]) }
    try expect("qzeros have the shape [1, 3]") { $0["qzeros"] = Tensor(.i32, shape: [1, 3]) }
    try expect("expected I32") { $0["qzeros"] = Tensor(.f32, shape: [1, 2]) }
    try expect("zeros for 16 outputs") { $0["qzeros"] = Tensor(.i32, shape: [2, 2]) }
    try expect("scales") { $0["scales"] = Tensor(.f16, shape: [0, 16]) }
    try expect("expected F16") { $0["scales"] = Tensor(.i32, shape: [1, 16]) }
    try expect("no finite number") {
      $0["scales"] = Tensor([Float16](repeating: .infinity, count: 16), shape: [1, 16])
    }
    try expect("is no f16") { $0["scales"] = Tensor([Float](repeating: 0.1, count: 16), shape: [1, 16]) }
    try expect("expected 32") { $0["g_idx"] = Tensor([Int32](repeating: 0, count: 31)) }
    try expect("group 1 of 1") { $0["g_idx"] = Tensor([Int32](repeating: 1, count: 32)) }
    try expect("group -1 of 1") { $0["g_idx"] = Tensor([Int32](repeating: -1, count: 32)) }
  }

  @Test func randomDamageNeverTraps() throws {
    let whole = try Data(contentsOf: URL(fileURLWithPath: Golden.path("gptq/v1/model.safetensors")))
    let header = 8 + Int(whole.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) })
    let folder = try TemporaryFolder()
    try folder.write("config.json", #"{"quantization_config":{"bits":4,"group_size":32}}"#)
    var random = Philox(seed: 8, purpose: "damage").sequence()
    for round in 0..<2_000 {
      var data = whole
      let range = round % 2 == 0 ? 0..<header : header..<data.count
      for _ in 0..<1 + random.index(below: 6) {
        data[range.lowerBound + random.index(below: range.count)] = UInt8(random.index(below: 256))
      }
      try folder.write("model.safetensors", data)
      guard let source = try? source(folder.path) else { continue }
      for layer in Self.layers { _ = try? source.linear(layer, out: Self.outputs, in: Self.inputs, hasBias: false) }
    }
  }
}
