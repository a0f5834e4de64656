public import Tensors

/// A graph of who used what as large graphs are: a few people have much and most have little, a few things are known to
/// all, and people of a cluster share the things of theirs. For measurements at sizes for which there is no data.
public struct SyntheticGraph: Sendable {
  /// What a graph is made from.
  public struct Options: Sendable, Equatable {
    /// At least one.
    public var users = 100_000
    /// At least two.
    public var items = 50_000
    /// Edges: at least one a user, at most half of the items each.
    public var interactions = 1_000_000
    /// Clusters that users and items belong to, from one to half of the items.
    public var clusters = 50
    /// The share of a user's draws that go to the own cluster; the others go to all items.
    public var affinity = 0.8
    /// The density of users' degrees falls as degree^-exponent; above two.
    public var userExponent = 2.5
    /// As `userExponent`, of items' degrees.
    public var itemExponent = 2.5
    /// The same options give the same graph for one seed, on any number of threads.
    public var seed: UInt64 = 7

    /// The defaults: a million edges.
    public init() {}
  }

  /// Users x items; every user has an edge.
  public let interactions: CSRMatrix
  /// The cluster of each user.
  public let userClusters: [Int32]
  /// The cluster of each item.
  public let itemClusters: [Int32]

  /// Generates a graph, user after user: beside the edges themselves there is nothing but a few numbers for each user and
  /// item.
  ///
  /// - Throws: `GLTAError.invalidArgument` for options outside their ranges.
  public init(_ options: Options, pool: ThreadPool = .serial) throws(GLTAError) {
    try options.check()
    let world = World(options)
    var offsets = [0]
    offsets.reserveCapacity(options.users + 1)
    for degree in world.degrees { offsets.append(offsets[offsets.count - 1] + degree) }
    let indices = [Int32](unsafeUninitializedCapacity: options.interactions) { buffer, count in
      count = options.interactions
      let marks = (0..<pool.threads).map { _ in TakenItems(options.items) }
      guard let base = buffer.baseAddress else { return }
      let run = 256
      pool.forEach((options.users + run - 1) / run) { number, worker in
        for user in number * run..<min(options.users, (number + 1) * run) {
          world.draw(user, marks[worker], into: base + offsets[user])
        }
      }
    }
    interactions = CSRMatrix(rows: options.users, columns: options.items, offsets: offsets, indices: indices)
    userClusters = world.userClusters
    itemClusters = world.itemOfRank.indices.reduce(into: [Int32](repeating: 0, count: options.items)) {
      $0[Int(world.itemOfRank[$1])] = Int32($1 % options.clusters)
    }
  }

  /// The graph as a data set whose texts say the clusters.
  public func dataset() -> Dataset {
    var users: [Int32] = []
    users.reserveCapacity(interactions.count)
    for user in 0..<interactions.rows { users += repeatElement(Int32(user), count: interactions.degree(user)) }
    let clusters = itemClusters.map { "cluster \($0)" }
    return Dataset(
      name: "synthetic graph", userIDs: (0..<interactions.rows).map { "u\($0)" },
      catalogue: ItemCatalogue(
        ids: clusters.indices.map { "i\($0)" }, titles: clusters.indices.map { "Item \($0)" },
        descriptions: clusters.map { "A thing of \($0)." }, categories: clusters.map { [$0] }),
      interactions: InteractionTable(users: users, items: interactions.indices))
  }
}

extension SyntheticGraph.Options {
  fileprivate func check() throws(GLTAError) {
    let limit = Int(Int32.max)
    guard (1..<limit).contains(users), (2..<limit).contains(items), (1...items / 2).contains(clusters) else {
      throw GLTAError(
        .invalidArgument,
        "\(users) users, \(items) items in \(clusters) clusters; expected at least one user, two items and two items a cluster"
      )
    }
    let most = users.multipliedReportingOverflow(by: items / 2)
    guard interactions >= users, most.overflow || interactions <= most.partialValue else {
      throw GLTAError(
        .invalidArgument,
        "\(interactions) interactions of \(users) users with \(items) items; expected one a user at the least and half of the items each at the most"
      )
    }
    guard affinity >= 0, affinity <= 1, userExponent > 2, itemExponent > 2, max(userExponent, itemExponent) <= 100
    else {
      throw GLTAError(
        .invalidArgument,
        "affinity \(affinity), exponents \(userExponent) and \(itemExponent); expected 0 to 1, and above 2 to 100")
    }
  }
}

