public import Tensors

extension Dataset {
  /// The data set with the rows that `keep` accepts; users and items that no row mentions any more are dropped, the
  /// others keep their order.
  ///
  /// - Parameter keepingItems: keep items without rows as well.
  public func filtered(keepingItems: Bool = false, _ keep: (Int) -> Bool) -> Dataset {
    let rows = (0..<interactions.count).filter(keep)
    var userUsed = [Bool](repeating: false, count: userIDs.count)
    var itemUsed = [Bool](repeating: keepingItems, count: catalogue.count)
    for row in rows {
      userUsed[Int(interactions.users[row])] = true
      itemUsed[Int(interactions.items[row])] = true
    }
    let (keptUsers, userIndex) = Dataset.compact(userUsed)
    let (keptItems, itemIndex) = Dataset.compact(itemUsed)
    return Dataset(
      name: name, userIDs: keptUsers.map { userIDs[$0] },
      catalogue: ItemCatalogue(
        ids: keptItems.map { catalogue.ids[$0] }, titles: keptItems.map { catalogue.titles[$0] },
        descriptions: keptItems.map { catalogue.descriptions[$0] },
        categories: keptItems.map { catalogue.categories[$0] }),
      interactions: InteractionTable(
        users: rows.map { userIndex[Int(interactions.users[$0])] },
        items: rows.map { itemIndex[Int(interactions.items[$0])] },
        ratings: interactions.ratings.map { ratings in rows.map { ratings[$0] } },
        timestamps: interactions.timestamps.map { times in rows.map { times[$0] } }),
      givenParts: givenParts.map { parts in rows.map { parts[$0] } })
  }

  /// The data set with ratings of at least `threshold`.
  ///
  /// - Throws: `GLTAError.invalidArgument` where rows have no rating.
  public func keepingRatings(atLeast threshold: Float) throws(GLTAError) -> Dataset {
    guard let ratings = interactions.ratings, !ratings.contains(where: \.isNaN) else {
      let missing = interactions.ratings?.filter(\.isNaN).count ?? interactions.count
      throw GLTAError(
        .invalidArgument,
        "a rating threshold needs a rating in every row; \(missing) of \(interactions.count) in \(name) have none",
        hint: "leave out --min-rating")
    }
    return filtered { ratings[$0] >= threshold }
  }

  /// The data set in which every user has at least `users` interactions and every item at least `items`: both are
  /// dropped until nothing changes. Takes time in proportion to the data, however many go one after another.
  public func kCore(users: Int, items: Int) -> Dataset {
    // Users and items in one list, items behind.
    let ends = interactions.items.map { userIDs.count + Int($0) }
    var rows = [[Int]](repeating: [], count: userIDs.count + catalogue.count)
    for (row, user) in interactions.users.enumerated() {
      rows[Int(user)].append(row)
      rows[ends[row]].append(row)
    }
    func needed(_ node: Int) -> Int { node < userIDs.count ? users : items }
    var degrees = rows.map(\.count)
    var kept = [Bool](repeating: true, count: interactions.count)
    var dropped = rows.indices.filter { degrees[$0] < needed($0) }
    while let node = dropped.popLast() {
      for row in rows[node] where kept[row] {
        kept[row] = false
        let other = node < userIDs.count ? ends[row] : Int(interactions.users[row])
        degrees[other] -= 1
        // Once: when it falls below.
        if degrees[other] == needed(other) - 1 { dropped.append(other) }
      }
    }
    return filtered { kept[$0] }
  }

  private static func compact(_ used: [Bool]) -> (kept: [Int], index: [Int32]) {
    var index = [Int32](repeating: -1, count: used.count)
    var kept: [Int] = []
    for old in used.indices where used[old] {
      index[old] = Int32(kept.count)
      kept.append(old)
    }
    return (kept, index)
  }
}
