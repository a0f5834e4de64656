import Foundation
import Interactions
import Tensors
import TestSupport
import Testing

/// Files as people have them: broken, odd, and odd but right.
struct BadInputTests {
  /// Files that make a data set, and what its import has to say.
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let files: [String: Data]
    let words: [String]

    init(_ what: String, _ files: [String: String], saying words: String...) {
      self.init(what, bytes: files.mapValues { Data($0.utf8) }, saying: words)
    }

    init(_ what: String, bytes: [String: Data], saying words: [String]) {
      (testDescription, files, self.words) = (what, bytes, words)
    }
  }

  private func load(
    _ files: [String: Data], format: DatasetFormat? = nil, options: ImportOptions = ImportOptions()
  ) throws -> Dataset {
    let folder = try TemporaryFolder()
    for (name, data) in files { try folder.write(name, data) }
    return try DatasetImporter.load(path: folder.path, format: format, options: options)
  }

  private func load(_ files: [String: String]) throws -> Dataset { try load(files.mapValues { Data($0.utf8) }) }

  private static let twoTable = "user\titem\trating\ttimestamp\n"
  private static let movieLens = "userId,movieId,rating,timestamp\n"
  private static let recBole = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"

  // MARK: Refused

  @Test(arguments: [
    Case("csv: fields", ["ratings.csv": "user,item,rating\na,x,1\nb,y\n"], saying: "ratings.csv, line 3: 2 fields"),
    Case("csv: too many", ["ratings.csv": "user,item\na,x,1\n"], saying: "ratings.csv, line 2: 3 fields, expected 2"),
    Case("csv: no user", ["ratings.csv": "user,item\n,x\n"], saying: "line 2: an empty user or item"),
    Case("csv: rating", ["ratings.csv": "user,item,rating\na,x,good\n"], saying: "line 2: the rating is \"good\""),
    Case("csv: no column", ["ratings.csv": "who,item\na,x\n"], saying: "line 1", "user", "the header has who, item"),
    Case(
      "csv: a line count that knows of line ends in fields",
      ["ratings.csv": "user,item,note\na,x,\"one\ntwo\"\nb,y\n"], saying: "line 4: 2 fields, expected 3"),
    Case(
      "csv: a quote without an end", ["ratings.csv": "user,item\na,x\nb,\"y\nc,z\n"],
      saying: "line 3: a quoted field does not end"),
    Case(
      "csv: more after a quote", ["ratings.csv": "user,item\na,\"x\"y\n"], saying: "line 2: something follows"),
    Case(
      "csv: fields of items", ["ratings.csv": "user,item\na,x\n", "items.csv": "item,title\nx\n"],
      saying: "items.csv, line 2: 1 fields, expected 2"),
    Case(
      "csv: an item without an id", ["ratings.csv": "user,item\na,x\n", "items.csv": "item,title\n,T\n"],
      saying: "items.csv, line 2: an empty item"),
    Case(
      "movies.dat: fields", ["ratings.dat": "1::2::3::4\n", "movies.dat": "2::Heat::Crime\n3::Heat\n"],
      saying: "movies.dat, line 2: 2 fields, expected 3"),
    Case(
      "movies.dat: an item without an id", ["ratings.dat": "1::2::3::4\n", "movies.dat": "::Heat::Crime\n"],
      saying: "movies.dat, line 1: an empty item"),
    Case(
      "u.item: fields", ["u.data": "1\t2\t3\t4\n", "u.item": "2|Heat|1995\n"],
      saying: "u.item, line 1: 3 fields, expected 24"),
    Case(
      "movies.csv: fields", ["ratings.csv": movieLens + "1,2,3,4\n", "movies.csv": "movieId,title,genres\n2,Heat\n"],
      saying: "movies.csv, line 2: 2 fields, expected 3"),
    Case(
      "movies.csv: header", ["ratings.csv": movieLens + "1,2,3,4\n", "movies.csv": "movieId,name\n2,Heat\n"],
      saying: "movies.csv, line 1", "\"title\"", "the header has movieId, name"),
    Case(
      ".item: fields",
      ["x.inter": recBole + "1\t2\t3\t4\n", "x.item": "item_id:token\ttitle:token_seq\n2\n"],
      saying: "x.item, line 2: 1 fields, expected 2"),
    Case(
      ".item: an item without an id",
      ["x.inter": recBole + "1\t2\t3\t4\n", "x.item": "item_id:token\ttitle:token_seq\n\tHeat\n"],
      saying: "x.item, line 2: an empty item"),
    Case(".inter: no user", ["x.inter": recBole + "\t2\t3\t4\n"], saying: "x.inter, line 2: an empty user or item"),
    Case(".inter: no item", ["x.inter": recBole + "1\t\t3\t4\n"], saying: "x.inter, line 2: an empty user or item"),
    Case(
      "items.tsv: fields",
      ["interactions.tsv": twoTable + "a\tx\t\t\n", "items.tsv": "item\ttitle\tdescription\tcategories\nx\tT\n"],
      saying: "items.tsv, line 2: 2 fields, expected 4"),
    Case(
      "items.tsv: an item without an id",
      ["interactions.tsv": twoTable + "a\tx\t\t\n", "items.tsv": "item\ttitle\tdescription\tcategories\n\tT\t\t\n"],
      saying: "items.tsv, line 2: an empty item"),
    Case(
      "split.tsv: fields",
      ["interactions.tsv": twoTable + "a\tx\t\t\n", "split.tsv": "user\titem\tpart\na\tx\n"],
      saying: "split.tsv, line 2: 2 fields, expected 3"),
    Case(
      "split.tsv: part",
      ["interactions.tsv": twoTable + "a\tx\t\t\n", "split.tsv": "user\titem\tpart\na\tx\tdev\n"],
      saying: "split.tsv, line 2: the part is \"dev\", expected train, validation or test"),
    Case(
      "split.tsv: a row that it lacks",
      ["interactions.tsv": twoTable + "a\tx\t\t\nb\tx\t\t\n", "split.tsv": "user\titem\tpart\na\tx\ttrain\n"],
      saying: "interactions.tsv, line 3: split.tsv does not say"),
    Case("train.txt: no number", ["train.txt": "0 1\n1 -2\n"], saying: "train.txt, line 2: \"-2\" is no whole number"),
  ])
  func aBrokenTableIsRefused(_ what: Case) throws { try refuse(what) }

  @Test(arguments: [
    Case("movielens dat", ["ratings.dat": ""], saying: "ratings.dat is empty"),
    Case("movielens 100k", ["u.data": "\n\r\n"], saying: "u.data is empty"),
    Case("csv", ["ratings.csv": ""], saying: "ratings.csv is empty"),
    Case("recbole", ["x.inter": ""], saying: "x.inter is empty"),
    Case("two tables", ["interactions.tsv": ""], saying: "interactions.tsv is empty"),
    Case("lightgcn", ["train.txt": ""], saying: "train.txt is empty"),
    Case("a byte order mark alone", ["interactions.tsv": "\u{FEFF}"], saying: "interactions.tsv is empty"),
    Case("movielens csv, header alone", ["ratings.csv": movieLens], saying: "no interactions"),
    Case("csv, header alone", ["ratings.csv": "user,item\n"], saying: "no interactions"),
    Case("recbole, header alone", ["x.inter": recBole], saying: "no interactions"),
    Case("two tables, header alone", ["interactions.tsv": twoTable], saying: "no interactions"),
    Case("lightgcn, users alone", ["train.txt": "1\n2\n"], saying: "no interactions"),
  ])
  func nothingIsSaidToBeNothing(_ what: Case) throws { try refuse(what) }

  /// "x" and then the bytes, which are no UTF-8, in the middle of a line.
  private static func latin1(_ before: String, _ after: String) -> Data {
    Data(before.utf8) + [0xE9] + Data(after.utf8)
  }

  @Test(arguments: [
    Case(
      "movielens dat", bytes: ["ratings.dat": latin1("1::2::3::4\n", "::2::3::4\n")], saying: ["ratings.dat, line 2"]),
    Case("movielens 100k", bytes: ["u.data": latin1("1\t", "\t3\t4\n")], saying: ["u.data, line 1"]),
    Case("movielens csv", bytes: ["ratings.csv": latin1(movieLens, ",2,3,4\n")], saying: ["ratings.csv, line 2"]),
    Case("csv", bytes: ["ratings.csv": latin1("user,item\na,x\n\nb,", "\n")], saying: ["ratings.csv, line 4"]),
    Case("recbole", bytes: ["x.inter": latin1(recBole, "\t2\t3\t4\n")], saying: ["x.inter, line 2"]),
    Case(
      "two tables", bytes: ["interactions.tsv": latin1(twoTable, "\tx\t\t\n")], saying: ["interactions.tsv, line 2"]),
    Case("lightgcn", bytes: ["train.txt": latin1("1 2\n", " 2\n")], saying: ["train.txt, line 2"]),
  ])
  func whatIsNotUTF8IsRefusedByLine(_ what: Case) throws { try refuse(what, alsoSaying: ["UTF-8"]) }

  @Test(arguments: ["1e39", "-1e39", "1e400", "0x10", "nan", "inf", "1_000", "4,5", "five", "--1", ".", "5\u{E9}"])
  func aRatingThatIsNoFiniteDecimalIsRefused(_ rating: String) throws {
    for (name, text, line) in [
      ("ratings.dat", "1::1::1::1\n1::2::\(rating)::4\n", 2),
      ("u.data", "1\t2\t\(rating)\t4\n", 1),
      ("x.inter", Self.recBole + "1\t2\t\(rating)\t4\n", 2),
      ("interactions.tsv", Self.twoTable + "1\t2\t\(rating)\t4\n", 2),
      ("ratings.csv", Self.movieLens + "1,2,\"\(rating)\",4\n", 2),
      ("interactions.csv", "user,item,rating\n1,2,\"\(rating)\"\n", 2),
    ] {
      try refuse(Case(name, [name: text], saying: "\(name), line \(line): the rating is \"\(rating)\", expected"))
    }
  }

  @Test(arguments: [
    "9223372036854775808", "1e19", "-9223372036854775808", "123456789012345678901234567890", "1e400", "0x10", "nan",
  ])
  func aTimeThatDoesNotFitIsRefused(_ time: String) throws {
    for (name, text, line) in [
      ("ratings.dat", "1::2::3::\(time)\n", 1),
      ("x.inter", Self.recBole + "1\t2\t3\t\(time)\n", 2),
      ("interactions.tsv", Self.twoTable + "1\t2\t\t\(time)\n", 2),
      ("ratings.csv", Self.movieLens + "1,2,3,\(time)\n", 2),
    ] {
      let error = try refuse(Case(name, [name: text], saying: "\(name), line \(line)", "\"\(time)\", expected"))
      #expect(error?.message.contains("time") == true)
    }
  }

  @Test func messagesStayReadable() throws {
    let long = String(repeating: "x", count: 1_000_000)
    for files in [
      ["ratings.dat": "1::2::\(long)::4\n"], ["interactions.tsv": long], ["x.inter": long], ["log.csv": long],
      ["interactions.csv": long], ["train.txt": long],
    ] {
      let error = #expect(throws: GLTAError.self) { _ = try load(files) }
      #expect(error.map { $0.description.utf8.count < 2_000 } == true)
    }
  }

  @Test func timesAreReadToTheLastDigit() throws {
    let dataset = try load(["interactions.tsv": Self.twoTable + "1\t2\t\t9223372036854775807\n1\t3\t\t8.8125095e+08\n"])
    #expect(dataset.interactions.timestamps == [.max, 881_250_950])
  }

  @Test func aRepeatedEdgeCountsOnceInEveryFormat() throws {
    for files in [
      ["ratings.dat": "1::2::3::4\n1::2::5::6\n"],
      ["u.data": "1\t2\t3\t4\n1\t2\t5\t6\n"],
      ["ratings.csv": Self.movieLens + "1,2,3,4\n1,2,5,6\n"],
      ["x.inter": Self.recBole + "1\t2\t3\t4\n1\t2\t5\t6\n"],
      ["interactions.tsv": Self.twoTable + "1\t2\t3\t4\n1\t2\t5\t6\n"],
      ["events.csv": "user,item,rating,time\n1,2,3,4\n1,2,5,6\n"],
    ] {
      let dataset = try load(files)
      #expect(dataset.interactions.ratings == [5] && dataset.interactions.timestamps == [6], "\(files)")
    }
    // What is tested on is not trained on.
    let dataset = try load(["train.txt": "1 2 2 3\n", "test.txt": "1 3\n"])
    #expect(dataset.interactions.count == 2 && dataset.givenParts == [.train, .test])
  }

  // MARK: Odd, but right

  private static let odd: [(format: String, files: [String: String])] = [
    ("movielens dat", ["ratings.dat": "1::2::3::4\n5::6::1::8\n", "movies.dat": "2::Heat::Crime\n6::Alien::Sci-Fi\n"]),
    (
      "movielens csv",
      [
        "ratings.csv": movieLens + "1,2,3,4\n5,6,1,8\n",
        "movies.csv": "movieId,title,genres\n2,Heat,Crime\n6,\"Alien\",Sci-Fi\n",
      ]
    ),
    (
      "recbole",
      [
        "x.inter": recBole + "1\t2\t3\t4\n5\t6\t1\t8\n",
        "x.item": "item_id:token\tmovie_title:token_seq\tclass:token_seq\n2\tHeat\tCrime\n6\tAlien\tSci-Fi\n",
      ]
    ),
    (
      "two tables",
      [
        "interactions.tsv": twoTable + "1\t2\t3\t4\n5\t6\t1\t8\n",
        "items.tsv": "item\ttitle\tdescription\tcategories\n2\tHeat\t\tCrime\n6\tAlien\t\tSci-Fi\n",
      ]
    ),
    (
      "csv",
      [
        "ratings.csv": "user,item,rating,time\n1,2,3,4\n5,6,1,8\n",
        "items.csv": "item,title,genres\n2,Heat,Crime\n6,\"Alien\",Sci-Fi\n",
      ]
    ),
    (
      "csv by tabs",
      [
        "ratings.tsv": "user\titem\trating\ttime\n1\t2\t3\t4\n5\t6\t1\t8\n",
        "items.tsv": "item\ttitle\tgenres\n2\tHeat\tCrime\n6\tAlien\tSci-Fi\n",
      ]
    ),
  ]

  @Test(arguments: odd.map(\.format))
  func marksAndLineEndsOfWindowsMakeNoDifference(_ format: String) throws {
    let files = try #require(Self.odd.first { $0.format == format }).files
    var variants = [files]
    variants.append(files.mapValues { "\u{FEFF}" + $0 })
    variants.append(files.mapValues { $0.replacing("\n", with: "\r\n") })
    variants.append(files.mapValues { "\u{FEFF}" + $0.replacing("\n", with: "\r\n") })
    variants.append(files.mapValues { String($0.dropLast()) })
    variants.append(files.mapValues { $0 + "\r\n\n" })
    for variant in variants {
      let dataset = try load(variant)
      #expect(dataset.userIDs == ["1", "5"] && dataset.catalogue.ids == ["2", "6"], "\(variant)")
      #expect(
        dataset.catalogue.titles == ["Heat", "Alien"] && dataset.catalogue.categories == [["Crime"], ["Sci-Fi"]])
      #expect(dataset.interactions.ratings == [3, 1] && dataset.interactions.timestamps == [4, 8])
    }
  }

  @Test func marksAndLineEndsOfWindowsInHeaderlessLists() throws {
    let dataset = try load(["train.txt": "\u{FEFF}0 1 2\r\n1 2\r\n", "test.txt": "\u{FEFF}0 3\r\n"])
    #expect(dataset.userIDs == ["0", "1"] && dataset.catalogue.ids == ["1", "2", "3"])
    let old = try load(["u.data": "\u{FEFF}1\t2\t3\t4\r\n"])
    #expect(old.userIDs == ["1"] && old.interactions.timestamps == [4])
  }

  /// Latin-1 is one byte a character: no two ids fall together.
  @Test func oldFilmListsAreLatin1() throws {
    let flags = [String](repeating: "0", count: 19).joined(separator: "|")
    let dataset = try load([
      "u.data": Data("1\t2\t3\t4\n".utf8),
      "u.item": Data("2|Mis".utf8) + [0xE9] + Data("rables, Les (1995)|||http://x|\(flags)\n".utf8),
    ])
    #expect(dataset.catalogue.titles == ["Misérables, Les (1995)"])
  }

  @Test func idsAreToldApartByTheirBytes() throws {
    let ids = ["\u{E9}", "e\u{301}", "x\u{1}", "x\u{2}", "x"]
    let text = ids.map { "\($0)\t\($0)\t\t\n" }.joined()
    let split = ids.enumerated().map { "\($1)\t\($1)\t\($0 % 2 == 0 ? "train" : "test")\n" }.joined()
    let dataset = try load(["interactions.tsv": Self.twoTable + text, "split.tsv": "user\titem\tpart\n" + split])
    #expect(dataset.userIDs.map { Array($0.utf8) } == ids.map { Array($0.utf8) })
    #expect(dataset.catalogue.ids.map { Array($0.utf8) } == ids.map { Array($0.utf8) })
    #expect(dataset.givenParts == [.train, .test, .train, .test, .train])
  }

  @Test func quotedFieldsMayHoldLineEnds() throws {
    let dataset = try load([
      "ratings.csv": "user,\"item\"\r\n\"a\n1\",x\r\nb,\"y\"\r\n",
      "items.csv": "item,description\nx,\"one\r\ntwo, \"\"three\"\"\n\nfour\"\ny,\n",
    ])
    #expect(dataset.userIDs == ["a\n1", "b"])
    #expect(dataset.catalogue.descriptions == ["one\r\ntwo, \"three\"\n\nfour", ""])
  }

  @Test func tabSeparatedFieldsAreNeverQuoted() throws {
    let dataset = try load([
      "ratings.tsv": "user\titem\n\"a\tx\n", "items.tsv": "item\ttitle\nx\t\"Foo\" bar\ny\t\"unfinished\n",
    ])
    #expect(dataset.userIDs == ["\"a"])
    #expect(dataset.catalogue.titles == ["\"Foo\" bar"])
  }

  @Test func colonsMayStandInTitles() throws {
    let dataset = try load([
      "ratings.dat": "1::2::3::4\n1::3::3::4\n1::4::3::4\n",
      "movies.dat": "2::Foo::Bar::Crime\n3:::Odd:::Drama|War\n4::::\n",
    ])
    #expect(dataset.catalogue.titles == ["Foo::Bar", ":Odd:", ""])
    #expect(dataset.catalogue.categories == [["Crime"], ["Drama", "War"], []])
  }

  @Test func columnsOfMovieLensAreFoundByName() throws {
    let dataset = try load([
      "ratings.csv": "timestamp,rating,movieId,userId\n100,4.5,5,1\n",
      "movies.csv": "genres,title,movieId\nWar,Heat,5\n",
    ])
    #expect(dataset.userIDs == ["1"] && dataset.catalogue.ids == ["5"] && dataset.catalogue.titles == ["Heat"])
    #expect(dataset.interactions.ratings == [4.5] && dataset.interactions.timestamps == [100])
  }

  @Test func aRatingsFileOfSomebodyElseIsNotMovieLens() throws {
    let files = ["ratings.csv": Data("item_id,stars,user_id\nx,4,a\n".utf8)]
    let dataset = try load(files)
    #expect(dataset.userIDs == ["a"] && dataset.catalogue.ids == ["x"] && dataset.interactions.ratings == [4])
    let error = #expect(throws: GLTAError.self) { _ = try load(files, format: .movielens) }
    #expect(error?.message.contains("ratings.csv, line 1") == true && error?.message.contains("userId") == true)
  }

  @Test func aTimeColumnIsTakenWhereItIsOne() throws {
    let text = "user,item,date\na,x,5\nb,x,yesterday\nc,x,7\n"
    let folder = try TemporaryFolder()
    let file = try folder.write("log.csv", text)
    var notes: [String] = []
    let dataset = try DatasetImporter.load(path: file) { notes.append($0) }
    #expect(dataset.interactions.count == 3 && dataset.interactions.timestamps == nil)
    #expect(notes.count == 1 && notes[0].contains("\"date\"") && notes[0].contains("line 3 has \"yesterday\""))
    // Who names it, means it.
    var options = ImportOptions()
    options.timeColumn = "date"
    let error = #expect(throws: GLTAError.self) { _ = try DatasetImporter.load(path: file, options: options) }
    #expect(error?.message.contains("log.csv, line 3: the time is \"yesterday\", expected") == true)
    // A number is never passed over.
    try folder.write("log.csv", "user,item,date\na,x,1e30\n")
    #expect(throws: GLTAError.self) { _ = try DatasetImporter.load(path: file) }
  }

  @Test func optionsThatAFormatHasNoUseForAreRefused() throws {
    let files = ["interactions.tsv": Data((Self.twoTable + "a\tx\t\t\n").utf8)]
    let settings: [(String, WritableKeyPath<ImportOptions, String?>)] = [
      ("--user-column", \.userColumn), ("--item-column", \.itemColumn), ("--rating-column", \.ratingColumn),
      ("--time-column", \.timeColumn), ("--items-file", \.itemsFile),
    ]
    for (flag, setting) in settings {
      var options = ImportOptions()
      options[keyPath: setting] = "user"
      for format in [nil, DatasetFormat.tsv] {
        let error = #expect(throws: GLTAError.self) { _ = try load(files, format: format, options: options) }
        #expect(error?.message.contains(flag) == true && error?.message.contains("read as tsv") == true)
      }
    }
  }

  @Test func aTableOfItemsHasItsIDsByName() throws {
    var files = ["ratings.csv": Data("user,sku\na,x\n".utf8), "items.csv": Data("sku,title\nx,Tea\n".utf8)]
    var options = ImportOptions()
    options.itemColumn = "sku"
    #expect(try load(files, options: options).catalogue.titles == ["Tea"])
    files["items.csv"] = Data("code,title\nx,Tea\n".utf8)
    let error = #expect(throws: GLTAError.self) { _ = try load(files, options: options) }
    #expect(error?.message.contains("items.csv, line 1: no column is named item, item_id") == true)
    #expect(error?.hint?.contains("--") == false)
  }

  @Test func whatFiltersLeaveNothingOfIsSaid() throws {
    var options = ImportOptions()
    options.userCore = 2
    let error = #expect(throws: GLTAError.self) {
      _ = try load(["ratings.csv": Data("user,item\na,x\n".utf8)], options: options)
    }
    #expect(error?.message.contains("none of the 1 interactions") == true)
  }

  @Test func lightGCNNeedsNoTestFile() throws {
    let dataset = try load(["train.txt": "0 1 2 3\n"])
    #expect(dataset.interactions.count == 3 && dataset.givenParts == nil)
    let error = #expect(throws: GLTAError.self) { _ = try Splitter.split(dataset, method: .given) }
    #expect(error?.message.contains("without a split") == true && error?.hint?.contains("test.txt") == true)
  }

  // MARK: gz

  private func gz(_ text: String) throws -> Data {
    let folder = try TemporaryFolder()
    try folder.write("x", text)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", folder.path + "/x"]
    try process.run()
    process.waitUntilExit()
    return try Data(contentsOf: URL(fileURLWithPath: folder.path + "/x.gz"))
  }

  @Test func gzMembersFollowOneAnother() throws {
    let dataset = try load([
      "interactions.tsv.gz": try gz(Self.twoTable + "a\tx\t\t") + gz("") + gz("\nb\ty\t\t\n")
    ])
    #expect(dataset.userIDs == ["a", "b"])
  }

  @Test func aDamagedGzStreamIsRefused() throws {
    let whole = try gz(Self.twoTable + (0..<5_000).map { "u\($0 * 7_919 % 1_000)\ti\($0)\t\t\n" }.joined())
    func refused(_ data: Data, _ word: String) {
      let error = #expect(throws: GLTAError.self) { _ = try load(["interactions.tsv.gz": data]) }
      #expect(
        error?.message.contains("interactions.tsv.gz") == true && error?.message.contains(word) == true, "\(word)")
    }
    for length in [2, 5, 11, whole.count / 2, whole.count - 8, whole.count - 1] {
      refused(whole.prefix(length), "truncated")
    }
    refused(whole + Data("junk".utf8), "after the end")
    refused(whole + [0], "after the end")
    refused(whole + whole.prefix(20), "truncated")
    var flipped = whole
    flipped[whole.count / 2] ^= 0x10
    refused(flipped, "damaged")
    refused(Data([0x1F, 0x8B]) + Data("no such thing".utf8), "damaged")
    // Of nothing: an empty file, well packed.
    refused(try gz(""), "is empty")
  }

  // MARK: -

  @discardableResult
  private func refuse(_ what: Case, alsoSaying more: [String] = []) throws -> GLTAError? {
    let error = #expect(throws: GLTAError.self, "\(what.testDescription)") { _ = try load(what.files) }
    for word in what.words + more {
      let said = (error?.message ?? "") + " " + (error?.hint ?? "")
      #expect(said.contains(word), "\(what.testDescription): expected \(word) in: \(said)")
    }
    return error
  }
}
