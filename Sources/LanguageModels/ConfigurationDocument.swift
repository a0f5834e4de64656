import Tensors

/// A `config.json` with the checks that configurations of all classes have in common.
struct ConfigurationDocument {
  let path: String
  let json: StrictJSON

  /// Reads a file.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` where it is no JSON object.
  init(path: String) throws(GLTAError) {
    self.path = path
    json = try StrictJSON(path: path)
    guard json.members != nil else { throw invalid("it is no JSON object") }
  }

  func invalid(_ what: String) -> GLTAError { GLTAError(.invalidFile, "\(path): \(what)") }

  func unsupported(_ what: String) -> GLTAError {
    GLTAError(.unsupported, "\(path): \(what)", hint: "`glta model fetch minilm` brings a model that works")
  }

  /// `model_type`; nil where there is none.
  func modelType() throws(GLTAError) -> String? {
    guard let type = json["model_type"], !type.isNull else { return nil }
    guard let text = type.text else { throw invalid("model_type is \(type.summary), expected a text") }
    return text
  }

  /// A class of models in words, with the names of its implementations.
  func named(_ type: String?) -> String {
    let names = (json["architectures"]?.elements ?? []).compactMap(\.text)
    return (type ?? "none") + (names.isEmpty ? "" : " (\(names.joined(separator: ", ")))")
  }

  /// The method by which the weights are quantised; nil where they are not.
  var quantization: String? {
    guard let method = json["quantization_config"], method.members != nil else { return nil }
    return method["quant_method"]?.text ?? "unnamed"
  }

  /// A value that is there and is not null.
  func value(_ name: String) -> StrictJSON? {
    guard let value = json[name], !value.isNull else { return nil }
    return value
  }

  /// A size. Bounds are far above any real model and keep products of sizes clear of overflow.
  func extent(_ name: String, from least: Int = 1, upTo bound: Int = 1 << 20, default fallback: Int? = nil)
    throws(GLTAError) -> Int
  {
    guard let value = value(name) else {
      if let fallback { return fallback }
      throw invalid("\(name) is missing")
    }
    guard let extent = value.unsigned, extent >= least, extent <= bound else {
      throw invalid("\(name) is \(value.summary), expected a whole number from \(least) to \(bound)")
    }
    return extent
  }

  /// A number within bounds.
  func number(_ name: String, in range: Range<Double>, default fallback: Double) throws(GLTAError) -> Double {
    guard let value = value(name) else { return fallback }
    guard let number = value.double, range.contains(number) else {
      throw invalid("\(name) is \(value.summary), expected a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// A flag.
  func flag(_ name: String, default fallback: Bool = false) throws(GLTAError) -> Bool {
    guard let value = value(name) else { return fallback }
    guard let flag = value.boolean else { throw invalid("\(name) is \(value.summary), expected true or false") }
    return flag
  }
}
