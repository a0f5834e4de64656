import ArgumentParser
import Bundles
import Interactions
import LanguageModels
import Tensors
import TokenAlignment
import Training

struct TagsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tags",
    abstract: "Let a decoder write profile and prediction tags, for items or for users.",
    discussion: """
      --for items shows the model each item's text; a user's tags are then a vote of the user's items, for known and new \
      users alike. --for users shows it up to twelve titles of each user: training items that alignment does not predict, \
      so --split, --seed and --config must be those of the training. Somebody new has no tags of that kind and gets those \
      that are extracted. Answers are kept in --out as soon as they are there; after a stop, the same command with \
      --resume asks for the rest. `glta train --tags generated --tags-file FILE` trains with either kind.
      """)

  @Option(help: ArgumentHelp("The data set: a directory or file of a format below.", valueName: "path"))
  var data: String
  @OptionGroup(title: "Data format") var format: FormatOptions
  @Option(help: ArgumentHelp("A decoder: a Hugging Face directory or a GGUF file.", valueName: "path"))
  var languageModel: String
  @Option(help: ArgumentHelp("The tags to write, a line of JSON for each item or user.", valueName: "file"))
  var out: String
  @Option(name: .customLong("for"), help: "Whom or what tags are written for: items or users.")
  var subject = TagSubject.items
  @Option(help: "Tags that say what an item is, or what a user likes.")
  var tags = 6
  @Option(help: "Words for what is likely to be wanted.")
  var interests = 6
  @Option(help: "Answers that are written at once.")
  var batch = 16
  @Flag(help: "Keep what --out has and ask for the rest.")
  var resume = false
  @OptionGroup(title: "With --for users, as in training") var parting: SplitOptions
  @Option(help: ArgumentHelp("With --for users, the training's configuration.", valueName: "file"))
  var config: String?
  @Flag(help: "Print the result as JSON.")
  var json = false
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var threading: ThreadOptions

  func validate() throws {
    guard (1...1_024).contains(batch) else { throw ValidationError("--batch is \(batch), expected 1 to 1024") }
  }

  func run() throws {
    let pool = threading.makePool()
    let descriptions = try describe(try format.load(data))
    let model = try LoadedLanguageModel(
      path: languageModel, precision: precision.precision ?? .stored, parts: .all, pool: pool)
    var options = TagRun.Options()
    (options.tags, options.interests, options.batch) = (tags, interests, batch)
    let run = try TagRun(
      options: options, descriptions: descriptions,
      generator: try TextGenerator(model: model.model, tokenizer: model.tokenizer, pool: pool),
      identity: model.identity, out: out, resume: resume)
    Interrupt.install()
    let bar = ProgressBar()
    bar.begin()
    var plan = MemoryPlan([])
    let result = try run.run(
      plan: {
        plan = $0
        Terminal.note("\($0)")
      },
      progress: { progress in
        bar.update(progress)
        return !Interrupt.wasRequested
      })
    bar.close()
    if json {
      return try Terminal.printJSON(
        Result(
          file: out, asked: result.asked, known: result.known, memoryPlan: plan,
          peakMemoryMiB: ProcessUsage.peakMebibytes))
    }
    print("\(out): tags of \(result.asked + result.known) \(subject.rawValue), \(result.known) of them known before")
    print("next: glta train --data \(data) --tags generated --tags-file \(out) ...")
  }

  private struct Result: Encodable {
    let file: String
    /// Users or items that were asked about, and those whose tags were there.
    let asked: Int
    let known: Int
    let memoryPlan: MemoryPlan
    let peakMemoryMiB: Int
  }

  private func describe(_ dataset: Dataset) throws -> TagDescriptions {
    guard subject == .users else { return TagDescriptions(itemsOf: dataset.catalogue) }
    let configuration = try TrainCommand.configuration(parting.choices(), config: config)
    let split = try Splitter.split(dataset, method: configuration.splitMethod)
    return TagDescriptions(usersOf: dataset, visible: configuration.visibleParts(of: split).visible)
  }
}
