import Foundation
import TestSupport
import Testing

/// What `glta-allocations` counts: calls of malloc and its like by our code, once pools and tables have grown.
@Suite(.serialized) struct AllocationTests {
  private struct Count {
    var allocations: Int
    var messages: Int
  }

  /// Nil where the platform does not let us count.
  private func count(_ layer: String) throws -> Count? {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    let built = [beside + "/glta-allocations", TestPaths.root + "/.build/release/glta-allocations"]
    let process = Process()
    process.executableURL = URL(fileURLWithPath: built.first { FileManager.default.fileExists(atPath: $0) } ?? built[0])
    process.arguments = [layer]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    print("allocations:", text, terminator: "")
    if text.hasPrefix("skipped") { return nil }
    let words = text.split(whereSeparator: \.isWhitespace)
    try #require(words.count == 3 && words[0] == layer)
    return Count(allocations: try #require(Int(words[1])), messages: try #require(Int(words[2])))
  }

  @Test func theCounterCounts() throws {
    guard let fault = try count("fault") else { return }
    #expect(fault.messages == 100 && fault.allocations >= 100)
  }

  @Test func theCodecAllocatesNothing() throws {
    guard let codec = try count("codec") else { return }
    #expect(codec.messages >= 10_000 && codec.allocations == 0)
  }

  @Test func theStateMachinesAllocateNothing() throws {
    guard let machines = try count("machines") else { return }
    #expect(machines.messages >= 100_000 && machines.allocations == 0)
  }

  /// Timers, heartbeats, and pools that a burst makes grow allocate now and then; messages do not: one allocation a
  /// request would be 2,000.
  @Test func aMeshOnSocketsAllocatesNothingForItsMessages() throws {
    guard let mesh = try count("mesh") else { return }
    #expect(mesh.messages >= 30_000 && mesh.allocations <= 1_000)
  }
}
