import Bundles
import Foundation
import Tensors
import TokenAlignment

/// The checkpoints of one training run, in a folder beside the bundle that it will become.
///
/// `fingerprint.json` says what each stage computes: a digest of its settings and of all that it builds on. A run takes
/// up the checkpoints of the stages that it shares with the one that left them; a stage whose settings changed, and all
/// after it, start anew. Every file is written under a temporary name and renamed, so a kill at any moment leaves the
/// checkpoint before. A lock keeps two runs out of one folder.
struct RunFolder {
  let path: String
  /// Stages whose checkpoints were dropped, since their settings are no longer those that left them.
  let restarted: [TrainingStage]
  /// Whether checkpoints of an earlier run were set aside.
  let setAside: Bool
  private let lock: FileLock

  /// The folder of a run that will write `bundle`.
  static func path(forBundle bundle: String) -> String { AtomicDirectory.normalized(bundle) + ".run" }

  /// Where the checkpoints of an earlier run go that is not resumed.
  private static func asidePath(forBundle bundle: String) -> String { path(forBundle: bundle) + ".old" }

  /// Opens the folder of a run. With `resume`, checkpoints that are there are taken up; without, they step aside, in case
  /// that the flag was forgotten.
  ///
  /// - Throws: `GLTAError.mismatch` where `resume` meets a run that shares no stage with this one, `.inputOutput` where
  ///   another process trains there or the folder is not one of ours.
  init(forBundle bundle: String, fingerprint: RunFingerprint, resume: Bool) throws(GLTAError) {
    path = RunFolder.path(forBundle: bundle)
    let manager = FileManager.default
    try AtomicDirectory.requireReplaceable(path, what: "a folder of checkpoints", isOurs: RunFolder.isOurs)
    let found = try RunFolder.readFingerprint(path)
    if found != nil {
      // Fails where another process holds it.
      _ = try FileLock(path: path + "/lock")
    }
    var restarted: [TrainingStage] = []
    var setAside = false
    do {
      if let found, resume {
        restarted = try fingerprint.stagesToRestart(after: found, at: path)
      } else if found != nil {
        let aside = RunFolder.asidePath(forBundle: bundle)
        if manager.fileExists(atPath: aside), RunFolder.isOurs(aside) { try manager.removeItem(atPath: aside) }
        try manager.moveItem(atPath: path, toPath: aside)
        setAside = true
      }
      try manager.createDirectory(atPath: path, withIntermediateDirectories: true)
      lock = try FileLock(path: path + "/lock")
      for stage in restarted { try? manager.removeItem(atPath: "\(path)/\(stage.rawValue).safetensors") }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
      try AtomicFile.write(bytes: Array(try encoder.encode(fingerprint)), to: path + "/" + RunFolder.fingerprintFile)
    } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot make \(path): \(error.localizedDescription)") }
    self.restarted = restarted
    self.setAside = setAside
  }

  private static let fingerprintFile = "fingerprint.json"

  private static func isOurs(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/" + fingerprintFile)
  }

  private static func readFingerprint(_ path: String) throws(GLTAError) -> RunFingerprint? {
    let file = path + "/" + fingerprintFile
    guard FileManager.default.fileExists(atPath: file) else { return nil }
    do {
      return try JSONDecoder().decode(RunFingerprint.self, from: Data(contentsOf: URL(fileURLWithPath: file)))
    } catch {
      throw GLTAError(.invalidFile, "\(file) cannot be read: \(error.localizedDescription)", hint: "remove \(path)")
    }
  }

  /// Removes the folder, and what an earlier run left aside: the bundle is whole.
  func remove(forBundle bundle: String) {
    try? FileManager.default.removeItem(atPath: path)
    let aside = RunFolder.asidePath(forBundle: bundle)
    if RunFolder.isOurs(aside) { try? FileManager.default.removeItem(atPath: aside) }
  }

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
