import Foundation
import Interactions
import Tensors
import TestSupport
import Testing

/// What `glta data import --out` leaves on disk.
struct WriterTests {
  private let folder: TemporaryFolder
  private let target: String
  private let dataset = SyntheticDataset.generate(users: 12, items: 16)

  init() throws {
    folder = try TemporaryFolder()
    target = folder.path + "/set"
  }

  private func names(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }

  private func refuse(_ word: String, _ body: () throws -> Void) {
    let error = #expect(throws: GLTAError.self) { try body() }
    #expect(error?.message.contains(word) == true, "expected \(word) in: \(error?.message ?? "nothing")")
  }

  @Test func aNewSetReplacesAnOldOneAsAWhole() throws {
    var withSplit = dataset
    withSplit.givenParts = dataset.interactions.users.indices.map { $0 % 5 == 0 ? .test : .train }
    try DatasetWriter.write(withSplit, directory: target)
    #expect(try names(target) == ["interactions.tsv", "items.tsv", "split.tsv"])
    try DatasetWriter.write(dataset, directory: target + "/")
    #expect(try names(target) == ["interactions.tsv", "items.tsv"])
    #expect(try names(folder.path) == ["set"])
    let again = try DatasetImporter.load(path: target)
    #expect(again.givenParts == nil && again.interactions == dataset.interactions)
  }

  @Test func foldersOnTheWayAreMadeAndEmptyOnesTaken() throws {
    try DatasetWriter.write(dataset, directory: target + "/a/b")
    #expect(try names(target + "/a/b") == ["interactions.tsv", "items.tsv"])
    try FileManager.default.createDirectory(atPath: target + "/empty", withIntermediateDirectories: true)
    try DatasetWriter.write(dataset, directory: target + "/empty")
    #expect(try names(target + "/empty") == ["interactions.tsv", "items.tsv"])
  }

  @Test(arguments: [
    ["interactions.tsv": "user\titem\trating\ttimestamp\na\tx\t\t\n"],
    ["interactions.tsv": "my own\n", "items.tsv": "item\ttitle\tdescription\tcategories\n"],
    [
      "interactions.tsv": "user\titem\trating\ttimestamp\n", "items.tsv": "item\ttitle\tdescription\tcategories\n",
      "thesis.tex": "x",
    ],
    [
      "interactions.tsv": "user\titem\trating\ttimestamp\n", "items.tsv": "item\ttitle\tdescription\tcategories\n",
      "split.tsv/x": "a folder",
    ],
    ["a": "b"],
  ])
  func whatIsNotOursIsLeftAlone(files: [String: String]) throws {
    for (name, text) in files { try folder.write("set/" + name, text) }
    refuse("it is left as it is") { try DatasetWriter.write(dataset, directory: target) }
    refuse("it is left as it is") { try DatasetWriter.checkTarget(target) }
    for (name, text) in files { #expect(try String(contentsOfFile: target + "/" + name, encoding: .utf8) == text) }
    #expect(try names(folder.path) == ["set"])
  }

  @Test func aFileIsNoPlaceForASet() throws {
    try folder.write("set", "text")
    refuse("it is left as it is") { try DatasetWriter.write(dataset, directory: target) }
    #expect(try String(contentsOfFile: target, encoding: .utf8) == "text")
  }

  @Test func aSetIsNotWrittenOverItsSource() throws {
    try DatasetWriter.write(dataset, directory: target)
    let link = folder.path + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
    for source in [target, target + "/", link, folder.path + "/./set", target + "/items.tsv"] {
      for out in [target, link, target + "/../set"] {
        refuse("over its source") { try DatasetWriter.write(dataset, directory: out, sources: [source]) }
      }
    }
    #expect(try names(target) == ["interactions.tsv", "items.tsv"])
    // A name that begins alike is another place.
    try DatasetWriter.write(dataset, directory: target + "2", sources: [target])
    // What a link leads to is replaced, the link stays.
    var shorter = dataset
    shorter.name = "link"
    try DatasetWriter.write(shorter, directory: link)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == target)
  }

  @Test func idsAreToldApartByTheirBytes() throws {
    let ids = ["\u{E9}", "e\u{301}", "x\u{1}", "x\u{2}", "x"]
    var odd = dataset
    odd.userIDs.replaceSubrange(..<5, with: ids)
    odd.catalogue.ids.replaceSubrange(..<5, with: ids)
    odd.givenParts = odd.interactions.users.indices.map { $0 % 3 == 0 ? .test : .train }
    try DatasetWriter.write(odd, directory: target)
    let again = try DatasetImporter.load(path: target)
    #expect(again.userIDs.map { Array($0.utf8) } == odd.userIDs.map { Array($0.utf8) })
    #expect(again.catalogue.ids.map { Array($0.utf8) } == odd.catalogue.ids.map { Array($0.utf8) })
    #expect(again.givenParts == odd.givenParts && again.interactions == odd.interactions)
  }

  @Test func idsThatATableCannotHoldAreRefused() throws {
    try DatasetWriter.write(dataset, directory: target)
    for id in ["a\tb", "a\nb", "a\rb", "a\r\nb"] {
      var (users, items) = (dataset, dataset)
      users.userIDs[3] = id
      items.catalogue.ids[3] = id
      refuse("user id \(id.debugDescription)") { try DatasetWriter.write(users, directory: target) }
      refuse("item id \(id.debugDescription)") { try DatasetWriter.write(items, directory: target) }
    }
    #expect(try DatasetImporter.load(path: target).interactions == dataset.interactions)
  }

  @Test func controlCharactersOfTextsBecomeSpaces() throws {
    var odd = dataset
    odd.catalogue.titles[0] = "a\tb\r\nc"
    odd.catalogue.categories[0] = ["x|y", "z"]
    try DatasetWriter.write(odd, directory: target)
    let again = try DatasetImporter.load(path: target)
    #expect(again.catalogue.titles[0] == "a b  c" && again.catalogue.categories[0] == ["x/y", "z"])
  }
}
