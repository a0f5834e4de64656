import Foundation

/// Where the fixtures lie: Tests/Golden, and a real model where one has been fetched.
enum Golden {
  /// The root of the package, from the place of this file.
  static let root = (0..<3).reduce(URL(fileURLWithPath: #filePath)) { url, _ in url.deletingLastPathComponent() }

  /// A fixture's path.
  static func path(_ name: String) -> String { root.appendingPathComponent("Tests/Golden/" + name).path }

  /// The directory of all-MiniLM-L6-v2: `$GLTA_MINILM`, else `.demo/minilm`.
  static let miniLM =
    ProcessInfo.processInfo.environment["GLTA_MINILM"] ?? root.appendingPathComponent(".demo/minilm").path

  static let hasMiniLM = FileManager.default.fileExists(atPath: miniLM + "/model.safetensors")

  /// A tiny trained decoder that lies beside the repository on some machines.
  static let stories = root.deletingLastPathComponent().appendingPathComponent("shared/models/stories260K").path

  static let hasStories = FileManager.default.fileExists(atPath: stories + "/model.safetensors")
}
