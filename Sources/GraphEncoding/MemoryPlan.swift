/// What a computation will hold in memory at its largest, part by part: for a person to read before it starts.
public struct MemoryPlan: Sendable, CustomStringConvertible {
  /// The parts that take memory, each with its bytes.
  public let parts: [(name: String, bytes: Int)]

  init(_ parts: [(name: String, bytes: Int)]) { self.parts = parts.filter { $0.bytes > 0 } }

  /// All parts together, in bytes.
  public var total: Int { parts.reduce(0) { $0 + $1.bytes } }

  /// One line, in MiB.
  public var description: String {
    func mebibytes(_ bytes: Int) -> Int { (bytes + (1 << 20) - 1) >> 20 }
    let list = parts.map { "\($0.name) \(mebibytes($0.bytes))" }.joined(separator: ", ")
    return "memory plan: \(mebibytes(total)) MiB" + (list.isEmpty ? "" : " (\(list))")
  }
}
