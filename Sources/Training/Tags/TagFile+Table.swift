import GraphEncoding
import Interactions
import Tensors
import TokenAlignment

extension TagFile {
  /// The tags of a catalogue's items, and how many of them the file has tags for.
  ///
  /// - Throws: `GLTAError.mismatch` where there are none.
  func items(
    of catalogue: ItemCatalogue, graph: GraphEmbeddings, pool: ThreadPool
  ) throws(GLTAError) -> (table: TagTable, items: Int) {
    let found = try lines(of: catalogue.ids)
    let table = TagTable(
      profile: found.map { $0?.tags ?? [] }, prediction: found.map { $0?.interests ?? [] }, graph: graph, pool: pool)
    return (table, found.count { $0 != nil })
  }

  /// A table of items with the tags of a data set's users added, and how many of them the file has tags for.
  ///
  /// - Parameter visible: users x items that a prompt of training may show.
  /// - Throws: `GLTAError.mismatch` where there are none, or where a user's were written of something else: of what training
  ///   is to predict, or the test part holds.
  func users(
    of dataset: Dataset, visible: CSRMatrix, addingTo table: TagTable
  ) throws(GLTAError) -> (table: TagTable, users: Int) {
    let found = try lines(of: dataset.userIDs)
    let ids = dataset.catalogue.ids
    for case (let user, let line?) in found.enumerated() {
      let shown = Set(visible[user].map { ids[Int($0)] })
      guard let items = line.items, shown.isSuperset(of: items) else {
        throw GLTAError(
          .mismatch, "the tags of user \"\(line.id)\" were written of items that this run's prompts must not show",
          hint: "give `glta tags` the --data, --split, --seed and --config of the training")
      }
    }
    let whole = table.adding(
      usersProfile: found.map { $0?.tags ?? [] }, prediction: found.map { $0?.interests ?? [] })
    return (whole, found.count { $0 != nil })
  }

  private func lines(of ids: [String]) throws(GLTAError) -> [Line?] {
    let latest = latest
    let found = ids.map { latest[$0] }
    guard found.contains(where: { $0 != nil }) else {
      throw GLTAError(
        .mismatch, "of \(ids.count) \(subject.rawValue), the tags file has tags for none",
        hint: "it belongs to other data")
    }
    return found
  }
}
