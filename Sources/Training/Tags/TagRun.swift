import Bundles
import Foundation
public import Interactions
public import LanguageModels
public import Tensors
public import TokenAlignment

/// Asks a decoder for the tags of every item of a catalogue, several at once, and keeps each answer as soon as it is there.
public struct TagRun {
  /// What is asked for.
  public struct Options: Sendable {
    /// Tags that say what an item is; zero asks for none.
    public var tags = 6
    /// Words for what its users are likely to want; zero asks for none.
    public var interests = 6
    /// Words of an item's text that the model reads.
    public var wordsPerItem = 60
    /// Tokens of an answer for each word that is asked for, commas included.
    public var tokensPerWord = 5
    /// Items that are asked about at once.
    public var batch = 16

    /// Six of each.
    public init() {}

    /// - Throws: `GLTAError.invalidArgument` naming the number.
    func validate() throws(GLTAError) {
      try Setting.require("tags", tags, in: 0...64)
      try Setting.require("interests", interests, in: 0...64)
      guard tags + interests > 0 else {
        throw GLTAError(.invalidArgument, "neither tags nor interests are asked for")
      }
    }
  }

  /// The name in progress and messages.
  public static let stage = "tags of items"

  private let options: Options
  private let catalogue: ItemCatalogue
  private let generator: TextGenerator
  private let identity: String
  private let out: String
  private let known: TagFile?

  /// A run over the items of a catalogue that have a text.
  ///
  /// - Parameters:
  ///   - identity: tells this model from others (`LoadedLanguageModel.identity`).
  ///   - resume: whether answers that are in the file already are kept.
  /// - Throws: `GLTAError.invalidArgument` for options that cannot work, `.inputOutput` where a file is at `out` and is
  ///   not to be kept, `.invalidFile` where it holds something else.
  public init(
    options: Options, catalogue: ItemCatalogue, generator: TextGenerator, identity: String, out: String, resume: Bool
  ) throws(GLTAError) {
    try options.validate()
    self.options = options
    self.catalogue = catalogue
    self.generator = generator
    self.identity = identity
    self.out = out
    let exists = FileManager.default.fileExists(atPath: out)
    guard resume || !exists else {
      throw GLTAError(.inputOutput, "\(out) is there already", hint: "--resume goes on with it")
    }
    known = exists ? try TagFile(path: out) : nil
  }

  /// Asks for what the file does not have yet.
  ///
  /// - Parameter plan: is told what the run will hold in memory, before it asks.
  /// - Returns: items that were asked about, and items whose tags the file had.
  /// - Throws: `GLTAError.interrupted` where `progress` asked for it: what was written stays. Errors of the generator and
  ///   of the file.
  public func run(
    plan: (MemoryPlan) -> Void = { _ in }, progress: ProgressHandler
  ) throws(GLTAError) -> (asked: Int, known: Int) {
    let lock = try FileLock(path: out + ".lock")
    defer {
      withExtendedLifetime(lock) {}
      try? FileManager.default.removeItem(atPath: out + ".lock")
    }
    let questions = makeQuestions()
    let latest = known?.latest ?? [:]
    let open = questions.filter { latest[$0.id]?.hash != $0.hash }
    let writer = try TagFileWriter(path: out, keeping: known)
    let tagPrefix = try generator.sharedPrefix(of: questions.map(\.tagPrompt))
    let interestPrefix = try generator.sharedPrefix(of: questions.map(\.interestPrompt))
    plan(memoryPlan(of: open, prefixes: [tagPrefix, interestPrefix]))
    for start in stride(from: 0, to: open.count, by: options.batch) {
      let part = Array(open[start..<min(open.count, start + options.batch)])
      let tags = try answers(part.map(\.tagPrompt), after: tagPrefix, count: options.tags)
      let interests = try answers(part.map(\.interestPrompt), after: interestPrefix, count: options.interests)
      try writer.append(
        part.indices.map {
          TagFile.Line(id: part[$0].id, hash: part[$0].hash, tags: tags[$0], interests: interests[$0])
        })
      let done = start + part.count
      let goesOn = progress(
        TrainingProgress(stage: Self.stage, epoch: 1, epochs: 1, step: done, steps: open.count, loss: .nan))
      guard goesOn || done == open.count else { throw .stopped(Self.stage, after: "\(done) of \(open.count) items") }
    }
    return (open.count, questions.count - open.count)
  }

  private func memoryPlan(of questions: [Question], prefixes: [TextGenerator.SharedPrefix?]) -> MemoryPlan {
    generator.memoryPlan(
      prompts: min(options.batch, questions.count), length: longest(questions),
      prefixes: prefixes.compactMap { $0?.length }, maximumTokens: answerLength)
  }

  private func longest(_ questions: [Question]) -> Int {
    questions.map { max($0.tagPrompt.count, $0.interestPrompt.count) }.max() ?? 0
  }

  private struct Question {
    let id: String
    let tagPrompt: [Int32]
    let interestPrompt: [Int32]
    let hash: String
  }

  /// Tokens of an answer at the most.
  private var answerLength: Int { max(options.tags, options.interests) * options.tokensPerWord }

  /// The questions with as many worked examples as leave all of them room for an answer.
  private func makeQuestions() -> [Question] {
    for examples in stride(from: TagPrompt.mostExamples, to: 0, by: -1) {
      let questions = texts.map { question($0.item, $0.text, examples: examples) }
      if hasRoom(questions) { return questions }
    }
    return texts.map { item, text in
      var (text, question) = (text, question(item, text, examples: 0))
      while !hasRoom([question]), text.count > 1 {
        text = String(text.prefix(text.count / 2))
        question = self.question(item, text, examples: 0)
      }
      return question
    }
  }

  private func hasRoom(_ questions: [Question]) -> Bool {
    longest(questions) + answerLength <= generator.maximumLength
  }

  /// The items with a text. One without spaces has no end by words.
  private var texts: [(item: Int, text: String)] {
    (0..<catalogue.count).compactMap { item in
      let text = ItemText.text(of: item, in: catalogue, words: options.wordsPerItem)
      return text.isEmpty ? nil : (item, String(text.prefix(options.wordsPerItem * Self.charactersPerWord)))
    }
  }

  /// More than texts of words have on the average.
  private static let charactersPerWord = 16

  private func question(_ item: Int, _ text: String, examples: Int) -> Question {
    func ids(_ prompt: TagPrompt) -> [Int32] {
      generator.ids(ofPrompt: prompt.text(for: text, examples: examples))
    }
    let (tags, interests) = (ids(.tags(count: options.tags)), ids(.interests(count: options.interests)))
    var hasher = ContentHash()
    hasher.update("tags 2 \(identity) \(options.tags) \(options.interests) \(options.tokensPerWord)\n")
    hasher.update("\(tags) \(interests)")
    return Question(id: catalogue.ids[item], tagPrompt: tags, interestPrompt: interests, hash: hasher.finish())
  }

  private func answers(
    _ prompts: [[Int32]], after prefix: TextGenerator.SharedPrefix?, count: Int
  ) throws(GLTAError) -> [[String]] {
    guard count > 0 else { return prompts.map { _ in [] } }
    return try generator.answers(to: prompts, after: prefix, maximumTokens: count * options.tokensPerWord)
      .map { TagAnswer.tags(in: TagPrompt.firstLine(of: $0), count: count) }
  }
}
