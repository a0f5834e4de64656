public import Tensors

/// How a user's interactions are parted into training, validation and test.
public enum SplitMethod: Sendable, Equatable, Codable, CustomStringConvertible {
  /// Per user at random: the first floor(0.8 n) items train (at least one), up to floor(0.9 n) validation, the rest test.
  case random(seed: UInt64)
  /// By time: the last item is test, the one before it validation. Users with fewer than three items only train.
  case leaveLastOut
  /// The data set's own; where it has no validation part, a tenth of each user's training items becomes one, and at
  /// least one item of those who have three.
  case given
  /// The data set's own, with nothing lent for validation: to train once more on everything with settings that are found.
  case givenWhole
  /// Items that nobody has used yet: `share` of the items that have interactions, drawn by seed, are withheld and all of
  /// theirs are test; of each user's other interactions a tenth is validation, the rest trains.
  case coldItems(share: Double, seed: UInt64)

  /// The method in words, for reports.
  public var description: String {
    switch self {
    case .random(let seed): "random 80/10/10 per user, seed \(seed)"
    case .leaveLastOut: "leave last out, by time"
    case .given: "as given"
    case .givenWhole: "as given, nothing lent for validation"
    case .coldItems(let share, let seed): "cold items, \(share) of them withheld, seed \(seed)"
    }
  }
}

/// Parts interactions.
public enum Splitter {
  /// - Throws: `GLTAError.invalidArgument` for `leaveLastOut` where times are missing, the given ones where nothing was
  ///   given, and a share that withholds no item or all.
  public static func split(_ dataset: Dataset, method: SplitMethod) throws(GLTAError) -> InteractionSplit {
    let rows = rowsByUser(dataset)
    var parts = [SplitPart](repeating: .train, count: dataset.interactions.count)
    switch method {
    case .random(let seed): assignAtRandom(rows, seed: seed, to: &parts)
    case .leaveLastOut: try assignByTime(rows, dataset, to: &parts)
    case .given: try assignAsGiven(rows, dataset, lends: true, to: &parts)
    case .givenWhole: try assignAsGiven(rows, dataset, lends: false, to: &parts)
    case .coldItems(let share, let seed): try assignColdItems(rows, dataset, share: share, seed: seed, to: &parts)
    }
    func matrix(_ part: SplitPart) -> CSRMatrix {
      let kept = parts.indices.filter { parts[$0] == part }
      return CSRMatrix(
        rows: dataset.userIDs.count, columns: dataset.catalogue.count,
        edges: (kept.map { dataset.interactions.users[$0] }, kept.map { dataset.interactions.items[$0] }))
    }
    return InteractionSplit(train: matrix(.train), validation: matrix(.validation), test: matrix(.test))
  }

  private static func rowsByUser(_ dataset: Dataset) -> [[Int]] {
    var rows = [[Int]](repeating: [], count: dataset.userIDs.count)
    for (row, user) in dataset.interactions.users.enumerated() { rows[Int(user)].append(row) }
    return rows
  }

  private static func assignAtRandom(_ rows: [[Int]], seed: UInt64, to parts: inout [SplitPart]) {
    for (user, rows) in rows.enumerated() {
      var rows = rows
      var random = Philox(seed: seed, purpose: "split", index: UInt64(user)).sequence()
      random.shuffle(&rows)
      let train = max(1, rows.count * 8 / 10)
      let known = max(train, rows.count * 9 / 10)
      for (position, row) in rows.enumerated() {
        parts[row] = position < train ? .train : position < known ? .validation : .test
      }
    }
  }

  private static func assignByTime(
    _ rows: [[Int]], _ dataset: Dataset, to parts: inout [SplitPart]
  ) throws(GLTAError) {
    let count = dataset.interactions.count
    let times = dataset.interactions.timestamps ?? []
    let missing = times.isEmpty ? count : times.filter { $0 == InteractionTable.noTime }.count
    guard missing == 0 else {
      throw GLTAError(
        .invalidArgument,
        "leave-last-out needs the time of every interaction; \(missing) of \(count) in \(dataset.name) have none",
        hint: "use --split random")
    }
    for rows in rows where rows.count >= 3 {
      // Rows of one time stay in the order of the file.
      let ordered = rows.sorted { (times[$0], $0) < (times[$1], $1) }
      parts[ordered[ordered.count - 1]] = .test
      parts[ordered[ordered.count - 2]] = .validation
    }
  }

  private static func assignColdItems(
    _ rows: [[Int]], _ dataset: Dataset, share: Double, seed: UInt64, to parts: inout [SplitPart]
  ) throws(GLTAError) {
    var isUsed = [Bool](repeating: false, count: dataset.catalogue.count)
    for item in dataset.interactions.items { isUsed[Int(item)] = true }
    var items = isUsed.indices.filter { isUsed[$0] }
    try Setting.require("the share of withheld items", share, in: 0...1)
    let count = Int(share * Double(items.count))
    guard count > 0, count < items.count else {
      throw GLTAError(
        .invalidArgument, "a share of \(share) withholds \(count) of \(items.count) items with interactions",
        hint: "withhold one at least, and leave one, as with --withhold-items 0.1")
    }
    var random = Philox(seed: seed, purpose: "cold items").sequence()
    random.shuffle(&items)
    let withheld = Set(items.prefix(count).map { Int32($0) })
    for (user, rows) in rows.enumerated() {
      for row in rows where withheld.contains(dataset.interactions.items[row]) { parts[row] = .test }
      var warm = rows.filter { parts[$0] != .test }
      var random = Philox(seed: seed, purpose: "split", index: UInt64(user)).sequence()
      random.shuffle(&warm)
      for row in warm.prefix(warm.count / 10) { parts[row] = .validation }
    }
  }

  private static func assignAsGiven(
    _ rows: [[Int]], _ dataset: Dataset, lends: Bool, to parts: inout [SplitPart]
  ) throws(GLTAError) {
    guard let given = dataset.givenParts else {
      throw GLTAError(
        .invalidArgument, "\(dataset.name) comes without a split",
        hint: "use --split random, or give LightGCN's train.txt with test.txt, or a split.tsv")
    }
    parts = given
    guard lends, !given.contains(.validation) else { return }
    for (user, rows) in rows.enumerated() {
      var train = rows.filter { given[$0] == .train }
      var random = Philox(seed: 0, purpose: "given split", index: UInt64(user)).sequence()
      random.shuffle(&train)
      let lent = max(train.count / 10, train.count >= 3 ? 1 : 0)
      for row in train.prefix(lent) { parts[row] = .validation }
    }
  }
}
