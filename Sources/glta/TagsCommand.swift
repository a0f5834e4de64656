import ArgumentParser
import Bundles
import Interactions
import LanguageModels
import Tensors
import Training

struct TagsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tags",
    abstract: "Let a decoder write tags for items, from which users' tags are voted.",
    discussion: """
      Each item's text is shown to the model, which names tags and likely interests. Answers are kept in --out as soon as \
      they are there; after a stop, the same command with --resume asks for the rest. `glta train --tags generated \
      --tags-file FILE` trains with them.
      """)

  @Option(help: ArgumentHelp("The data set: a directory or file of a format below.", valueName: "path"))
  var data: String
  @OptionGroup(title: "Data format") var format: FormatOptions
  @Option(help: ArgumentHelp("A decoder: a Hugging Face directory or a GGUF file.", valueName: "path"))
  var languageModel: String
  @Option(help: ArgumentHelp("The tags to write, a line of JSON for each item.", valueName: "file"))
  var out: String
  @Option(help: "Tags that say what an item is.")
  var tags = 6
  @Option(help: "Words for what its users are likely to want.")
  var interests = 6
  @Option(help: "Items that are asked about at once.")
  var batch = 16
  @Flag(help: "Keep what --out has and ask for the rest.")
  var resume = false
  @Flag(help: "Print the result as JSON.")
  var json = false
  @OptionGroup var precision: PrecisionOptions
  @OptionGroup var threading: ThreadOptions

  func validate() throws {
    guard (1...1_024).contains(batch) else { throw ValidationError("--batch is \(batch), expected 1 to 1024") }
  }

  func run() throws {
    let pool = threading.makePool()
    let catalogue = try format.load(data).catalogue
    let model = try LoadedLanguageModel(
      path: languageModel, precision: precision.precision ?? .stored, parts: .all, pool: pool)
    var options = TagRun.Options()
    (options.tags, options.interests, options.batch) = (tags, interests, batch)
    let run = try TagRun(
      options: options, catalogue: catalogue,
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
    print("\(out): tags of \(result.asked + result.known) items, \(result.known) of them known before")
    print("next: glta train --data \(data) --tags generated --tags-file \(out) ...")
  }

  private struct Result: Encodable {
    let file: String
    /// Items that were asked about, and items whose tags were there.
    let asked: Int
    let known: Int
    let memoryPlan: MemoryPlan
    let peakMemoryMiB: Int
  }
}
