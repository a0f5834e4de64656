public import LanguageModels
public import Tensors

/// Writes instruction (b) for a user: the one place where a user's items become a prompt, in training and in serving.
public struct UserInstructionWriter: Sendable {
  private let writer: InstructionWriter
  private let tags: TagTable
  private let tagIDs: [[Int32]]
  private let options: AlignmentOptions

  /// A writer for one bundle. Template and tags are tokenised here, once.
  public init(
    template: InstructionTemplate, tokenizer: any TextTokenizer, maximumLength: Int, hasSlotToken: Bool = false,
    tags: TagTable, options: AlignmentOptions
  ) {
    writer = InstructionWriter(
      template: template, tokenizer: tokenizer, maximumLength: maximumLength, hasSlotToken: hasSlotToken)
    self.tags = tags
    self.options = options
    tagIDs = tags.vocabulary.map { tokenizer.encodeWithin($0) }
  }

  /// What all of its instructions begin with.
  public var opening: [Int32] { writer.opening }

  /// The instruction of a user with the tags and slots of the options.
  ///
  /// - Parameters:
  ///   - view: the user's vector stands for the user token; its history are the item tokens.
  ///   - items: all items that the tags are voted by.
  ///   - user: whose tags a language model may have written; nil for somebody new.
  /// - Throws: `GLTAError.invalidArgument` where template and slots alone exceed the model's positions.
  public func write(view: UserView, items: [Int32], user: Int? = nil) throws(GLTAError) -> Instruction {
    let words = tags.tags(
      of: items, user: user, profileCount: options.profileTags, predictionCount: options.predictionTags)
    return try write(history: view.history, profile: words.profile, prediction: words.prediction, slots: options.slots)
  }

  /// The tokens of the longest instruction that a user with `history` items in it can get.
  ///
  /// - Throws: as `write`.
  func longest(history: Int) throws(GLTAError) -> Int {
    let longestTag = tagIDs.indices.max { tagIDs[$0].count < tagIDs[$1].count }
    func tags(_ count: Int) -> [Int32] { longestTag.map { Array(repeating: Int32($0), count: count) } ?? [] }
    return try write(
      history: Array(repeating: 0, count: min(history, options.historyLength)), profile: tags(options.profileTags),
      prediction: tags(options.predictionTags), slots: options.slots
    ).length
  }

  /// The instruction from its parts.
  ///
  /// - Parameters:
  ///   - history: item tokens, those that are dropped first standing last.
  ///   - profile, prediction: tags as indices of the table's vocabulary.
  /// - Throws: `GLTAError.invalidArgument` where template and slots alone exceed the model's positions.
  public func write(
    history: [Int32], profile: [Int32], prediction: [Int32], slots: Int
  ) throws(GLTAError) -> Instruction {
    var content = InstructionContent()
    content.hasUser = true
    content.items = history
    content.profile = profile.map { tagIDs[Int($0)] }
    content.prediction = prediction.map { tagIDs[Int($0)] }
    content.slots = slots
    return try writer.write(content)
  }
}
