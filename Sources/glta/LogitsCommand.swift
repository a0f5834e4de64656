import ArgumentParser
import LanguageModels
import Tensors

extension ModelCommand {
  struct Logits: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write a decoder's logits of some tokens to a safetensors file.",
      discussion: "One tensor, logits, f32: a row for each token, a column for each entry of the vocabulary.")

    @Argument(help: ArgumentHelp("A Hugging Face directory or a GGUF file.", valueName: "path"))
    var path: String
    @Option(help: ArgumentHelp("Token ids, as `glta model tokenize` gives them.", valueName: "1,2,..."))
    var ids: String
    @Option(help: ArgumentHelp("The file to write.", valueName: "file"))
    var out: String
    @OptionGroup var precision: PrecisionOptions
    @OptionGroup var threading: ThreadOptions

    func run() throws {
      let pool = threading.makePool()
      let model = try DecoderModel(path: path, precision: precision.precision ?? .stored, pool: pool)
      let ids = try ids.split(separator: ",").map { try id($0, below: model.vocabularySize) }
      let states = try DecoderPass(model: model, pool: pool).forward(ids: ids)
      let logits = try model.logits(states, pool: pool)
      try SafetensorsWriter.write([("logits", logits.tensor)], metadata: [:], to: out)
    }

    private func id(_ text: Substring, below count: Int) throws(GLTAError) -> Int32 {
      guard let id = Int32(text), id >= 0, id < count else {
        throw GLTAError(.invalidArgument, "\"\(text)\" among --ids, expected numbers from 0 to \(count - 1)")
      }
      return id
    }
  }
}
