import Bundles
import Foundation
public import Tensors

/// Tags that a language model wrote, as a file of JSON lines that only ever grows: whatever moment a run is killed at, the
/// lines before are whole. Its first line says what the others are about.
public struct TagFile: Sendable {
  /// What was written for one user or item.
  public struct Line: Sendable, Codable, Equatable {
    /// The external id.
    public var id: String
    /// SHA-256 of the question: model, prompts and lengths. An answer to another question is none.
    public var hash: String
    /// The external ids of the items that a user was shown by; nil for an item.
    public var items: [String]?
    /// Tags that say what the item is, or what the user likes, best first.
    public var tags: [String]
    /// Words for what is likely to be wanted, best first.
    public var interests: [String]

    /// An answer.
    public init(id: String, hash: String, items: [String]? = nil, tags: [String], interests: [String]) {
      self.id = id
      self.hash = hash
      self.items = items
      self.tags = tags
      self.interests = interests
    }
  }

  /// The first line of a file.
  struct Header: Codable {
    var subject: TagSubject

    enum CodingKeys: String, CodingKey { case subject = "tags_for" }
  }

  /// What the tags are written for.
  public let subject: TagSubject
  /// The lines in the order of the file; of two with one id, the later one holds.
  public private(set) var lines: [Line] = []
  /// Bytes up to the end of the last whole line.
  let wholeBytes: Int

  /// Reads a file; what stands behind the last line end was cut off by a kill and is left out.
  ///
  /// - Throws: `GLTAError.inputOutput` where it cannot be read, `.invalidFile` naming the line that is none.
  public init(path: String) throws(GLTAError) {
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
      throw GLTAError(
        .inputOutput, "cannot read the tags \(path): \(error.localizedDescription)", hint: "`glta tags` writes them")
    }
    wholeBytes = data.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    let decoder = JSONDecoder()
    let whole = data.prefix(wholeBytes).split(separator: 0x0A)
    func failure(_ line: Int, _ what: String) -> GLTAError {
      GLTAError(.invalidFile, "\(path), line \(line), \(what)", hint: "`glta tags --out FILE` writes them")
    }
    guard let first = whole.first, let header = try? decoder.decode(Header.self, from: first) else {
      throw failure(1, "does not say what the tags are for")
    }
    subject = header.subject
    for (index, line) in whole.enumerated().dropFirst() {
      do { lines.append(try decoder.decode(Line.self, from: line)) } catch {
        throw failure(index + 1, "holds no tags")
      }
    }
  }

  /// SHA-256 of the lines that hold, whatever order they were written in.
  public var contentHash: String {
    var hasher = ContentHash()
    hasher.update("\(subject.rawValue)\n")
    for (id, line) in latest.sorted(by: { $0.key < $1.key }) {
      hasher.update("\(id.utf8.count) \(id) \(line.tags) \(line.interests)\n")
    }
    return hasher.finish()
  }

  /// The line of each id.
  var latest: [String: Line] { Dictionary(lines.map { ($0.id, $0) }) { _, last in last } }
}

/// Adds lines to a tags file.
struct TagFileWriter {
  private let handle: FileHandle
  private let path: String

  /// Opens a file behind its last whole line; without `keeping`, makes a new one.
  ///
  /// - Throws: `GLTAError.inputOutput`.
  init(path: String, subject: TagSubject, keeping file: TagFile?) throws(GLTAError) {
    self.path = path
    do {
      if file == nil {
        let header = try JSONEncoder().encode(TagFile.Header(subject: subject))
        try AtomicFile.write(bytes: Array(header) + [0x0A], to: path)
      }
      handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      if let file { try handle.truncate(atOffset: UInt64(file.wholeBytes)) }
      try handle.seekToEnd()
    } catch let error as GLTAError {
      throw error
    } catch { throw GLTAError(.inputOutput, "cannot write \(path): \(error.localizedDescription)") }
  }

  /// Adds lines, which are on disk when it returns.
  ///
  /// - Throws: `GLTAError.inputOutput`.
  func append(_ lines: [TagFile.Line]) throws(GLTAError) {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      var bytes = Data()
      for line in lines { bytes += try encoder.encode(line) + [0x0A] }
      try handle.write(contentsOf: bytes)
      try handle.synchronize()
    } catch { throw GLTAError(.inputOutput, "cannot write \(path): \(error.localizedDescription)") }
  }
}
