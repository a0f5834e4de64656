import Foundation
public import Tensors

/// The tokenizer of a model, whatever its class.
public enum Tokenizers {
  /// Reads the tokenizer of a model: a Hugging Face directory with `tokenizer.json` or `vocab.txt`, or a GGUF file.
  ///
  /// - Throws: `GLTAError.unsupported` for a tokenizer of another class or with a step that is not supported, naming it;
  ///   `.invalidFile` where a file is damaged; `.inputOutput` where there is none.
  public static func load(_ path: String) throws(GLTAError) -> any TextTokenizer {
    if isFile(path) { return try BPETokenizer(gguf: path) }
    let json = path + "/tokenizer.json"
    if FileManager.default.fileExists(atPath: json) {
      let reader = try TokenizerJSON(path: json)
      if reader.isBPE { return try BPETokenizer(try reader.bpeDefinition(directory: path)) }
    } else if FileManager.default.fileExists(atPath: path + "/tokenizer.model") {
      throw GLTAError(
        .unsupported, "\(path) has a tokenizer.model and no tokenizer.json",
        hint: "save it again with Python's transformers: "
          + "AutoTokenizer.from_pretrained(directory).save_pretrained(directory)")
    }
    return try WordPieceTokenizer(directory: path)
  }

  private static func isFile(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && !isDirectory.boolValue
  }
}

extension BPETokenizer {
  /// Reads `tokenizer.json` and its companions of a Hugging Face directory.
  ///
  /// - Throws: as `Tokenizers.load`.
  public init(directory: String) throws(GLTAError) {
    let reader = try TokenizerJSON(path: directory + "/tokenizer.json")
    guard reader.isBPE else {
      throw GLTAError(.unsupported, "\(directory)/tokenizer.json: the model is not BPE")
    }
    try self.init(try reader.bpeDefinition(directory: directory))
  }

  /// Reads the metadata of a GGUF file: classes "gpt2" and "llama".
  ///
  /// - Throws: as `Tokenizers.load`; what `GGUFFile` throws.
  public init(gguf path: String) throws(GLTAError) {
    try self.init(file: try GGUFFile(path: path))
  }

  /// Reads the metadata of a GGUF file that is open.
  ///
  /// - Throws: as `Tokenizers.load`.
  public init(file: GGUFFile) throws(GLTAError) {
    try self.init(try BPEDefinition(gguf: file))
  }
}
