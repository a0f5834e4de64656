public import LanguageModels
public import Tensors

/// A node of the graph that stands in a prompt as a soft token.
public enum Node: Sendable, Hashable {
  /// The user that the instruction is about.
  case user
  /// An item by its dense index.
  case item(Int32)
}

/// A prompt before nodes are projected: token ids, which positions hold nodes, and where the answers are read.
///
/// This is what crosses the wire from aligner to ranker, except that nodes cross as projected vectors.
public struct Instruction: Sendable, Equatable {
  /// One id per position; node positions hold the padding token, slots the mask token.
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
  private let start: Int32
  private let end: Int32
  private let mask: Int32
  private let padding: Int32
  private let separator: [Int32]
  private let maximumLength: Int

  /// A writer for one template. `maximumLength` counts all positions, those of the class and separator tokens included.
  public init(template: InstructionTemplate, tokenizer: WordPieceTokenizer, maximumLength: Int) {
    parts = template.segments.map { segment in
      switch segment {
      case .text(let text): .ids(tokenizer.encode(text))
      case .place(let place): .place(place)
      }
    }
    start = tokenizer.classToken
    end = tokenizer.separatorToken
    mask = tokenizer.maskToken ?? tokenizer.placeholderToken
    padding = tokenizer.padToken
    separator = tokenizer.encode(",")
    self.maximumLength = maximumLength
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
    instruction.tokenIDs.append(start)
    for part in parts {
      switch part {
      case .ids(let ids): instruction.tokenIDs += ids
      case .place(.user): if content.hasUser { append(.user, to: &instruction) }
      case .place(.items): for item in content.items { append(.item(item), to: &instruction) }
      case .place(.texts): append(content.texts, separatedBy: [end], to: &instruction)
      case .place(.profile): append(content.profile, separatedBy: separator, to: &instruction)
      case .place(.prediction): append(content.prediction, separatedBy: separator, to: &instruction)
      case .place(.slots):
        for _ in 0..<content.slots {
          instruction.slotPositions.append(instruction.length)
          instruction.tokenIDs.append(mask)
        }
      }
    }
    instruction.tokenIDs.append(end)
    return instruction
  }

  private func append(_ node: Node, to instruction: inout Instruction) {
    instruction.nodes.append(node)
    instruction.nodePositions.append(instruction.length)
    instruction.tokenIDs.append(padding)
  }

  private func append(_ lists: [[Int32]], separatedBy separator: [Int32], to instruction: inout Instruction) {
    for (index, list) in lists.enumerated() {
      if index > 0 { instruction.tokenIDs += separator }
      instruction.tokenIDs += list
    }
  }
}
