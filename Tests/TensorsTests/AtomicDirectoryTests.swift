import Foundation
import Tensors
import TestSupport
import Testing

/// Directories are replaced whole, and only ours.
struct AtomicDirectoryTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = folder.path + "/thing"
  }

  private func save(_ text: String, failing: Bool = false) throws(GLTAError) {
    try AtomicDirectory.replace(
      at: path, what: "a thing", isOurs: { FileManager.default.fileExists(atPath: $0 + "/ours") }
    ) { (fresh) throws(GLTAError) in
      try AtomicFile.write(bytes: Array(text.utf8), to: fresh + "/ours")
      if failing { throw GLTAError(.inputOutput, "the disk is full") }
    }
  }

  private func content() throws -> String { try String(contentsOfFile: path + "/ours", encoding: .utf8) }

  @Test func replacesItsOwnAndLeavesNothingBehind() throws {
    try save("one")
    try save("two")
    #expect(try content() == "two")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["thing"])
  }

  @Test func aFailedBuildKeepsTheOldOne() throws {
    try save("one")
    #expect(throws: GLTAError.self) { try save("two", failing: true) }
    #expect(try content() == "one")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["thing"])
  }

  @Test func neverReplacesAFileOrAForeignDirectory() throws {
    try folder.write("thing", "a file")
    #expect(throws: GLTAError.self) { try save("one") }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "a file")
    try FileManager.default.removeItem(atPath: path)
    try folder.write("thing/thesis", "precious")
    #expect(throws: GLTAError.self) { try save("one") }
    #expect(try String(contentsOfFile: path + "/thesis", encoding: .utf8) == "precious")
  }

  @Test func aLockIsForOneHolderAtATime() throws {
    let file = folder.path + "/lock"
    var first: FileLock? = try FileLock(path: file)
    #expect(throws: GLTAError.self) { try FileLock(path: file) }
    withExtendedLifetime(first) {}
    first = nil
    _ = try FileLock(path: file)
  }
}
