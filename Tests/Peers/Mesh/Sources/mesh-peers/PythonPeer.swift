import Foundation

/// pyzmq and lz4 in processes of their own: `pyzmq_lz4.py`, which measures itself.
final class PythonPeer: RankingPeer, @unchecked Sendable {
  enum Shape: String {
    /// Client, gateway and three stages.
    case mesh
    /// Client, `zmq.proxy` and one worker that returns what it gets. There for information.
    case proxy
  }

  /// Python, or what it needs, is not there.
  struct Missing: Error {
    var reason: String
  }

  let name: String
  private let process: Process
  private let input: FileHandle
  private let output: FileHandle

  private init(name: String, process: Process, input: FileHandle, output: FileHandle) {
    self.name = name
    self.process = process
    self.input = input
    self.output = output
  }

  static func start(_ python: String, _ shape: Shape) async throws -> PythonPeer {
    guard let script = Bundle.module.path(forResource: "pyzmq_lz4", ofType: "py") else {
      throw Missing(reason: "pyzmq_lz4.py is not beside the program")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [python, script, shape.rawValue]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    let name =
      shape == .mesh
      ? "pyzmq + lz4, DEALER-ROUTER, gateway and 3 stages" : "note: pyzmq + lz4, zmq.proxy and one echo worker"
    let peer = PythonPeer(
      name: name, process: process, input: input.fileHandleForWriting, output: output.fileHandleForReading)
    guard let line = peer.line(), line == "ready" else {
      process.terminate()
      throw Missing(reason: "\(python) has no pyzmq or no lz4 (pip install pyzmq lz4; name it by --python)")
    }
    return peer
  }

  /// Requests a second, measured by the script's own client.
  func rate(_ workload: Workload, _ concurrency: Int, seconds: Double) async throws -> Double {
    try input.write(contentsOf: Data("\(workload.payloadBytes) \(concurrency) \(seconds)\n".utf8))
    guard let line = line(), let rate = Double(line) else { throw WrongAnswer(peer: name) }
    return rate
  }

  func rank(_ workload: Workload) async throws { throw WrongAnswer(peer: name) }

  func stop() async {
    try? input.close()
    process.waitUntilExit()
  }

  private func line() -> String? {
    var bytes: [UInt8] = []
    while let byte = try? output.read(upToCount: 1)?.first {
      if byte == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(byte)
    }
    return nil
  }
}
