import Bundles
import Foundation
public import LanguageModels
public import Tensors

/// Asks a decoder for the tags of every user or item, several at once, and keeps each answer as soon as it is there.
public struct TagRun {
  /// What is asked for.
  public struct Options: Sendable {
    /// Tags that say what an item is, or what a user likes; zero asks for none.
    public var tags = 6
    /// Words for what its users, or the user, are likely to want; zero asks for none.
    public var interests = 6
    /// Tokens of an answer for each word that is asked for, commas and labels included.
    public var tokensPerWord = 5
    /// Answers that are written at once.
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

  private let options: Options
  private let subject: TagSubject
  private let descriptions: [TagDescriptions.Description]
  private let prompt: TagPrompt
  private let generator: TextGenerator
  private let identity: String
  private let out: String
  private let known: TagFile?

  /// A run over all that is described.
  ///
  /// - Parameters:
  ///   - identity: tells this model from others (`LoadedLanguageModel.identity`).
  ///   - resume: whether answers that are in the file already are kept.
  /// - Throws: `GLTAError.invalidArgument` for options that cannot work, `.inputOutput` where a file is at `out` and is
  ///   not to be kept, `.invalidFile` where it holds something else, `.mismatch` where it holds tags of the other subject.
  public init(
    options: Options, descriptions: TagDescriptions, generator: TextGenerator, identity: String, out: String,
    resume: Bool
  ) throws(GLTAError) {
    try options.validate()
    self.options = options
    subject = descriptions.subject
    self.descriptions = descriptions.descriptions
    prompt = TagPrompt(subject: subject, tags: options.tags, interests: options.interests)
    self.generator = generator
    self.identity = identity
    self.out = out
    let exists = FileManager.default.fileExists(atPath: out)
    guard resume || !exists else {
      throw GLTAError(.inputOutput, "\(out) is there already", hint: "--resume goes on with it")
    }
    known = exists ? try TagFile(path: out) : nil
    if let known, known.subject != subject {
      throw GLTAError(
        .mismatch, "\(out) has tags for \(known.subject.rawValue), not for \(subject.rawValue)",
        hint: "give --for \(known.subject.rawValue), or another --out")
    }
  }

  /// Asks for what the file does not have yet.
  ///
  /// - Parameter plan: is told what the run will hold in memory, before it asks.
  /// - Returns: users or items that were asked about, and those whose tags the file had.
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
    let stage = "tags of \(subject.rawValue)"
    let questions = makeQuestions()
    let latest = known?.latest ?? [:]
    let open = questions.filter { latest[$0.id]?.hash != $0.hash }
    let writer = try TagFileWriter(path: out, subject: subject, keeping: known)
    let prefix = try generator.sharedPrefix(of: questions.map(\.prompt))
    plan(memoryPlan(of: open, prefix: prefix))
    for start in stride(from: 0, to: open.count, by: options.batch) {
      let part = Array(open[start..<min(open.count, start + options.batch)])
      try writer.append(try lines(for: part, after: prefix))
      let done = start + part.count
      let goesOn = progress(
        TrainingProgress(stage: stage, epoch: 1, epochs: 1, step: done, steps: open.count, loss: .nan))
      guard goesOn || done == open.count else {
        throw .stopped(stage, after: "\(done) of \(open.count) \(subject.rawValue)")
      }
    }
    return (open.count, questions.count - open.count)
  }

  private func memoryPlan(of questions: [Question], prefix: SharedPrefix?) -> MemoryPlan {
    generator.memoryPlan(
      prompts: min(options.batch, questions.count), length: longest(questions),
      prefixes: prefix.map { [$0.count] } ?? [],
      maximumTokens: answerTokens)
  }

  private func longest(_ questions: [Question]) -> Int { questions.map(\.prompt.count).max() ?? 0 }

  // MARK: Questions

  private struct Question {
    let id: String
    let items: [String]
    let prompt: [Int32]
    let hash: String
  }

  /// The questions with as many worked examples, and as much of a description, as leave all of them room for an answer.
  private func makeQuestions() -> [Question] {
    let most = descriptions.map(\.parts.count).max() ?? 0
    let fewer = sequence(first: most) { $0 > 1 ? $0 / 2 : nil }.map { (0, $0) }
    for (examples, parts) in (1...TagPrompt.mostExamples).reversed().map({ ($0, most) }) + fewer {
      let questions = descriptions.map { question($0, examples: examples, parts: parts) }
      if hasRoom(questions) { return questions }
    }
    return descriptions.map { description in
      var characters = description.parts.first?.count ?? 0
      var question = question(description, parts: 1)
      while !hasRoom([question]), characters > 1 {
        characters /= 2
        question = self.question(description, parts: 1, characters: characters)
      }
      return question
    }
  }

  private func hasRoom(_ questions: [Question]) -> Bool {
    longest(questions) + answerTokens <= generator.maximumLength
  }

  private func question(
    _ description: TagDescriptions.Description, examples: Int = 0, parts: Int, characters: Int = .max
  ) -> Question {
    let items = Array(description.items.prefix(parts))
    let text = description.parts.prefix(parts).joined(separator: "; ").prefix(characters)
    let ids = generator.ids(ofPrompt: prompt.text(for: String(text), examples: examples))
    var hasher = ContentHash()
    hasher.update("tags 4 \(identity) \(options.tags) \(options.interests) \(options.tokensPerWord)\n")
    hasher.update("\(ids) \(items)")
    return Question(id: description.id, items: items, prompt: ids, hash: hasher.finish())
  }

  private var answerTokens: Int { (options.tags + options.interests) * options.tokensPerWord }

  private func lines(for questions: [Question], after prefix: SharedPrefix?) throws(GLTAError) -> [TagFile.Line] {
    let answers = try generator.answers(
      to: questions.map(\.prompt), after: prefix, maximumTokens: answerTokens, step: prompt.step)
    return zip(questions, answers).map { question, answer in
      let (tags, interests) = prompt.read(answer.text, isCutOff: answer.isCutOff)
      return TagFile.Line(
        id: question.id, hash: question.hash, items: subject == .users ? question.items : nil, tags: tags,
        interests: interests)
    }
  }
}
