public import Bundles
import GraphEncoding
import Interactions
import LogitsMatching
public import Tensors
public import TokenAlignment

/// What the graph encoder sends on: the instruction's input, and the candidates with their prior.
public struct EncodedRequest: Sendable, Equatable {
  /// The user's vector and the history that fits into the prompt.
  public var view: UserView
  /// All items of the user, ascending: what tags are voted by.
  public var items: [Int32]
  /// Who the user is; nil for somebody new.
  public var user: Int?
  /// The items that compete, ascending.
  public var candidates: [Int32]
  /// The prior of each candidate.
  public var prior: [Float]
}

/// For whom is ranked.
public struct EncodedSubject: Sendable, Equatable {
  /// The vector of the user, and the items that the prompt shows.
  public var view: UserView
  /// The items that are known of the subject, ascending.
  public var items: [Int32]
  /// Who the subject is; nil for somebody new, of whom the items are all that is known.
  public var user: Int?
}

/// Stage one of serving: from a user, or a list of items, to candidates with a prior. A pure function of the bundle and
/// the request.
public struct GraphEncoderStage: Sendable {
  /// The largest catalogue that is ranked whole.
  public static let wholeCatalogue = 20_000
  /// The candidates taken from a larger one.
  public static let retrieved = 2_000

  private let bundle: RecommenderBundle
  private let graphItems: ItemMatrix
  private let textItems: ItemMatrix
  private let popularity: [Float]

  /// Packs the bundle's item matrices for their products, and counts how often each item was trained on.
  public init(bundle: RecommenderBundle) {
    self.bundle = bundle
    graphItems = ItemMatrix(bundle.graph.items)
    textItems = ItemMatrix(bundle.textEmbeddings)
    var counts = [Float](repeating: 0, count: bundle.catalogue.count)
    for item in bundle.split.train.indices { counts[Int(item)] += 1 }
    var popularity = counts.map(logOfOnePlus)
    PriorTerms.normalize(&popularity)
    self.popularity = popularity
  }

  /// Encodes a request.
  ///
  /// - Throws: what `subject` and `candidates` throw.
  public func encode(_ request: RankingRequest) throws(GLTAError) -> EncodedRequest {
    let subject = try subject(of: request)
    let (candidates, prior) = try candidates(for: request, subject)
    return EncodedRequest(
      view: subject.view, items: subject.items, user: subject.user, candidates: candidates, prior: prior)
  }

  /// For whom is ranked: all that the aligner needs, without a look at the catalogue, so that it need not wait for one.
  ///
  /// - Throws: `GLTAError.unknownUser` and `.unknownItem` for indices outside the bundle, `.invalidArgument` for a count
  ///   below one.
  public func subject(of request: RankingRequest) throws(GLTAError) -> EncodedSubject {
    try check(request)
    let items = items(of: request.subject)
    let user: Int? = if case .user(let index) = request.subject { index } else { nil }
    return EncodedSubject(
      view: UserView(items: items, graph: bundle.graph, historyLength: bundle.manifest.alignment.historyLength),
      items: items, user: user)
  }

  /// The candidates of a request, ascending, and their priors.
  ///
  /// - Parameter subject: the request's own.
  /// - Throws: `GLTAError.notEnoughItems` where fewer items remain than are asked for.
  public func candidates(
    for request: RankingRequest, _ subject: EncodedSubject
  ) throws(GLTAError) -> (candidates: [Int32], prior: [Float]) {
    let weights = bundle.manifest.weights
    let prior = terms(of: request.subject, items: subject.items, view: subject.view, weighted: weights).prior(weights)
    let candidates = try candidates(for: request, items: subject.items, prior: prior)
    return (candidates, candidates.map { prior[Int($0)] })
  }

  /// The terms of the prior over the whole catalogue.
  public func terms(of subject: RankingRequest.Subject) -> PriorTerms {
    let items = items(of: subject)
    return terms(of: subject, items: items, view: UserView(items: items, graph: bundle.graph, historyLength: 0))
  }

