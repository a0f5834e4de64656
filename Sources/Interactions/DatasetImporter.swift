import Foundation
public import Tensors

/// The formats that data sets come in.
public enum DatasetFormat: String, Sendable, CaseIterable, Codable {
  /// GroupLens: `ratings.dat` with `movies.dat`, `u.data` with `u.item`, or `ratings.csv` with `movies.csv`.
  case movielens
  /// RecBole's atomic files: NAME.inter, NAME.item, NAME.user.
  case recbole
  /// `interactions.tsv` and `items.tsv`, plain or gz, headed: what `glta data import` writes.
  case tsv
  /// A headed CSV or TSV of interactions.
  case csv
  /// LightGCN's `train.txt` and `test.txt`: a user and its items a line.
  case lightgcn
}

/// How a data set is read.
public struct ImportOptions: Sendable, Equatable {
  /// Keep rows with at least this rating.
  public var ratingThreshold: Float?
  /// The interactions that users and items need to stay; zero keeps all.
  public var userCore = 0
  public var itemCore = 0
  /// csv: names of columns; nil = the usual ones.
  public var userColumn: String?
  public var itemColumn: String?
  public var ratingColumn: String?
  public var timeColumn: String?
  /// csv: the file with item texts; nil = one named items or movies beside it.
  public var itemsFile: String?
  /// Keep catalogue items that nobody used.
  public var keepsUnusedItems = false

  public init() {}
}

/// Reads data sets of any known format.
public enum DatasetImporter {
  /// Reads, then filters by rating, then by k-core.
  ///
  /// - Parameters:
  ///   - path: a directory, or for csv a file.
  ///   - format: nil = found out from the files.
  /// - Throws: `GLTAError.inputOutput` and `.invalidFile` with file and line; `.invalidArgument` where the format cannot be
  ///   found out or nothing is left.
  public static func load(
    path: String, format: DatasetFormat? = nil, options: ImportOptions = ImportOptions()
  ) throws(GLTAError) -> Dataset {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let format = if let format { format } else { try detect(path) }
    let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    var builder = DatasetBuilder()
    switch format {
    case .movielens: try MovieLensImporter(directory: path).read(into: &builder)
    case .recbole: try RecBoleImporter(directory: path).read(into: &builder)
    case .tsv: try TwoTableImporter(directory: path).read(into: &builder)
    case .csv: try HeadedCSVImporter(path: path, options: options).read(into: &builder)
    case .lightgcn: try LightGCNImporter(directory: path).read(into: &builder)
    }
    var dataset = builder.build(name: name, keepingUnusedItems: options.keepsUnusedItems)
    if let threshold = options.ratingThreshold { dataset = try dataset.keepingRatings(atLeast: threshold) }
    if options.userCore > 1 || options.itemCore > 1 {
      dataset = dataset.kCore(users: options.userCore, items: options.itemCore)
    }
    guard dataset.interactions.count > 0 else {
      throw GLTAError(
        .invalidArgument, "\(path) has no interactions" + (options == ImportOptions() ? "" : " after filtering"))
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
    if has("ratings.dat", "u.data", "ratings.csv") { return .movielens }
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
