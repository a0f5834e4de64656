import Foundation
import GraphEncoding
import Tensors

/// Settings of the graph encoder by their names.
enum GraphSettings {
  /// Options with some settings replaced.
  ///
  /// - Throws: `GLTAError.invalidArgument` for a name that does not exist or a value of another type.
  static func lay(
    _ settings: [String: SettingValue], over options: GraphEncoderOptions
  ) throws(GLTAError) -> GraphEncoderOptions {
    do {
      let encoded = try JSONDecoder().decode([String: SettingValue].self, from: JSONEncoder().encode(options))
      for name in settings.keys.sorted() where encoded[name] == nil {
        throw GLTAError(
          .invalidArgument, "the graph encoder has no setting \(name)",
          hint: "known are: " + encoded.keys.sorted().joined(separator: ", "))
      }
      let merged = encoded.merging(settings) { $1 }
      return try JSONDecoder().decode(GraphEncoderOptions.self, from: JSONEncoder().encode(merged))
    } catch let error as GLTAError {
      throw error
    } catch {
      let said = settings.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
      throw GLTAError(.invalidArgument, "these are no settings of the graph encoder: \(said): \(error)")
    }
  }
}
