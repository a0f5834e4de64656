public import GraphEncoding
public import Interactions
public import Tensors
public import TokenAlignment

/// Everything that ranking needs but the language model: a trained recommender as a value.
///
/// On disk it is a directory of JSON and safetensors files that Python reads without us (`RecommenderBundle+Files.swift`).
public struct RecommenderBundle: Sendable {
  /// What the bundle is, how it was trained and what its parts weigh.
  public var manifest: BundleManifest
  /// What the data set was called where it was read. A name says nothing of the content and is not hashed.
  public var dataName = ""
  /// External user ids by dense index.
  public var userIDs: [String]
  /// Ids and texts of the items. Its order gives items their dense indices, the rows of every |I| x ... matrix.
  public var catalogue: ItemCatalogue
  /// Training, validation and test interactions, users x items each. Ranking leaves out what a user has.
  public var split: InteractionSplit
  /// What stage 1 learned, with d columns.
  public var graph: GraphEmbeddings
  /// |I| x D, centred and of length one; a zero row where an item has no text.
  public var textEmbeddings: Matrix
  /// Profile and prediction tags of the items, and of users where they were written; empty where the run did without tags.
  public var tags: TagTable
  /// What stages 2 and 3 learned: the two projectors and the GLLM head.
  public var alignment: AlignmentModel
  /// |I| x D: the items projected into the language model's token space, kept so that serving need not project.
  public var itemTokens: Matrix

  /// A bundle in memory; `load` is what checks that parts of files fit together.
  public init(
    manifest: BundleManifest, userIDs: [String], catalogue: ItemCatalogue, split: InteractionSplit,
    graph: GraphEmbeddings, textEmbeddings: Matrix, tags: TagTable, alignment: AlignmentModel, itemTokens: Matrix
  ) {
    self.manifest = manifest
    self.userIDs = userIDs
    self.catalogue = catalogue
    self.split = split
    self.graph = graph
    self.textEmbeddings = textEmbeddings
    self.tags = tags
    self.alignment = alignment
    self.itemTokens = itemTokens
  }

  /// The dense index of a user.
  ///
  /// - Throws: `GLTAError.unknownUser`.
  public func userIndex(_ id: String) throws(GLTAError) -> Int {
    guard let index = userIDs.firstIndex(where: { $0.utf8.elementsEqual(id.utf8) }) else {
      throw GLTAError(
        .unknownUser, "the bundle has no user \"\(id)\" (it has \(userIDs.count) users, such as \(examples(userIDs)))",
        hint: "somebody new is ranked for by items: --items ID,ID,...")
    }
    return index
  }

  /// The dense indices of items.
  ///
  /// - Throws: `GLTAError.unknownItem` for the first that the catalogue does not have.
  public func itemIndices(_ ids: [String]) throws(GLTAError) -> [Int32] {
    let wanted = Set(ids.map(ExactText.init))
    var found: [ExactText: Int32] = [:]
    for (index, id) in catalogue.ids.enumerated() where wanted.contains(ExactText(id)) {
      found[ExactText(id)] = Int32(index)
    }
    var indices: [Int32] = []
    for id in ids {
      guard let index = found[ExactText(id)] else {
        throw GLTAError(
          .unknownItem,
          "the catalogue has no item \"\(id)\" (it has \(catalogue.count) items, such as \(examples(catalogue.ids)))",
          hint: "item ids are those of the training data; `glta inspect` shows some")
      }
      indices.append(index)
    }
    return indices
  }

  private func examples(_ ids: [String]) -> String { ids.prefix(3).map { "\"\($0)\"" }.joined(separator: ", ") }
}
