public import Foundation
public import GraphEncoding
public import Tensors

/// The value of one setting, as JSON has it.
public enum SettingValue: Sendable, Hashable, Codable, CustomStringConvertible {
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)

  /// - Throws: `DecodingError` for anything but a bool, a number or a text.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  /// Writes the value alone.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }

  /// As a table shows it.
  public var description: String {
    switch self {
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): String(format: "%.4g", value)
    case .text(let value): value
    }
  }
}

/// What a search may choose: settings of the graph encoder by their names in `graph` of a configuration.
///
/// As JSON, a list of values or a range for each:
///
///     {"layers": [1, 2, 3],
///      "temperature": {"from": 0.05, "to": 0.5, "scale": "log"},
///      "negatives": {"from": 0, "to": 2048, "scale": "integer"}}
public struct TuningSpace: Sendable, Equatable, Codable {
  /// The values of one setting.
  public enum Values: Sendable, Equatable {
    /// Each as likely as the others.
    case list([SettingValue])
    /// Anything between two ends.
    case range(from: Double, to: Double, scale: Scale)
  }

  /// How a range is drawn from.
  public enum Scale: String, Sendable, Codable {
    /// Uniformly.
    case linear
    /// Uniformly in the logarithm.
    case log
    /// Whole numbers, uniformly.
    case integer
  }

  /// By the setting's name.
  public var settings: [String: Values]

  /// A space of the caller's.
  public init(_ settings: [String: Values]) { self.settings = settings }

  /// Reads a space.
  ///
  /// - Parameters:
  ///   - data: JSON as above.
  ///   - source: where it comes from, for messages.
  /// - Throws: `GLTAError.invalidArgument` for anything else, an empty space included.
  public init(json data: Data, source: String) throws(GLTAError) {
    do { self = try JSONDecoder().decode(TuningSpace.self, from: data) } catch {
      throw GLTAError(
        .invalidArgument, "\(source) is not a space of settings: \(error)",
        hint:
          #"expected an object such as {"layers": [1, 2], "learningRate": {"from": 1e-3, "to": 1e-2, "scale": "log"}}"#)
    }
    try validate()
  }

  /// - Throws: `DecodingError`.
  public init(from decoder: any Decoder) throws {
    settings = try decoder.singleValueContainer().decode([String: Values].self)
  }

  /// Writes the object of settings.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(settings)
  }

  /// Checks ends and lists.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the setting.
  public func validate() throws(GLTAError) {
    guard !settings.isEmpty else { throw GLTAError(.invalidArgument, "a space without settings has nothing to search") }
    for (name, values) in settings.sorted(by: { $0.key < $1.key }) {
      switch values {
      case .list(let list):
        guard !list.isEmpty else { throw GLTAError(.invalidArgument, "\(name) has an empty list of values") }
      case .range(let from, let to, let scale):
        guard from.isFinite, to.isFinite, from <= to, scale != .log || from > 0 else {
          throw GLTAError(
            .invalidArgument, "\(name) goes from \(from) to \(to), which is no \(scale.rawValue) range",
            hint: "from must not exceed to, and is above zero where the scale is log")
        }
      }
    }
  }

  /// The settings of a trial: a function of the seed, the trial's number, and how often it has drawn before.
  public func draw(trial: Int, attempt: Int = 0, seed: UInt64) -> [String: SettingValue] {
    var random = Philox(seed: seed, purpose: "tuning \(attempt)", index: UInt64(trial)).sequence()
    var drawn: [String: SettingValue] = [:]
    for name in settings.keys.sorted() { drawn[name] = settings[name]?.draw(&random) }
    return drawn
  }

  /// A space that is worth searching for a method.
  public static func suggested(for method: GraphMethod) -> TuningSpace {
    let rate = Values.range(from: 1e-3, to: 1e-2, scale: .log)
    let embedding: [String: Values] = [
      "learningRate": rate, "layers": .list([1, 2, 3].map { .integer($0) }), "loss": .list([.text("sampled-softmax")]),
      "temperature": .range(from: 0.07, to: 0.4, scale: .log),
      "l2": .list([.number(0), .number(1e-5), .number(1e-4), .number(1e-3)]),
    ]
    let alignment: [String: Values] = [
      "alignmentWeight": .range(from: 0.01, to: 1, scale: .log),
      "alignmentTemperature": .range(from: 0.1, to: 0.5, scale: .log),
    ]
    switch method {
    case .popularity: return TuningSpace([:])
    case .ease:
      return TuningSpace([
        "easeL2": .range(from: 20, to: 5_000, scale: .log), "easeDropout": .range(from: 0, to: 0.7, scale: .linear),
        "userWeighting": .list([.number(0), .number(0.25), .number(0.5), .number(0.75)]),
      ])
    case .textKNN: return TuningSpace(["neighbours": .list([0, 10, 20, 50, 100, 200].map { .integer($0) })])
    case .bprMF:
      return TuningSpace([
        "learningRate": rate, "l2": .range(from: 1e-5, to: 1e-1, scale: .log),
        "dimensions": .list([.integer(64), .integer(128)]),
      ])
    case .lightGCN: return TuningSpace(embedding)
    case .hccf, .lightGCNPlus, .hccfPlus, .rlmRecCon, .rlmRecGen:
      return TuningSpace(embedding.merging(alignment) { $1 })
    }
  }
}

extension TuningSpace.Values: Codable {
  private struct Range: Codable {
    let from: Double
    let to: Double
    let scale: TuningSpace.Scale?
  }

  /// - Throws: `DecodingError` for anything but a list of values or a range.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let list = try? container.decode([SettingValue].self) {
      self = .list(list)
    } else {
      let range = try container.decode(Range.self)
      self = .range(from: range.from, to: range.to, scale: range.scale ?? .linear)
    }
  }

  /// Writes the list, or the range as an object.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .list(let list): try container.encode(list)
    case .range(let from, let to, let scale): try container.encode(Range(from: from, to: to, scale: scale))
    }
  }

  fileprivate func draw(_ random: inout Philox.Sequence) -> SettingValue {
    switch self {
    case .list(let list): return list[Int(random.next() % UInt64(list.count))]
    case .range(let from, let to, .linear): return .number(Double.random(in: from...to, using: &random))
    case .range(let from, let to, .log):
      // Three digits say all that a search can know, and read well in a table.
      let value = exp(Double.random(in: log(from)...log(to), using: &random))
      let unit = pow(10, (log10(value)).rounded(.down) - 2)
      return .number(min(to, max(from, (value / unit).rounded() * unit)))
    case .range(let from, let to, .integer):
      return .integer(Int.random(in: Int(from.rounded(.up))...max(Int(from.rounded(.up)), Int(to)), using: &random))
    }
  }
}
