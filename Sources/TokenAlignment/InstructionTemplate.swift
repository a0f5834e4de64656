public import Tensors

/// An instruction as a person writes it: plain text with places in braces.
///
/// ```
/// User {user} likes the items {items} User tags: {profile} ... {slots}
/// ```
/// A place stands for what alignment fills in: `{user}` the user token, `{items}` item tokens, `{texts}` item
/// descriptions, `{profile}` and `{prediction}` tags, `{slots}` the answer slots. Literal text is read as it stands.
public struct InstructionTemplate: Sendable, Equatable {
  /// What a place is filled with.
  public enum Place: String, Sendable, CaseIterable {
    /// The user token.
    case user
    /// Item tokens, one position each.
    case items
    /// Item descriptions, a separator token between two.
    case texts
    /// Tags that summarise the user's items, with commas between.
    case profile
    /// Tags of the user's likely interests, with commas between.
    case prediction
    /// Answer slots, one mask token each; the hidden states there become logits.
    case slots
  }

  enum Segment: Equatable {
    case text(String)
    case place(Place)
  }

  /// The template as it was written.
  public let source: String

  var segments: [Segment] { (try? InstructionTemplate.parse(source)) ?? [] }

  /// Reads a template as a person writes it.
  ///
  /// - Throws: `GLTAError.invalidArgument` for a place that does not exist, an open brace, or no answer slots.
  public init(_ source: String) throws(GLTAError) {
    let segments = try InstructionTemplate.parse(source)
    guard segments.filter({ $0 == .place(.slots) }).count == 1 else {
      throw GLTAError(
        .invalidArgument, "an instruction template needs {slots} exactly once: \"\(source)\"",
        hint: "answer slots stand where the model answers, usually at the end")
    }
    self.source = source
  }

  /// Makes sure of places without which a stage has nothing to learn from.
  ///
  /// - Throws: `GLTAError.invalidArgument` naming the one that is missing.
  package func require(_ places: [Place], for stage: String) throws(GLTAError) {
    for place in places where !segments.contains(.place(place)) {
      throw GLTAError(.invalidArgument, "the instruction template of \(stage) needs {\(place.rawValue)}: \"\(source)\"")
    }
  }

  /// Instruction (a) of the paper: put the descriptions in the order of the item tokens.
  public static let itemAlignment = builtIn(PackageResources.item_alignment_txt)
  /// Instruction (b) of the paper: select the items that the user interacts with.
  public static let userAlignment = builtIn(PackageResources.user_alignment_txt)

  /// Instruction (a) for decoders, who read in one direction: what is to be done stands first, where it is known before
  /// the items are read, and is computed once for all prompts (`InstructionWriter.opening`).
  public static let itemAlignmentOfDecoders = builtIn(PackageResources.item_alignment_decoder_txt)
  /// Instruction (b) for decoders.
  public static let userAlignmentOfDecoders = builtIn(PackageResources.user_alignment_decoder_txt)

  private init(trusted source: String) { self.source = source }

  private static func builtIn(_ bytes: [UInt8]) -> InstructionTemplate {
    InstructionTemplate(trusted: String(decoding: bytes.filter { $0 != 0x0A }, as: UTF8.self))
  }

  private static func parse(_ source: String) throws(GLTAError) -> [Segment] {
    var segments: [Segment] = []
    var rest = Substring(source)
    while let open = rest.firstIndex(of: "{") {
      if open > rest.startIndex { segments.append(.text(String(rest[..<open]))) }
      guard let close = rest[open...].firstIndex(of: "}") else {
        throw GLTAError(.invalidArgument, "an instruction template has an open brace: \"\(source)\"")
      }
      let name = String(rest[rest.index(after: open)..<close])
      guard let place = Place(rawValue: name) else {
        let known = Place.allCases.map { "{\($0.rawValue)}" }.joined(separator: " ")
        throw GLTAError(
          .invalidArgument, "an instruction template has the place {\(name)}; known are \(known)")
      }
      segments.append(.place(place))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { segments.append(.text(String(rest))) }
    return segments
  }
}
