public import Bundles
public import GLTP
import GraphEncoding
import Interactions
public import LanguageModels
public import Mesh
import RankingStages
public import Tensors
import TokenAlignment

/// The token aligner as a service: from the instruction's input to the prompt.
public struct TokenAlignerService: StageHandler {
  /// Always `.aligner`.
  public var stage: Stage { .aligner }
  /// The bundle that it serves.
  public var bundle: BundleHash { served.hash }
  let served: ServedBundle
  let aligner: TokenAlignerStage

  /// - Parameters:
  ///   - tokenizer: that of the language model which the bundle was trained with.
  ///   - maximumLength: the model's longest sequence, in tokens.
  /// - Throws: `GLTAError.invalidArgument` where the bundle's template is not one.
  public init(_ served: ServedBundle, tokenizer: any TextTokenizer, maximumLength: Int) throws(GLTAError) {
    self.served = served
    aligner = try TokenAlignerStage(bundle: served.bundle, tokenizer: tokenizer, maximumLength: maximumLength)
  }

  /// The same with a language model's tokenizer that is loaded.
  ///
  /// - Throws: as above.
  public init(_ served: ServedBundle, _ text: LoadedTokenizer) throws(GLTAError) {
    try self.init(served, tokenizer: text.tokenizer, maximumLength: text.maximumLength)
  }

  /// The same with a language model that is loaded.
  ///
  /// - Throws: as above.
  public init(_ served: ServedBundle, _ languageModel: LoadedLanguageModel) throws(GLTAError) {
    try self.init(
      served, tokenizer: languageModel.tokenizer, maximumLength: languageModel.model.maximumLength)
  }

  /// Nothing is kept between runs.
  public func makeScratch() {}

  /// Waits for the instruction's input and answers with the prompt.
  public func run(_ exchange: some StageExchange, scratch: inout Void) throws(StageFailure) {
    guard case .instruction(let input) = try exchange.receive() else {
      throw StageFailure(.badRequest, "an aligner's run without the instruction's input")
    }
    let view = try view(of: input)
    let (items, user) = try subject(of: input, exchange.request)
    let prompt = try StageFailure.converting { () throws(GLTAError) in
      try aligner.align(view, items: items, user: user)
    }
    try exchange.send(.prompt(Prompt(prompt, in: exchange.buffers)), isFinal: true, flags: [])
    try exchange.end(nil)
  }

  private func view(of input: InstructionInput) throws(StageFailure) -> UserView {
    let view = UserView(vector: input.userVector.array(), history: input.history.array())
    guard view.vector.count == served.bundle.graph.users.columns else {
      throw StageFailure(
        .badRequest, "a user vector of \(view.vector.count), expected \(served.bundle.graph.users.columns)")
    }
    try check(view.history)
    return view
  }

  /// The items of the user, and who that is: the request's user where the input names no items (gltp-1.md 5.4).
  private func subject(
    of input: InstructionInput, _ request: StageRequest
  ) throws(StageFailure) -> (items: [Int32], user: Int?) {
    if let items = input.subjectItems?.array(of: Int32.self) {
      try check(items)
      return (items, nil)
    }
    guard case .run(let run) = request, let user = run.userID.flatMap({ served.user($0.string) }) else {
      throw StageFailure(.badRequest, "an instruction's input without items of a user whom the bundle does not know")
    }
    return (Array(served.bundle.split.train[user]), user)
  }

  /// They index the bundle's tables.
  private func check(_ items: [Int32]) throws(StageFailure) {
    let count = served.bundle.catalogue.count
    if let item = items.first(where: { $0 < 0 || $0 >= count }) {
      throw StageFailure(.badRequest, "item \(item) of \(count)")
    }
  }
}
