public import Bundles
public import LanguageModels
import LogitsMatching
public import Tensors
public import TokenAlignment

/// What the token aligner sends to the ranker: a prompt whose text stands as ids and whose nodes stand as vectors.
public struct AlignedPrompt: Sendable {
  /// i32[L].
  public var tokenIDs: [Int32]
  /// bf16[S, D]: projected nodes, and the slots' token where it is learned. Rounding them is the aligner's business, so the tool and the mesh agree.
  public var softTokens: Tensor
  /// i32[S]: where they stand, ascending.
  public var softPositions: [Int32]
  /// i32[k]: where answers are read, ascending.
  public var slotPositions: [Int32]

  /// A prompt that came over the wire. Whether it fits a model is checked where it is read.
  public init(tokenIDs: [Int32], softTokens: Tensor, softPositions: [Int32], slotPositions: [Int32]) {
    self.tokenIDs = tokenIDs
    self.softTokens = softTokens
    self.softPositions = softPositions
    self.slotPositions = slotPositions
  }

  /// Whether its first positions hold these tokens, and neither soft tokens nor slots.
  func begins(with ids: [Int32]) -> Bool {
    tokenIDs.starts(with: ids) && (softPositions + slotPositions).allSatisfy { $0 >= ids.count }
  }

  /// The prompt behind its first positions, which hold neither soft tokens nor slots.
  func dropFirst(_ count: Int) -> AlignedPrompt {
    AlignedPrompt(
      tokenIDs: Array(tokenIDs.dropFirst(count)), softTokens: softTokens,
      softPositions: softPositions.map { $0 - Int32(count) }, slotPositions: slotPositions.map { $0 - Int32(count) })
  }
}

/// Stage two of serving: from a user's vector and history to a prompt. A pure function of the bundle and its input.
public struct TokenAlignerStage: Sendable {
  private let bundle: RecommenderBundle
  private let writer: UserInstructionWriter
  private let userWeight: PackedMatrix
  /// bf16[|I|, D]: rounded once, not for every prompt.
  private let itemTokens: Tensor
  /// bf16[1, D]; no rows where slots are the language model's own tokens.
  private let slotToken: Tensor

  /// - Throws: `GLTAError.invalidArgument` where the bundle's template is not one.
  public init(bundle: RecommenderBundle, tokenizer: any TextTokenizer, maximumLength: Int) throws(GLTAError) {
    self.bundle = bundle
    writer = UserInstructionWriter(
      template: try InstructionTemplate(bundle.manifest.userTemplate), tokenizer: tokenizer,
      maximumLength: maximumLength, hasSlotToken: bundle.alignment.slotToken != nil, tags: bundle.tags,
      options: bundle.manifest.alignment)
    userWeight = PackedMatrix(transposing: bundle.alignment.userProjector.weight)
    itemTokens = TokenAlignerStage.rounded(bundle.itemTokens)
    slotToken = TokenAlignerStage.rounded(
      bundle.alignment.slotToken ?? Matrix(rows: 0, columns: bundle.itemTokens.columns))
  }

  /// The prompt for somebody.
  ///
  /// - Parameters:
  ///   - items: all that is known of the user, ascending.
  ///   - user: who that is; nil for somebody new.
  /// - Throws: `GLTAError.invalidArgument` where template and slots exceed the model's positions.
  public func align(_ view: UserView, items: [Int32], user: Int?) throws(GLTAError) -> AlignedPrompt {
    let instruction = try writer.write(view: view, items: items, user: user)
    let hidden = bundle.itemTokens.columns
    let soft = Tensor(.bf16, shape: [instruction.nodes.count, hidden])
    for (row, node) in instruction.nodes.enumerated() {
      let (tokens, source) =
        switch node {
        case .user: (TokenAlignerStage.rounded(userToken(view.vector)), 0)
        case .item(let item): (itemTokens, Int(item))
        case .slot: (slotToken, 0)
        }
      let bytes = 2 * hidden
      (soft.storage.base + row * bytes).copyMemory(from: tokens.storage.base + source * bytes, byteCount: bytes)
    }
    return AlignedPrompt(
      tokenIDs: instruction.tokenIDs, softTokens: soft, softPositions: instruction.nodePositions.map(Int32.init),
      slotPositions: instruction.slotPositions.map(Int32.init))
  }

  private static func rounded(_ matrix: Matrix) -> Tensor {
    let tensor = Tensor(.bf16, shape: [matrix.rows, matrix.columns])
    let target = tensor.storage.base.assumingMemoryBound(to: BFloat16.self)
    for row in 0..<matrix.rows {
      let (source, start) = (matrix.row(row), row * matrix.columns)
      for column in 0..<matrix.columns { target[start + column] = BFloat16(source[column]) }
    }
    return tensor
  }

  private func userToken(_ vector: [Float]) -> Matrix {
    let projector = bundle.alignment.userProjector
    let token = Matrix(rows: 1, columns: projector.bias.columns)
    vector.withUnsafeBufferPointer { vector in
      guard let base = vector.baseAddress else { return }
      Product.multiply(
        rows: 1, a: base, rowStride: vector.count, b: userWeight, into: token.base, stride: token.columns,
        from: .bias(projector.bias.base))
    }
    return token
  }
}
