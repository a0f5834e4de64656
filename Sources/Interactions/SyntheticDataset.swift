import Tensors

/// A small world with planted structure: genres with words of their own, users with two favourite genres, some items
/// more popular than others. For tests, and for a demo without a network.
public enum SyntheticDataset {
  private static let genres: [(name: String, words: [String])] = [
    ("space", ["galaxy", "rocket", "orbit", "planet", "starship", "comet", "astronaut", "nebula"]),
    ("cooking", ["kitchen", "spice", "recipe", "bread", "garlic", "chef", "oven", "butter"]),
    ("crime", ["detective", "murder", "evidence", "robbery", "police", "witness", "alibi", "suspect"]),
    ("garden", ["flower", "seed", "orchard", "tulip", "compost", "meadow", "harvest", "vineyard"]),
    ("music", ["melody", "guitar", "orchestra", "rhythm", "singer", "violin", "concert", "drummer"]),
    ("ocean", ["sailor", "coral", "whale", "harbour", "island", "tide", "lighthouse", "shipwreck"]),
    ("magic", ["wizard", "dragon", "spell", "castle", "potion", "prophecy", "enchanted", "sorcerer"]),
    ("sport", ["football", "marathon", "champion", "stadium", "coach", "cyclist", "trophy", "racket"]),
  ]

  /// Generates a data set; the same for the same arguments.
  ///
  /// - Parameters:
  ///   - users, items: at least one and eight.
  ///   - interactionsPerUser: on average.
  public static func generate(
    users: Int, items: Int, interactionsPerUser: Int = 24, seed: UInt64 = 7
  ) -> Dataset {
    var random = Philox(seed: seed, purpose: "synthetic data").sequence()
    let catalogue = catalogue(items, &random)
    let popularity = (0..<items).map { _ in 0.2 + random.uniform() * random.uniform() * 2 }
    var byGenre = [[Int32]](repeating: [], count: genres.count)
    for item in 0..<items { byGenre[item % genres.count].append(Int32(item)) }
    var table = InteractionTable(users: [], items: [], ratings: [], timestamps: [])
    for user in 0..<users {
      let favourites = [random.index(below: genres.count), random.index(below: genres.count)]
      let wanted = min(items / 2, max(5, interactionsPerUser / 2 + random.index(below: interactionsPerUser)))
      var taken: Set<Int32> = []
      var attempts = 0
      while taken.count < wanted && attempts < 50 * wanted {
        attempts += 1
        // One interaction in seven is a whim.
        let genre = random.uniform() < 0.86 ? favourites[random.index(below: 2)] : random.index(below: genres.count)
        let item = byGenre[genre][random.index(below: byGenre[genre].count)]
        guard random.uniform() * 2.2 < popularity[Int(item)], taken.insert(item).inserted else { continue }
        table.users.append(Int32(user))
        table.items.append(item)
        table.ratings?.append(favourites.contains(genre) ? 5 : 3)
        table.timestamps?.append(Int64(1_600_000_000 + attempts * 3_600))
      }
    }
    return Dataset(
      name: "synthetic", userIDs: (0..<users).map { "u\($0)" }, catalogue: catalogue, interactions: table
    ).filtered { _ in true }
  }

  private static func catalogue(_ items: Int, _ random: inout Philox.Sequence) -> ItemCatalogue {
    var catalogue = ItemCatalogue(ids: [], titles: [], descriptions: [], categories: [])
    for item in 0..<items {
      let (name, words) = genres[item % genres.count]
      func word() -> String { words[random.index(below: words.count)] }
      catalogue.ids.append("i\(item)")
      catalogue.titles.append("The \(word()) and the \(word()) \(item / genres.count + 1)")
      catalogue.descriptions.append("A story of \(name) with a \(word()), a \(word()) and a \(word()).")
      catalogue.categories.append([name])
    }
    return catalogue
  }
}