/// What all users draw from.
private struct World {
  let options: SyntheticGraph.Options
  let degrees: [Int]
  let userClusters: [Int32]
  /// Items by popularity; rank r is of cluster r % clusters, so that clusters are alike.
  let itemOfRank: [Int32]
  private let ranks: PowerLaw.Ranks
  private let shift: Double

  init(_ options: SyntheticGraph.Options) {
    self.options = options
    degrees = World.shuffled(
      PowerLaw.degrees(
        count: options.users, total: options.interactions, largest: options.items / 2, exponent: options.userExponent),
      options.seed, "synthetic degrees")
    itemOfRank = World.shuffled(Array(0..<Int32(options.items)), options.seed, "synthetic items")
    var random = Philox(seed: options.seed, purpose: "synthetic clusters").sequence()
    userClusters = (0..<options.users).map { _ in Int32(random.index(below: options.clusters)) }
    // The best known item of a cluster shall not be drawn more often than by every second member, or degrees would end
    // in a wall of items that everybody has.
    let perUser = Double(options.interactions) / Double(options.users)
    let (size, exponent) = (options.items / options.clusters, options.itemExponent)
    var shift = 1.0
    while PowerLaw.Ranks(count: size, exponent: exponent, shift: shift).headShare * perUser > 0.5, shift < 1e9 {
      shift *= 2
    }
    self.shift = shift
    ranks = PowerLaw.Ranks(
      count: options.items, exponent: exponent, shift: shift * Double(options.clusters))
  }

  private static func shuffled<Element>(_ elements: [Element], _ seed: UInt64, _ purpose: String) -> [Element] {
    var elements = elements
    var random = Philox(seed: seed, purpose: purpose).sequence()
    random.shuffle(&elements)
    return elements
  }

  /// Writes the items of a user, ascending: as many as the degree says.
  func draw(_ user: Int, _ taken: TakenItems, into items: UnsafeMutablePointer<Int32>) {
    var random = Philox(seed: options.seed, purpose: "synthetic edges", index: UInt64(user)).sequence()
    let cluster = Int(userClusters[user])
    let own = PowerLaw.Ranks(
      count: (options.items - cluster + options.clusters - 1) / options.clusters, exponent: options.itemExponent,
      shift: shift)
    for place in 0..<degrees[user] {
      var item = Int32.zero
      var attempts = 0
      repeat {
        attempts += 1
        // Who has nearly all of a cluster takes anything; half of the items are free, so this ends.
        let rank =
          attempts > 16
          ? random.index(below: options.items) : rank(&random, own: own, cluster: cluster)
        item = itemOfRank[rank]
      } while !taken.take(item, user)
      items[place] = item
    }
    var sorted = UnsafeMutableBufferPointer(start: items, count: degrees[user])
    sorted.sort()
  }

  private func rank(_ random: inout Philox.Sequence, own: PowerLaw.Ranks, cluster: Int) -> Int {
    let isOwn = Double(random.uniform()) < options.affinity
    let uniform = Double(random.next() >> 11) * 0x1p-53
    return isOwn ? own.rank(uniform) * options.clusters + cluster : ranks.rank(uniform)
  }
}

/// Which items a user has already: one mark an item for all users in turn, so that nothing is ever cleared.
private final class TakenItems {
  private var marks: [Int32]

  init(_ items: Int) { marks = [Int32](repeating: -1, count: items) }

  /// Whether the item was free.
  func take(_ item: Int32, _ user: Int) -> Bool {
    defer { marks[Int(item)] = Int32(user) }
    return marks[Int(item)] != Int32(user)
  }
}
