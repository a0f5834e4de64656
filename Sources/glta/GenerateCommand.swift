import ArgumentParser
import Bundles
import Foundation
import LanguageModels
import Tensors

extension ModelCommand {
  struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a decoder go on with a prompt, or answer it.",
      discussion: "The text is printed as it comes. Without --temperature, always the best token is taken.")

    @Option(help: ArgumentHelp("A decoder: a Hugging Face directory or a GGUF file.", valueName: "path"))
    var languageModel: String
    @Option(help: ArgumentHelp("What to go on with; with --chat, what to answer.", valueName: "text"))
    var prompt: String
    @Flag(help: "Ask by the model's chat template.")
    var chat = false
    @Option(help: ArgumentHelp("What stands above a chat.", valueName: "text"))
    var system: String?
    @Flag(help: "A model that thinks aloud before it answers a chat (Qwen3) answers at once.")
    var noThinking = false
    @Option(help: "Tokens to generate at most.")
    var maxTokens = 256
    @Option(help: "How freely tokens are drawn; 0 takes the best.")
    var temperature: Float = 0
    @Option(help: "Draw from so many of the best tokens only.")
    var topK: Int?
    @Option(help: "Draw from the best tokens whose probabilities reach this sum only.")
    var topP: Float = 1
    @Option(help: "The seed of what is drawn.")
    var seed: UInt64 = 42
    @Flag(help: "Print the text at its end, with figures, as JSON.")
    var json = false
    @OptionGroup var precision: PrecisionOptions
    @OptionGroup var threading: ThreadOptions

    func validate() throws {
      guard maxTokens >= 1 else { throw ValidationError("--max-tokens is \(maxTokens), expected at least 1") }
      guard system == nil || chat else { throw ValidationError("--system needs --chat") }
      guard !noThinking || chat else { throw ValidationError("--no-thinking needs --chat") }
    }

    func run() throws {
      let pool = threading.makePool()
      let loaded = try LoadedLanguageModel(
        path: languageModel, precision: precision.precision ?? .stored, parts: .all, pool: pool)
      let generator = try TextGenerator(model: loaded.model, tokenizer: loaded.tokenizer, pool: pool)
      let ids =
        chat
        ? try generator.ids(
          ofChat: (system.map { [ChatMessage(.system, $0)] } ?? []) + [ChatMessage(.user, prompt)],
          thinking: !noThinking)
        : generator.ids(ofPrompt: prompt)
      let length = loaded.model.maximumLength
      guard !ids.isEmpty, ids.count < length else {
        throw GLTAError(
          .invalidArgument,
          "the prompt has \(ids.count) tokens; the model reads 1 to \(length - 1) and writes the rest",
          hint: "shorten the prompt")
      }
      Interrupt.install()
      let options = GenerationOptions(
        maximumTokens: maxTokens, stopTokens: generator.stopTokens,
        sampling: SamplingOptions(temperature: temperature, topK: topK, topP: topP, seed: seed))
      let plan = generator.memoryPlan(prompts: 1, length: ids.count, maximumTokens: maxTokens)
      Terminal.note("\(plan)")
      let started = Date()
      var text = ""
      let continuation = try generator.generate(ids, options: options) { part in
        text += part
        if !json { FileHandle.standardOutput.write(Data(part.utf8)) }
        return !Interrupt.wasRequested
      }
      let (tokens, seconds) = (continuation.tokens.count, Date().timeIntervalSince(started))
      if json {
        return try Terminal.printJSON(
          Result(
            text: text, ending: continuation.ending, promptTokens: ids.count, tokens: tokens, seconds: seconds,
            memoryPlan: plan, peakMemoryMiB: ProcessUsage.peakMebibytes))
      }
      print()
      Terminal.note(
        String(
          format: "%d tokens after a prompt of %d in %.1f s, %.1f tokens/s, ended by %@", tokens, ids.count, seconds,
          Double(tokens) / max(seconds, 1e-6), continuation.ending.rawValue))
    }

    private struct Result: Encodable {
      let text: String
      let ending: Continuation.Ending
      let promptTokens: Int
      let tokens: Int
      let seconds: Double
      let memoryPlan: MemoryPlan
      let peakMemoryMiB: Int
    }
  }
}
