import Foundation

/// The parts of every message in Protocols/vectors/invalid.
package func brokenMessages() -> [[[UInt8]]] {
  let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  let folder = root.path + "/Protocols/vectors/invalid/"
  let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".hex") }
  return names.sorted().compactMap { name in
    guard let text = try? String(contentsOfFile: folder + name, encoding: .utf8) else { return nil }
    // A socket sends ten parts at most; those of more are the transport's to refuse.
    let parts = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { bytes(of: $0) }
    return (1...10).contains(parts.count) ? parts : nil
  }
}

private func bytes(of hexadecimal: Substring) -> [UInt8] {
  let digits = Array(hexadecimal.utf8)
  func value(_ digit: UInt8) -> UInt8 { digit < 0x3A ? digit - 0x30 : digit - 0x57 }
  return stride(from: 0, to: digits.count - 1, by: 2).map { value(digits[$0]) << 4 | value(digits[$0 + 1]) }
}
