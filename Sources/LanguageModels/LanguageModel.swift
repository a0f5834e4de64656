public import Tensors

/// A frozen language model of any class: it reads tokens, or vectors that stand among them, and gives hidden states.
///
/// Weights get no gradients. A model has no state of its own, so any number of passes and threads share one.
public protocol LanguageModel: Sendable {
  /// The class as its configuration names it: "bert", "llama".
  var architecture: String { get }
  /// The columns of token embeddings and hidden states.
  var hiddenSize: Int { get }
  /// The longest sequence.
  var maximumLength: Int { get }
  /// Rows of the token embeddings; every id of the tokenizer is below it.
  var vocabularySize: Int { get }
  /// Whether a position sees only what stands before it, as in decoders: answers are then read after what they answer.
  var isCausal: Bool { get }

  /// The token embeddings of `ids`, ids.count x hiddenSize, in f32 whatever the weights are kept in.
  ///
  /// - Precondition: every id is in the vocabulary.
  func inputEmbeddings(_ ids: [Int32]) -> Matrix

  /// Memory for one sequence at a time. `pool` runs the loops inside; a pass that is itself run inside a loop is given
  /// `.serial`.
  func makePass(pool: ThreadPool) -> any LanguageModelPass

  /// What the model makes of tokens that many sequences begin with, computed once for all of them; nil where nothing can be
  /// kept: an encoder's first positions know what follows them.
  ///
  /// - Throws: what a pass throws.
  func readPrefix(_ ids: [Int32], pool: ThreadPool) throws(GLTAError) -> SharedPrefix?

  /// Bytes that a serial pass holds at the most for sequences of at most `length` tokens under a policy; what memory is
  /// planned with.
  func passBytes(length: Int, retention: Retention) -> Int

  /// Bytes of the weights.
  ///
  /// - Parameter forBackward: whether there are backward passes, for which some forms keep the numbers in another order,
  ///   too.
  func weightBytes(forBackward: Bool) -> Int

  /// Floating-point operations of a forward pass over `length` tokens: the products of weights and of attention. A
  /// backward pass to the inputs has as many.
  func operations(length: Int) -> Double
}

/// What a forward pass keeps for the backward pass.
public enum Retention: Sendable {
  /// Nothing: there is no backward pass.
  case nothing
  /// Everything that the backward pass reads.
  case activations
  /// The input of each layer; its activations are computed again on the way back (Chen et al., 2016).
  case layerInputs
}

/// One sequence on its way through a language model: the memory of its forward and, where wanted, its backward pass.
///
/// Sequences are never padded and no product spans two of them, so each costs its own length and has the same bits in
/// any batch. A pass is used for one sequence after another and keeps its memory; it is not to be used by two threads
/// at once.
public protocol LanguageModelPass: AnyObject {
  /// Bytes that the pass holds, used or left over from longer sequences.
  var byteCount: Int { get }

  /// The last hidden states of the wanted positions: `wanted.count` (or L) x hiddenSize, valid until the next call.
  ///
  /// - Parameters:
  ///   - inputEmbeddings: L x hiddenSize, before positions are added: token embeddings, or projected nodes among them.
  ///   - prefix: what stands before them; from `readPrefix` of the same model. No gradient goes there.
  ///   - wanted: rows of `inputEmbeddings`, ascending; the last layer computes no others. nil = all.
  ///   - retention: what is kept for `backward`.
  /// - Throws: `GLTAError.invalidArgument` where L is zero or beyond the model's positions.
  func forward(
    inputEmbeddings: Matrix, after prefix: SharedPrefix?, wanted: [Int]?, retention: Retention
  ) throws(GLTAError) -> Matrix

  /// The gradient of the input embeddings, L x hiddenSize, from that of the wanted hidden states, valid until the next
  /// call. Call it once after each `forward` that retained something.
  func backward(_ gradient: Matrix) -> Matrix
}

extension LanguageModelPass {
  /// The last hidden states of some positions without a backward pass.
  public func forward(
    inputEmbeddings: Matrix, after prefix: SharedPrefix? = nil, wanted: [Int]? = nil
  ) throws(GLTAError) -> Matrix {
    try forward(inputEmbeddings: inputEmbeddings, after: prefix, wanted: wanted, retention: .nothing)
  }

  /// The last hidden states of some positions with nothing before them.
  public func forward(
    inputEmbeddings: Matrix, wanted: [Int]?, retention: Retention
  ) throws(GLTAError) -> Matrix {
    try forward(inputEmbeddings: inputEmbeddings, after: nil, wanted: wanted, retention: retention)
  }
}
