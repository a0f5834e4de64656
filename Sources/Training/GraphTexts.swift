import Bundles
import GraphEncoding
import Interactions
import LanguageModels
import Tensors
import TokenAlignment

/// What graph methods read of the items' texts, embedded by a language model and kept in the cache.
struct GraphTexts {
  let dataset: Dataset
  let languageModel: LoadedLanguageModel
  let pool: ThreadPool
  let reporter: TrainingRun.Reporter

  /// The items' texts in the order of the catalogue.
  var texts: [String] { ItemText.texts(of: dataset.catalogue, words: TrainingRun.wordsPerEmbedding) }

  /// |I| x D, as the model gives them.
  func items() throws(GLTAError) -> Matrix { try embed(texts, as: "item texts") }

  /// The profiles that the options ask for; nil where the method reads none, or means of texts.
  func profiles(
    _ options: GraphEncoderOptions, items: Matrix, train: CSRMatrix
  ) throws(GLTAError) -> NodeProfiles? {
    guard options.method.readsProfiles else { return nil }
    return try ProfileTexts.profiles(
      from: options.profiles, catalogue: dataset.catalogue, texts: texts, itemEmbeddings: items, train: train,
      pool: pool
    ) { (texts) throws(GLTAError) in try embed(texts, as: "profiles") }
  }

  private func embed(_ texts: [String], as stage: String) throws(GLTAError) -> Matrix {
    let embedder = TextEmbedder(model: languageModel.model, tokenizer: languageModel.tokenizer)
    return try TextCache.embeddings(of: texts, languageModelHash: languageModel.identity) { () throws(GLTAError) in
      reporter.say("reading \(texts.count) texts: \(stage)")
      return try embedder.embed(texts, pool: pool) { done in
        reporter.progress(
          TrainingProgress(stage: stage, epoch: 1, epochs: 1, step: done, steps: texts.count, loss: .nan))
      }
    }
  }
}
