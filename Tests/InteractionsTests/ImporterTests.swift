import Foundation
import Interactions
import Tensors
import TestSupport
import Testing

/// Each format, read from files that the test writes.
struct ImporterTests {
  private func load(
    _ folder: TemporaryFolder, _ format: DatasetFormat? = nil, _ options: ImportOptions = ImportOptions()
  )
    throws -> Dataset
  { try DatasetImporter.load(path: folder.path, format: format, options: options) }

  @Test func readsMovieLensDat() throws {
    let folder = try TemporaryFolder()
    try folder.write("ratings.dat", "1::10::5::978300760\n2::20::3::978300761\n1::20::4::978300762\n")
    // Latin-1: é is one byte.
    try folder.write(
      "movies.dat",
      Data("10::Am".utf8) + [0xE9] + Data("lie (2001)::Comedy|Romance\n20::Heat::Crime\n30::Unseen::Drama\n".utf8))
    let dataset = try load(folder)
    #expect(dataset.userIDs == ["1", "2"])
    #expect(dataset.catalogue.ids == ["10", "20"])
    #expect(dataset.catalogue.titles == ["Amélie (2001)", "Heat"])
    #expect(dataset.catalogue.categories[0] == ["Comedy", "Romance"])
    #expect(dataset.interactions.items == [0, 1, 1])
    #expect(dataset.interactions.ratings == [5, 3, 4])
    #expect(dataset.interactions.timestamps == [978_300_760, 978_300_761, 978_300_762])
  }

  @Test func readsMovieLens100K() throws {
    let folder = try TemporaryFolder()
    try folder.write("u.data", "7\t1\t5\t100\n8\t1\t3\t101\n")
    let flags = ["0", "0", "0", "1", "1"] + [String](repeating: "0", count: 14)
    try folder.write("u.item", "1|Toy Story (1995)|01-Jan-1995||http://x|" + flags.joined(separator: "|") + "\n")
    let dataset = try load(folder)
    #expect(dataset.catalogue.titles == ["Toy Story (1995)"])
    #expect(dataset.catalogue.categories == [["Animation", "Children's"]])
  }

  @Test func readsMovieLensCSVWithQuotes() throws {
    let folder = try TemporaryFolder()
    try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,5,4.5,100\n")
    try folder.write("movies.csv", "movieId,title,genres\n5,\"American President, The \"\"1995\"\"\",Comedy|Drama\n")
    let dataset = try load(folder)
    #expect(dataset.catalogue.titles == ["American President, The \"1995\""])
    #expect(dataset.interactions.ratings == [4.5])
  }

  @Test func readsRecBoleAtomicFiles() throws {
    let folder = try TemporaryFolder()
    try folder.write("x.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t9\t4\t88\n")
    try folder.write(
      "x.item",
      "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n9\tHeat\t1995\tCrime Drama\n")
    let dataset = try load(folder)
    #expect(dataset.catalogue.titles == ["Heat (1995)"])
    #expect(dataset.catalogue.categories == [["Crime", "Drama"]])
    #expect(dataset.interactions.timestamps == [88])
  }

  @Test func readsLightGCNFilesWithTheirSplit() throws {
    let folder = try TemporaryFolder()
    try folder.write("train.txt", "0 1 2\n1 2\n2\n")
    try folder.write("test.txt", "0 3\n1 1\n")
    let dataset = try load(folder)
    #expect(dataset.interactions.count == 5)
    #expect(dataset.givenParts == [.train, .train, .train, .test, .test])
  }

