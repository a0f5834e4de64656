public import GraphEncoding
public import LanguageModels
public import LogitsMatching
public import Tensors

/// What alignment learns: two projectors, the GLLM head and, for decoders, the answer slot's token. The language model and
/// the graph embeddings are frozen.
public struct AlignmentModel: Sendable {
  /// Maps E_i to item tokens. Tuned in stage 2, frozen in stage 3.
  public var itemProjector: NodeProjector
  /// Maps the fold-in of a user's items, where the paper has E_u, to a user token. Tuned in stage 3.
  public var userProjector: NodeProjector
  /// The GLLM layer. Tuned in stages 2 and 3.
  public var head: GLLMHead
  /// The soft token that stands in every answer slot, 1 x D; nil where the language model has a [MASK] of its own. Tuned
  /// in stages 2 and 3.
  public var slotToken: Matrix?

  /// A model of trained parts, all with the same D.
  public init(
    itemProjector: NodeProjector, userProjector: NodeProjector, head: GLLMHead, slotToken: Matrix? = nil
  ) {
    self.itemProjector = itemProjector
    self.userProjector = userProjector
    self.head = head
    self.slotToken = slotToken
  }

  /// A model before training, for a language model and its tokenizer.
  public init(
    graph: GraphEmbeddings, model: any LanguageModel, tokenizer: any TextTokenizer, options: AlignmentOptions,
    seed: UInt64
  ) {
    self.init(
      graph: graph, tokens: TokenStatistics(model),
      hasSlotToken: AlignmentModel.needsSlotToken(model: model, tokenizer: tokenizer), options: options, seed: seed)
  }

  /// A model before training.
  ///
  /// - Parameters:
  ///   - tokens: those of the language model.
  ///   - hasSlotToken: whether answer slots are learned.
  public init(
    graph: GraphEmbeddings, tokens: TokenStatistics, hasSlotToken: Bool = false, options: AlignmentOptions,
    seed: UInt64
  ) {
    self.init(
      itemProjector: NodeProjector(nodes: graph.items, tokens: tokens, seed: seed, purpose: "item"),
      userProjector: NodeProjector(nodes: graph.users, tokens: tokens, seed: seed, purpose: "user"),
      head: GLLMHead(kind: options.head, items: graph.items.rows, hiddenSize: tokens.mean.columns, seed: seed),
      slotToken: hasSlotToken ? tokens.typicalToken() : nil)
  }

  /// Whether answer slots need a token of their own: decoders were never taught to fill a place in.
  public static func needsSlotToken(model: any LanguageModel, tokenizer: any TextTokenizer) -> Bool {
    model.isCausal || tokenizer.maskToken == nil
  }

  /// All parameters by their names, in the order in which files have them.
  public var matrices: [(name: String, value: Matrix)] {
    itemProjector.named("item_projector") + userProjector.named("user_projector") + headAndSlot
  }

  /// What stages 2 and 3 both tune.
  var headAndSlot: [(name: String, value: Matrix)] {
    [("head.weight", head.weight), ("head.bias", head.bias)] + (slotToken.map { [("slot_token", $0)] } ?? [])
  }

  /// A model whose parameters are its own.
  public func copy() -> AlignmentModel {
    AlignmentModel(
      itemProjector: NodeProjector(weight: itemProjector.weight.copy(), bias: itemProjector.bias.copy()),
      userProjector: NodeProjector(weight: userProjector.weight.copy(), bias: userProjector.bias.copy()),
      head: GLLMHead(kind: head.kind, weight: head.weight.copy(), bias: head.bias.copy()),
      slotToken: slotToken?.copy())
  }

  /// The projected item tokens, |I| x D: V_i = W_i E_i + b_i of the paper's stage 2.
  public func itemTokens(_ graph: GraphEmbeddings, pool: ThreadPool) -> Matrix {
    itemProjector.project(graph.items, pool: pool)
  }
}
