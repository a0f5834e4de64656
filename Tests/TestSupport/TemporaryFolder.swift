public import Foundation

/// A folder that lives as long as the value.
public final class TemporaryFolder: Sendable {
  /// Where it is; gone with the value.
  public let path: String

  /// Makes a folder of a new name.
  public init() throws {
    path = NSTemporaryDirectory() + "glta-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and returns its path.
  @discardableResult
  public func write(_ name: String, _ text: String) throws -> String {
    try write(name, Data(text.utf8))
  }

  /// Writes a file and returns its path.
  @discardableResult
  public func write(_ name: String, _ data: Data) throws -> String {
    let file = path + "/" + name
    try FileManager.default.createDirectory(
      atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
    try data.write(to: URL(fileURLWithPath: file))
    return file
  }
}

/// Where things lie, seen from the package.
public enum TestPaths {
  /// The package's root.
  public static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  /// The folder of real data sets, where a checkout has one beside it.
  public static let data = root + "/../shared/data"

  /// Whether a data set is at hand.
  public static func hasData(_ name: String) -> Bool { FileManager.default.fileExists(atPath: data + "/" + name) }
}
