import Foundation
public import Tensors

/// The formats that data sets come in.
public enum DatasetFormat: String, Sendable, CaseIterable, Codable {
  /// GroupLens: `ratings.dat` with `movies.dat`, `u.data` with `u.item`, or `ratings.csv` with `movies.csv`.
  case movielens
  /// RecBole's atomic files: NAME.inter, NAME.item, NAME.user.
  case recbole
  /// `interactions.tsv` and `items.tsv`, plain or gz, headed, and perhaps `split.tsv`: what `glta data import` writes.
  case tsv
  /// A headed CSV of interactions, quoted as in RFC 4180, or TSV, which is never quoted; and one of items beside it.
  case csv
  /// LightGCN's `train.txt` and perhaps `test.txt` and `valid.txt`: a user and its items a line.
  case lightgcn
}

/// How a data set is read.
public struct ImportOptions: Sendable, Equatable {
  /// Keep rows with at least this rating.
  public var ratingThreshold: Float?
  /// The interactions that users and items need to stay; zero keeps all.
  public var userCore = 0
  /// Likewise of items.
  public var itemCore = 0
  /// csv: names of columns; nil = the usual ones.
  public var userColumn: String?
  /// csv: the item's column, of the table of items as well where that has it.
  public var itemColumn: String?
  /// csv: the rating's column.
  public var ratingColumn: String?
  /// csv: the time's column, which has to be numeric; one that is guessed and is not is left out.
  public var timeColumn: String?
  /// csv: the file with item texts; nil = one named items or movies beside it.
  public var itemsFile: String?
  /// Keep catalogue items that nobody used.
  public var keepsUnusedItems = false

  /// Options that keep everything and guess the columns.
  public init() {}

  /// The flags of options that only csv has, where they are set.
  fileprivate var csvFlags: [String] {
    let values = [
      ("--user-column", userColumn), ("--item-column", itemColumn), ("--rating-column", ratingColumn),
      ("--time-column", timeColumn), ("--items-file", itemsFile),
    ]
    return values.filter { $0.1 != nil }.map(\.0)
  }
}

/// Reads data sets of any known format.
public enum DatasetImporter {
  /// Reads, then filters by rating, then by k-core.
  ///
  /// - Parameters:
  ///   - path: a directory, or for csv a file.
  ///   - format: nil = found out from the files.
  ///   - note: receives a line on each thing that was left out and might be missed.
  /// - Throws: `GLTAError.inputOutput` and `.invalidFile` with file and line; `.invalidArgument` where the format cannot be
  ///   found out, has no use for an option, or nothing is left.
  public static func load(
    path: String, format wanted: DatasetFormat? = nil, options: ImportOptions = ImportOptions(),
    note: (String) -> Void = { _ in }
  ) throws(GLTAError) -> Dataset {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let format = if let wanted { wanted } else { try detect(path) }
    let unused = format == .csv ? [] : options.csvFlags
    guard unused.isEmpty else {
      throw GLTAError(
        .invalidArgument,
        "\(unused.joined(separator: ", ")) is for csv alone, and \(path) is read as \(format.rawValue)",
        hint: wanted == nil ? "leave it out, or say --format csv" : "leave it out")
    }
    let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    var builder = DatasetBuilder()
    switch format {
    case .movielens: try MovieLensImporter(directory: path).read(into: &builder)
    case .recbole: try RecBoleImporter(directory: path).read(into: &builder)
    case .tsv: try TwoTableImporter(directory: path).read(into: &builder)
    case .csv: try HeadedCSVImporter(path: path, options: options).read(into: &builder)
    case .lightgcn: try LightGCNImporter(directory: path).read(into: &builder)
    }
    builder.notes.forEach(note)
    var dataset = builder.build(name: name, keepingUnusedItems: options.keepsUnusedItems)
    let count = dataset.interactions.count
    guard count > 0 else { throw GLTAError(.invalidArgument, "\(path) has no interactions") }
    if let threshold = options.ratingThreshold { dataset = try dataset.keepingRatings(atLeast: threshold) }
    if options.userCore > 1 || options.itemCore > 1 {
      dataset = dataset.kCore(users: options.userCore, items: options.itemCore)
    }
    guard dataset.interactions.count > 0 else {
      throw GLTAError(
        .invalidArgument, "none of the \(count) interactions of \(path) is left after filtering",
        hint: "lower --min-rating, --user-core or --item-core")
    }
    return dataset
  }

  private static func detect(_ path: String) throws(GLTAError) -> DatasetFormat {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw GLTAError(.inputOutput, "there is no data set at \(path)", hint: "`glta data fetch ml-100k` brings one")
    }
    guard isDirectory.boolValue else { return .csv }
    let names = Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
    func has(_ candidates: String...) -> Bool { candidates.contains(where: names.contains) }
    if has("ratings.dat", "u.data") { return .movielens }
    if has("ratings.csv"), MovieLensImporter.isRatingsCSV(path + "/ratings.csv") { return .movielens }
    if has("interactions.tsv", "interactions.tsv.gz") { return .tsv }
    if names.contains(where: { $0.hasSuffix(".inter") }) { return .recbole }
    if names.contains("train.txt") { return .lightgcn }
    if names.contains(where: { $0.hasSuffix(".csv") || $0.hasSuffix(".tsv") }) { return .csv }
    throw GLTAError(
      .invalidArgument,
      "\(path) holds no known data set: looked for ratings.dat, u.data, ratings.csv, interactions.tsv[.gz], *.inter, "
        + "train.txt and *.csv",
      hint: "say which with --format")
  }
}
