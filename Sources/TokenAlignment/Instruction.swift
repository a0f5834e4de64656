public import LanguageModels
public import Tensors

/// What stands in a prompt as a soft token: a node of the graph, or a learned place for an answer.
public enum Node: Sendable, Hashable {
  /// The user that the instruction is about.
  case user
  /// An item by its dense index.
  case item(Int32)
  /// An answer slot, where the model has no token for one.
  case slot
}

/// A prompt before nodes are projected: token ids, which positions hold nodes, and where the answers are read.
///
/// This is what crosses the wire from aligner to ranker, except that nodes cross as projected vectors.
public struct Instruction: Sendable, Equatable {
  /// One id per position; soft tokens' positions hold the filler, slots of a BERT the mask token.
  public var tokenIDs: [Int32] = []
  /// The nodes in the order of their positions.
  public var nodes: [Node] = []
  /// For each of `nodes` its position, from zero, ascending.
  public var nodePositions: [Int] = []
  /// The positions of the answer slots, ascending.
  public var slotPositions: [Int] = []

  /// An instruction without positions, for an `InstructionWriter` or a wire to fill.
  public init() {}

  /// The positions in all, L.
  public var length: Int { tokenIDs.count }

  /// The instruction behind its first positions, which hold neither nodes nor slots.
  func dropFirst(_ count: Int) -> Instruction {
    var rest = self
    rest.tokenIDs.removeFirst(count)
    rest.nodePositions = nodePositions.map { $0 - count }
    rest.slotPositions = slotPositions.map { $0 - count }
    return rest
  }
}

/// What fills the places of a template.
public struct InstructionContent: Sendable {
  /// Whether `{user}` becomes a user token; otherwise the place stays empty.
  public var hasUser = false
  /// Item tokens in order.
  public var items: [Int32] = []
  /// Texts in order, as token ids.
  public var texts: [[Int32]] = []
  /// Profile tags as token ids, best first.
  public var profile: [[Int32]] = []
  /// Prediction tags as token ids, best first.
  public var prediction: [[Int32]] = []
  /// The number of answer slots.
  public var slots = 1

  /// Content with one slot and nothing else.
  public init() {}
}

/// Lays instructions out over a model's tokens: a template tokenised once and filled many times.
public struct InstructionWriter: Sendable {
  private enum Part: Sendable {
    case ids([Int32])
    case place(InstructionTemplate.Place)
  }

  private let parts: [Part]
  private let start: [Int32]
  private let end: [Int32]
  /// nil where slots are soft tokens.
  private let mask: Int32?
  private let filler: Int32
  private let textSeparator: [Int32]
  private let tagSeparator: [Int32]
  private let maximumLength: Int

  /// A writer for one template.
  ///
  /// - Parameters:
  ///   - maximumLength: all positions, those that the model wants around a sequence included.
  ///   - hasSlotToken: whether slots are soft tokens (`AlignmentModel.slotToken`); otherwise they are [MASK].
  public init(
    template: InstructionTemplate, tokenizer: any TextTokenizer, maximumLength: Int, hasSlotToken: Bool = false
  ) {
    parts = template.segments.enumerated().map { index, segment in
      switch segment {
      case .text(let text): .ids(index == 0 ? tokenizer.encode(text.trimmed) : tokenizer.encodeWithin(text.trimmed))
      case .place(let place): .place(place)
      }
    }
    start = tokenizer.sequenceStart
    end = tokenizer.sequenceEnd
    mask = hasSlotToken ? nil : tokenizer.maskToken ?? tokenizer.fillerToken
    filler = tokenizer.fillerToken
    // An encoder knows two texts by the token between them; a decoder has read pages.
    textSeparator = tokenizer.sequenceEnd.isEmpty ? tokenizer.encodeBehind(";") : tokenizer.sequenceEnd
    tagSeparator = tokenizer.encodeBehind(",")
    self.maximumLength = maximumLength
  }

  /// What all of its instructions begin with: what the model wants before a text, and the template's words up to the first
  /// place.
  public var opening: [Int32] {
    guard case .ids(let ids) = parts.first else { return start }
    return start + ids
  }

  /// The instruction with its places filled.
  ///
  /// Where the prompt would be longer than the model's positions, content is dropped in this order until it fits: the
  /// last words of the longest text, the last prediction tags, the last profile tags, the last items. Slots and the
  /// template's own words are never dropped.
  ///
  /// - Throws: `GLTAError.invalidArgument` where the template's own words and the slots alone are too long.
  public func write(_ content: InstructionContent) throws(GLTAError) -> Instruction {
    var content = content
    var instruction = fill(content)
    while instruction.length > maximumLength {
      guard shorten(&content, by: instruction.length - maximumLength) else {
        throw GLTAError(
          .invalidArgument,
          "the instruction takes \(instruction.length) tokens without any content; the model takes \(maximumLength)",
          hint: "shorten the template or use fewer slots")
      }
      instruction = fill(content)
    }
    return instruction
  }

  private func shorten(_ content: inout InstructionContent, by excess: Int) -> Bool {
    if let longest = content.texts.indices.max(by: { content.texts[$0].count < content.texts[$1].count }),
      content.texts[longest].count > 1
    {
      let share = max(1, min(excess / content.texts.count, content.texts[longest].count - 1))
      content.texts[longest].removeLast(share)
    } else if !content.prediction.isEmpty {
      content.prediction.removeLast()
    } else if !content.profile.isEmpty {
      content.profile.removeLast()
    } else if !content.items.isEmpty {
      content.items.removeLast(min(excess, content.items.count))
    } else {
      return false
    }
    return true
  }

  private func fill(_ content: InstructionContent) -> Instruction {
    var instruction = Instruction()
    instruction.tokenIDs += start
    for part in parts {
      switch part {
      case .ids(let ids): instruction.tokenIDs += ids
      case .place(.user): if content.hasUser { append(.user, to: &instruction) }
      case .place(.items): for item in content.items { append(.item(item), to: &instruction) }
      case .place(.texts): append(content.texts, separatedBy: textSeparator, to: &instruction)
      case .place(.profile): append(content.profile, separatedBy: tagSeparator, to: &instruction)
      case .place(.prediction): append(content.prediction, separatedBy: tagSeparator, to: &instruction)
      case .place(.slots):
        for _ in 0..<content.slots {
          instruction.slotPositions.append(instruction.length)
          if let mask { instruction.tokenIDs.append(mask) } else { append(.slot, to: &instruction) }
        }
      }
    }
    instruction.tokenIDs += end
    return instruction
  }

  private func append(_ node: Node, to instruction: inout Instruction) {
    instruction.nodes.append(node)
    instruction.nodePositions.append(instruction.length)
    instruction.tokenIDs.append(filler)
  }

  private func append(_ lists: [[Int32]], separatedBy separator: [Int32], to instruction: inout Instruction) {
    for (index, list) in lists.enumerated() {
      if index > 0 { instruction.tokenIDs += separator }
      instruction.tokenIDs += list
    }
  }
}