  /// - Parameter weights: terms without a weight stay zero, and are not computed.
  private func terms(
    of subject: RankingRequest.Subject, items: [Int32], view: UserView,
    weighted weights: BundleManifest.TermWeights? = nil
  ) -> PriorTerms {
    let none = [Float](repeating: 0, count: bundle.catalogue.count)
    var (graph, text) = (none, none)
    if weights?.graph != 0 {
      graph = graphItems.scores(userVector(of: subject, items: items, view: view)).elements
      PriorTerms.normalize(&graph)
    }
    if weights?.text != 0 {
      text = textItems.scores(meanText(of: items)).elements
      PriorTerms.normalize(&text)
    }
    return PriorTerms(graph: graph, text: text, popularity: popularity)
  }

  private func userVector(of subject: RankingRequest.Subject, items: [Int32], view: UserView) -> Matrix {
    switch subject {
    // Nobody's layer 0 has learned anything without a training item: such a user is somebody new, without any.
    case .user(let index) where !items.isEmpty: bundle.graph.users.slice(index..<index + 1)
    case .user, .items: Matrix(view.vector, rows: 1, columns: view.vector.count)
    }
  }

  private func meanText(of items: [Int32]) -> Matrix {
    let mean = Matrix(rows: 1, columns: bundle.textEmbeddings.columns)
    for item in items { Accumulate.add(mean.columns, bundle.textEmbeddings.row(Int(item)), to: mean.base) }
    return mean
  }

  /// The items that are known of the subject, ascending and each once.
  func items(of subject: RankingRequest.Subject) -> [Int32] {
    switch subject {
    case .user(let index): Array(bundle.split.train[index])
    case .items(let items): Set(items).sorted()
    }
  }

  // MARK: Candidates

  private func candidates(
    for request: RankingRequest, items: [Int32], prior: [Float]
  ) throws(GLTAError) -> [Int32] {
    let allowed = allowedItems(for: request, items: items)
    var candidates: [Int32]
    switch request.candidates {
    case .list(let list):
      candidates = Set(list).sorted().filter { allowed[Int($0)] }
    case .automatic:
      candidates = prior.indices.filter { allowed[$0] }.map(Int32.init)
      if prior.count > GraphEncoderStage.wholeCatalogue {
        candidates = best(GraphEncoderStage.retrieved, of: candidates, prior)
      }
    case .best(let count):
      candidates = best(count, of: prior.indices.filter { allowed[$0] }.map(Int32.init), prior)
    }
    guard candidates.count >= request.count else {
      throw GLTAError(
        .notEnoughItems,
        "\(request.count) items were asked for, but \(candidates.count) remain of \(prior.count) after candidates, history and filters",
        hint: "ask for at most \(candidates.count), or loosen the filters")
    }
    return candidates
  }

  private func allowedItems(for request: RankingRequest, items: [Int32]) -> [Bool] {
    var allowed = [Bool](repeating: request.allow == nil, count: bundle.catalogue.count)
    for item in request.allow ?? [] { allowed[Int(item)] = true }
    for item in request.exclude { allowed[Int(item)] = false }
    for item in items { allowed[Int(item)] = false }
    if case .user(let index) = request.subject, request.exclusion == .trainAndValidation {
      for item in bundle.split.validation[index] { allowed[Int(item)] = false }
    }
    return allowed
  }

  private func best(_ count: Int, of items: [Int32], _ prior: [Float]) -> [Int32] {
    guard items.count > count else { return items }
    let scores = Matrix(items.map { prior[Int($0)] }, rows: 1, columns: items.count)
    return Ranking.select(mode: .first, scores: scores, candidates: items, count: count).map(\.item).sorted()
  }

  private func check(_ request: RankingRequest) throws(GLTAError) {
    guard request.count > 0 else {
      throw GLTAError(.invalidArgument, "\(request.count) items were asked for; ask for at least one")
    }
    if case .user(let index) = request.subject, index < 0 || index >= bundle.userIDs.count {
      throw GLTAError(.unknownUser, "user \(index) of \(bundle.userIDs.count)")
    }
    var mentioned = request.exclude + (request.allow ?? [])
    if case .items(let items) = request.subject { mentioned += items }
    if case .list(let items) = request.candidates { mentioned += items }
    if let item = mentioned.first(where: { $0 < 0 || $0 >= bundle.catalogue.count }) {
      throw GLTAError(.unknownItem, "item \(item) of \(bundle.catalogue.count)")
    }
  }
}
