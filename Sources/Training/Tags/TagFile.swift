import Bundles
public import Foundation
public import GraphEncoding
public import Interactions
public import Tensors
public import TokenAlignment

/// Tags that a language model wrote, as a file of JSON lines that only ever grows: whatever moment a run is killed at, the
/// lines before are whole.
public struct TagFile: Sendable {
  /// What was written for one item.
  public struct Line: Sendable, Codable, Equatable {
    /// The item's external id.
    public var id: String
    /// SHA-256 of the question: model, prompts and lengths. An answer to another question is none.
    public var hash: String
    /// Tags that say what the item is, best first.
    public var tags: [String]
    /// Words for what its users are likely to want, best first.
    public var interests: [String]

    /// An answer.
    public init(id: String, hash: String, tags: [String], interests: [String]) {
      self.id = id
      self.hash = hash
      self.tags = tags
      self.interests = interests
    }
  }

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
    for (index, line) in data.prefix(wholeBytes).split(separator: 0x0A).enumerated() {
      do { lines.append(try decoder.decode(Line.self, from: line)) } catch {
        throw GLTAError(
          .invalidFile, "\(path), line \(index + 1), holds no tags of an item",
          hint: "`glta tags --out FILE` writes them")
      }
    }
  }

  /// SHA-256 of the lines that hold, whatever order they were written in.
  public var contentHash: String {
    var hasher = ContentHash()
    for (id, line) in latest.sorted(by: { $0.key < $1.key }) {
      hasher.update("\(id.utf8.count) \(id) \(line.tags) \(line.interests)\n")
    }
    return hasher.finish()
  }

  /// The line of each id.
  var latest: [String: Line] { Dictionary(lines.map { ($0.id, $0) }) { _, last in last } }

  /// The tags of a catalogue's items.
  ///
  /// - Throws: `GLTAError.mismatch` where the file has tags for none of them.
  public func table(
    for catalogue: ItemCatalogue, graph: GraphEmbeddings, pool: ThreadPool
  ) throws(GLTAError) -> (table: TagTable, items: Int) {
    let latest = latest
    let found = catalogue.ids.map { latest[$0] }
    let items = found.count { $0 != nil }
    guard items > 0 else {
      throw GLTAError(
        .mismatch, "of \(catalogue.count) items, the tags file has tags for none", hint: "it belongs to other data")
    }
    let table = TagTable(
      profile: found.map { $0?.tags ?? [] }, prediction: found.map { $0?.interests ?? [] }, graph: graph, pool: pool)
    return (table, items)
  }
}

/// Adds lines to a tags file.
struct TagFileWriter {
  private let handle: FileHandle
  private let path: String

  /// Opens a file behind its last whole line; without `keeping`, makes a new one.
  ///
  /// - Throws: `GLTAError.inputOutput`.
  init(path: String, keeping file: TagFile?) throws(GLTAError) {
    self.path = path
    if file == nil { try AtomicFile.write(bytes: [], to: path) }
    do {
      handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      try handle.truncate(atOffset: UInt64(file?.wholeBytes ?? 0))
      try handle.seekToEnd()
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
