/// What a computation will hold in memory at its largest, part by part: for a person to read before it starts.
public struct MemoryPlan: Sendable, CustomStringConvertible {
  /// The parts that take memory, each with its bytes.
  public let parts: [(name: String, bytes: Int)]
  /// What the plan has chosen, in words; nil where there was no choice.
  public let choice: String?

  /// A plan of parts, of which those that take nothing are left out.
  public init(_ parts: [(name: String, bytes: Int)], choice: String? = nil) {
    self.parts = parts.filter { $0.bytes > 0 }
    self.choice = choice
  }

  /// All parts together, in bytes.
  public var total: Int { parts.reduce(0) { $0 + $1.bytes } }

  /// One line, in MiB.
  public var description: String {
    func mebibytes(_ bytes: Int) -> Int { (bytes + (1 << 20) - 1) >> 20 }
    let list = parts.map { "\($0.name) \(mebibytes($0.bytes))" }.joined(separator: ", ")
    return "memory plan: \(mebibytes(total)) MiB" + (list.isEmpty ? "" : " (\(list))")
      + (choice.map { "; " + $0 } ?? "")
  }
}

extension MemoryPlan: Encodable {
  private enum CodingKeys: String, CodingKey {
    case total
    case parts
    case choice
  }

  /// The total and each part by its name, in bytes.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(total, forKey: .total)
    try container.encode(Dictionary(parts, uniquingKeysWith: +), forKey: .parts)
    try container.encodeIfPresent(choice, forKey: .choice)
  }
}
