import Foundation
import Tensors

/// LightGCN's files: each line a user and its items, `train.txt`, `test.txt` and perhaps `valid.txt` being the split.
/// Without `test.txt` there is none.
struct LightGCNImporter {
  let directory: String

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    let hasTest = exists("test.txt")
    try read("train.txt", part: hasTest ? .train : nil, into: &builder)
    if exists("valid.txt") { try read("valid.txt", part: hasTest ? .validation : nil, into: &builder) }
    if hasTest { try read("test.txt", part: .test, into: &builder) }
  }

  private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: directory + "/" + name) }

  private func read(_ name: String, part: SplitPart?, into builder: inout DatasetBuilder) throws(GLTAError) {
    // Nobody has to be tested.
    let table = try TextTable(path: directory + "/" + name, mayBeEmpty: name != "train.txt")
    try table.forEachLine { (line, number) throws(GLTAError) in
      let fields = line.split(separator: 0x20).map { table.text($0) }
      guard let user = fields.first else { return }
      for field in fields where !field.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
        throw table.error("\"\(field)\" is no whole number; expected a user and its items, separated by spaces", number)
      }
      for item in fields.dropFirst() {
        builder.addInteraction(user: user, item: item, rating: nil, timestamp: nil, part: part)
      }
    }
  }
}
