import GraphEncoding
import Interactions
import LogitsMatching
import Tensors
import TokenAlignment

/// Reads the parts of a bundle and checks that each index points into what it indexes: the files may be anybody's.
struct BundleReader {
  let path: String
  let manifest: BundleManifest

  func read() throws(GLTAError) -> RecommenderBundle {
    do throws(GLTAError) {
      try manifest.alignment.validate()
    } catch { throw GLTAError(.invalidFile, "\(path)/manifest.json: \(error.message)") }
    let userIDs: [String] = try RecommenderBundle.readJSON(path + "/users.json")
    let catalogue = try readCatalogue()
    let (users, items) = (userIDs.count, catalogue.count)
    guard users == manifest.data.users, items == manifest.data.items else {
      throw GLTAError(
        .invalidFile,
        "\(path) has \(users) users and \(items) items, its manifest says \(manifest.data.users) and \(manifest.data.items)"
      )
    }
    let interactions = try SafetensorsFile(path: path + "/interactions.safetensors")
    let graphFile = try SafetensorsFile(path: path + "/graph.safetensors")
    let graph = GraphEmbeddings(
      users: try graphFile.matrix("users", rows: users, columns: nil),
      items: try graphFile.matrix("items", rows: items, columns: nil),
      foldInBasis: try graphFile.matrix("fold_in_basis", rows: items, columns: nil))
    guard graph.users.columns == graph.items.columns, graph.foldInBasis.columns == graph.items.columns else {
      throw GLTAError(.invalidFile, "\(path)/graph.safetensors has matrices of different widths")
    }
    let hidden = manifest.languageModel.hiddenSize
    let alignmentFile = try SafetensorsFile(path: path + "/alignment.safetensors")
    return RecommenderBundle(
      manifest: manifest, userIDs: userIDs, catalogue: catalogue,
      split: InteractionSplit(
        train: try readMatrix(interactions, "train", users: users, items: items),
        validation: try readMatrix(interactions, "validation", users: users, items: items),
        test: try readMatrix(interactions, "test", users: users, items: items)),
      graph: graph,
      textEmbeddings: try SafetensorsFile(path: path + "/text.safetensors").matrix(
        "items", rows: items, columns: hidden),
      tags: try readTags(users: users, items: items),
      alignment: try readAlignment(alignmentFile, items: items, nodeColumns: graph.items.columns),
      itemTokens: try alignmentFile.matrix("item_tokens", rows: items, columns: hidden))
  }

  private func readCatalogue() throws(GLTAError) -> ItemCatalogue {
    let catalogue: ItemCatalogue = try RecommenderBundle.readJSON(path + "/items.json")
    let count = catalogue.ids.count
    guard catalogue.titles.count == count, catalogue.descriptions.count == count, catalogue.categories.count == count
    else { throw GLTAError(.invalidFile, "\(path)/items.json has lists of different lengths") }
    return catalogue
  }

  private func readAlignment(
    _ file: SafetensorsFile, items: Int, nodeColumns: Int
  ) throws(GLTAError) -> AlignmentModel {
    let hidden = manifest.languageModel.hiddenSize
    let kind = manifest.alignment.head
    return AlignmentModel(
      itemProjector: NodeProjector(
        weight: try file.matrix("item_projector.weight", rows: hidden, columns: nodeColumns),
        bias: try file.matrix("item_projector.bias", rows: 1, columns: hidden)),
      userProjector: NodeProjector(
        weight: try file.matrix("user_projector.weight", rows: hidden, columns: nodeColumns),
        bias: try file.matrix("user_projector.bias", rows: 1, columns: hidden)),
      head: GLLMHead(
        kind: kind,
        weight: try file.matrix("head.weight", rows: kind == .free ? items : hidden, columns: hidden),
        bias: try file.matrix("head.bias", rows: 1, columns: items)),
      slotToken: file.contains("slot_token") ? try file.matrix("slot_token", rows: 1, columns: hidden) : nil)
  }

  private func readTags(users: Int, items: Int) throws(GLTAError) -> TagTable {
    let file: TagFile = try RecommenderBundle.readJSON(path + "/tags.json")
    let known = 0..<Int32(file.vocabulary.count)
    func require(_ lists: [[Int32]], _ count: Int, _ what: String) throws(GLTAError) {
      guard lists.count == count, lists.allSatisfy({ $0.allSatisfy(known.contains) }) else {
        throw GLTAError(
          .invalidFile, "\(path)/tags.json does not have tags of its vocabulary for each of \(count) \(what)")
      }
    }
    for lists in [file.profile, file.prediction] { try require(lists, items, "items") }
    var own: TagTable.UserTags?
    if file.userProfile != nil || file.userPrediction != nil {
      let (profile, prediction) = (file.userProfile ?? [], file.userPrediction ?? [])
      for lists in [profile, prediction] { try require(lists, users, "users") }
      own = TagTable.UserTags(profile: profile, prediction: prediction)
    }
    return TagTable(vocabulary: file.vocabulary, profile: file.profile, prediction: file.prediction, users: own)
  }

  private func readMatrix(
    _ file: SafetensorsFile, _ name: String, users: Int, items: Int
  ) throws(GLTAError) -> CSRMatrix {
    let offsets = try file.tensor(name + ".offsets")
    let indices = try file.indices(name + ".items")
    guard offsets.dtype == .i64, offsets.count == users + 1 else {
      throw GLTAError(.invalidFile, "\(file.path): \(name).offsets is not i64[\(users + 1)]")
    }
    let starts = offsets.elements(Int64.self)
    guard starts.first == 0, starts.last == Int64(indices.count),
      zip(starts, starts.dropFirst()).allSatisfy({ $0 <= $1 })
    else { throw GLTAError(.invalidFile, "\(file.path): \(name).offsets do not ascend from 0 to \(indices.count)") }
    for user in 0..<users {
      let row = indices[Int(starts[user])..<Int(starts[user + 1])]
      guard row.allSatisfy({ $0 >= 0 && $0 < items }), zip(row, row.dropFirst()).allSatisfy({ $0 < $1 }) else {
        throw GLTAError(
          .invalidFile, "\(file.path): row \(user) of \(name) is not an ascending list of items below \(items)")
      }
    }
    return CSRMatrix(rows: users, columns: items, offsets: starts.map(Int.init), indices: indices)
  }
}