  @Test func readsHeadedCSVByColumnNames() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write("log.csv", "when,who,what\n5,ann,tea\n6,bob,\"cake, plain\"\n")
    var options = ImportOptions()
    (options.userColumn, options.itemColumn, options.timeColumn) = ("who", "what", "when")
    let dataset = try DatasetImporter.load(path: file, options: options)
    #expect(dataset.userIDs == ["ann", "bob"])
    #expect(dataset.catalogue.ids == ["tea", "cake, plain"])
    #expect(dataset.interactions.timestamps == [5, 6])
  }

  @Test func writesWhatItReads() throws {
    let folder = try TemporaryFolder()
    var dataset = SyntheticDataset.generate(users: 20, items: 16)
    dataset.givenParts = dataset.interactions.users.indices.map { $0 % 5 == 0 ? .test : .train }
    try DatasetWriter.write(dataset, directory: folder.path)
    var again = try load(folder, .tsv)
    again.name = dataset.name
    #expect(again == dataset)
  }

  @Test func readsGzAndKeepsEmptyTexts() throws {
    let folder = try TemporaryFolder()
    try folder.write("interactions.tsv", "user\titem\trating\ttimestamp\na\tx\t\t\n")
    try folder.write("items.tsv", "item\ttitle\tdescription\tcategories\nx\t\t\t\n")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", folder.path + "/interactions.tsv", folder.path + "/items.tsv"]
    try process.run()
    process.waitUntilExit()
    let dataset = try load(folder)
    #expect(dataset.catalogue.titles == [""])
    #expect(dataset.interactions.ratings == nil)
    // Cut off in the middle: an error, not a shorter data set.
    let whole = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/interactions.tsv.gz"))
    try folder.write("interactions.tsv.gz", whole.prefix(whole.count - 6))
    #expect(throws: GLTAError.self) { try load(folder) }
  }

  @Test func aRepeatedPairKeepsItsLastValues() throws {
    let folder = try TemporaryFolder()
    try folder.write("ratings.dat", "1::10::5::1\n1::20::2::2\n1::10::1::3\n")
    let dataset = try load(folder)
    #expect(dataset.interactions.items == [0, 1])
    #expect(dataset.interactions.ratings == [1, 2])
  }

  @Test(arguments: [
    ("ratings.dat", "1::10::5::1\n1::10::5\n", "line 2: 3 fields, expected 4"),
    ("ratings.dat", "1::10::five::1\n", "line 1: the rating is \"five\""),
    ("u.data", "1\t10\t5\n", "line 1: 3 fields, expected 4"),
    ("ratings.csv", "userId,movieId,rating,timestamp\n1,2,3\n", "line 2: 3 fields, expected 4"),
    ("ratings.csv", "userId,movieId,rating,timestamp\n1,\"2,3,4\n", "line 2: a quoted field does not end"),
    ("interactions.tsv", "user\titem\n", "line 1: the header is \"user item\""),
    ("interactions.tsv", "user\titem\trating\ttimestamp\na\tb\tc\n", "line 2: 3 fields, expected 4"),
    ("interactions.tsv", "user\titem\trating\ttimestamp\na\t\t1\t1\n", "line 2: an empty user or item"),
    ("x.inter", "user_id\titem_id\n", "line 1: the header field \"user_id\" is not name:type"),
    ("x.inter", "user_id:token\titem_id:token\n1\n", "line 2: 1 fields, expected 2"),
    ("train.txt", "0 1 x\n", "line 1: \"x\" is no whole number"),
  ])
  func aBrokenLineIsNamed(file: String, text: String, message: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(file, text)
    let error = #expect(throws: GLTAError.self) { try load(folder) }
    #expect(
      error?.message.contains(file) == true && error?.message.contains(message) == true, "\(String(describing: error))")
  }

  @Test func saysWhatItLookedFor() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: GLTAError.self) { try load(folder) }
    #expect(error?.message.contains("ratings.dat") == true)
    #expect(throws: GLTAError.self) { try DatasetImporter.load(path: folder.path + "/nowhere") }
  }

  @Test(.enabled(if: TestPaths.hasData("ml-100k"))) func realCountsAgreeWithTheREADMEs() throws {
    let small = try DatasetImporter.load(path: TestPaths.data + "/ml-100k")
    #expect(DatasetSummary(small).interactions == 100_000)
    #expect((small.userIDs.count, small.catalogue.count) == (943, 1_682))
    let office = try DatasetImporter.load(path: TestPaths.data + "/amazon-office-products")
    #expect((office.userIDs.count, office.catalogue.count, office.interactions.count) == (4_905, 2_420, 53_258))
    let large = try DatasetImporter.load(path: TestPaths.data + "/ml-1m")
    #expect((large.userIDs.count, large.catalogue.count, large.interactions.count) == (6_040, 3_706, 1_000_209))
  }
}
