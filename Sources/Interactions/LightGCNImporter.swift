import Foundation
import Tensors

/// LightGCN's files: each line a user and its items, `train.txt` and `test.txt` being the split.
struct LightGCNImporter {
  let directory: String

  func read(into builder: inout DatasetBuilder) throws(GLTAError) {
    try read("train.txt", part: .train, into: &builder)
    if FileManager.default.fileExists(atPath: directory + "/valid.txt") {
      try read("valid.txt", part: .validation, into: &builder)
    }
    try read("test.txt", part: .test, into: &builder)
  }

  private func read(_ name: String, part: SplitPart, into builder: inout DatasetBuilder) throws(GLTAError) {
    let table = try TextTable(path: directory + "/" + name)
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
