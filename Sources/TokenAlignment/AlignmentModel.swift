public import GraphEncoding
public import LogitsMatching
public import Tensors

/// What alignment learns: two projectors and the GLLM head. The language model and the graph embeddings are frozen.
public struct AlignmentModel: Sendable {
  /// Maps E_i to item tokens. Tuned in stage 2, frozen in stage 3.
  public var itemProjector: NodeProjector
  /// Maps the fold-in of a user's items, where the paper has E_u, to a user token. Tuned in stage 3.
  public var userProjector: NodeProjector
  /// The GLLM layer. Tuned in stages 2 and 3.
  public var head: GLLMHead

  /// A model of trained parts, all with the same D.
  public init(itemProjector: NodeProjector, userProjector: NodeProjector, head: GLLMHead) {
    self.itemProjector = itemProjector
    self.userProjector = userProjector
    self.head = head
  }

  /// A model before training.
  ///
  /// - Parameter tokens: the language model's token embeddings, vocabulary x D.
  public init(graph: GraphEmbeddings, tokens: Matrix, options: AlignmentOptions, seed: UInt64) {
    self.init(
      itemProjector: NodeProjector(nodes: graph.items, tokens: tokens, seed: seed, purpose: "item"),
      userProjector: NodeProjector(nodes: graph.users, tokens: tokens, seed: seed, purpose: "user"),
      head: GLLMHead(kind: options.head, items: graph.items.rows, hiddenSize: tokens.columns, seed: seed))
  }

  /// A model whose parameters are its own.
  public func copy() -> AlignmentModel {
    AlignmentModel(
      itemProjector: NodeProjector(weight: itemProjector.weight.copy(), bias: itemProjector.bias.copy()),
      userProjector: NodeProjector(weight: userProjector.weight.copy(), bias: userProjector.bias.copy()),
      head: GLLMHead(kind: head.kind, weight: head.weight.copy(), bias: head.bias.copy()))
  }

  /// The projected item tokens, |I| x D: V_i = W_i E_i + b_i of the paper's stage 2.
  public func itemTokens(_ graph: GraphEmbeddings, pool: ThreadPool) -> Matrix {
    itemProjector.project(graph.items, pool: pool)
  }
}
