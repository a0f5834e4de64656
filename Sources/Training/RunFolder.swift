import Bundles
import Foundation
import Tensors
import TokenAlignment

/// The checkpoints of one training run, in a folder beside the bundle that it will become.
///
/// `fingerprint.json` says what the run computes: configuration, data and language model. A run resumes only from a
/// folder with its own fingerprint. Every file is written under a temporary name and renamed, so a kill at any moment
/// leaves the checkpoint before.
struct RunFolder {
  /// What a run computes.
  struct Fingerprint: Codable, Equatable {
    var configuration: TrainingConfiguration
    var dataHash: String
    var languageModelHash: String
  }

  let path: String

  /// The folder of a run that will write `bundle`.
  static func path(forBundle bundle: String) -> String {
    (bundle.hasSuffix("/") ? String(bundle.dropLast()) : bundle) + ".run"
  }

  /// Opens the folder of a run; an old one is taken up with `resume` and emptied without.
  ///
  /// - Throws: `GLTAError.mismatch` where `resume` meets another run's folder, with what differs.
  init(forBundle bundle: String, fingerprint: Fingerprint, resume: Bool) throws(GLTAError) {
    path = RunFolder.path(forBundle: bundle)
    let file = path + "/fingerprint.json"
    let manager = FileManager.default
    if resume, manager.fileExists(atPath: file) {
      let found = try RunFolder.readFingerprint(file)
      try RunFolder.require(found, equals: fingerprint, at: path)
      return
    }
    do {
      if manager.fileExists(atPath: path) { try manager.removeItem(atPath: path) }
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      try AtomicFile.write(bytes: Array(try encoder.encode(fingerprint)), to: file)
    } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot make \(path): \(error.localizedDescription)") }
  }

  private static func readFingerprint(_ file: String) throws(GLTAError) -> Fingerprint {
    do {
      return try JSONDecoder().decode(Fingerprint.self, from: Data(contentsOf: URL(fileURLWithPath: file)))
    } catch {
      throw GLTAError(
        .invalidFile, "\(file) cannot be read: \(error.localizedDescription)", hint: "train again without --resume")
    }
  }

  private static func require(
    _ found: Fingerprint, equals expected: Fingerprint, at path: String
  ) throws(GLTAError) {
    guard found != expected else { return }
    let difference =
      if found.dataHash != expected.dataHash {
        "another data set"
      } else if found.languageModelHash != expected.languageModelHash {
        "another language model"
      } else {
        "another configuration (recipe, seed, split, --without or --config)"
      }
    throw GLTAError(
      .mismatch, "\(path) holds the checkpoints of a run with \(difference)",
      hint: "give that run's arguments, another --out, or leave out --resume to start anew")
  }

  /// Removes the folder: the bundle is whole.
  func remove() { try? FileManager.default.removeItem(atPath: path) }

  // MARK: Checkpoints of matrices and a little JSON

  /// Whether a checkpoint of that name exists.
  func contains(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

  private func file(_ name: String) -> String { "\(path)/\(name).safetensors" }

  /// Saves matrices, and a value as JSON in the file's metadata.
  func save(_ name: String, matrices: [(name: String, value: Matrix)], value: some Encodable) throws(GLTAError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let json: String
    do {
      json = String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch { throw GLTAError(.inputOutput, "cannot encode the checkpoint \(name): \(error)") }
    try SafetensorsWriter.write(
      matrices.map { ($0.name, $0.value.tensor) }, metadata: ["state": json], to: file(name))
  }

  /// Reads what `save` wrote, into memory of its own: the file may be replaced while the run goes on.
  func load<Value: Decodable>(
    _ name: String, as type: Value.Type = Value.self
  ) throws(GLTAError) -> (matrices: [(name: String, value: Matrix)], value: Value) {
    let file = try SafetensorsFile(path: file(name))
    var matrices: [(name: String, value: Matrix)] = []
    for name in file.names { matrices.append((name, try file.matrix(name, rows: nil, columns: nil).copy())) }
    do {
      return (matrices, try JSONDecoder().decode(Value.self, from: Data((file.metadata["state"] ?? "").utf8)))
    } catch {
      throw GLTAError(
        .invalidFile, "\(file.path) does not hold a checkpoint: \(error)", hint: "train again without --resume")
    }
  }
}
