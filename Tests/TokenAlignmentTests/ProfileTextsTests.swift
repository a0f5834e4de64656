import GraphEncoding
import Interactions
import Tensors
import TestSupport
import Testing
import TokenAlignment

struct ProfileTextsTests {
  private static let words = ["crime", "space", "garden"]
  private static let catalogue = ItemCatalogue(
    ids: (0..<6).map { "i\($0)" }, titles: (0..<6).map { "Title \($0)" },
    descriptions: [String](repeating: "", count: 6),
    categories: [["Crime"], ["Crime"], ["Space"], ["Space"], ["Garden"], ["Garden"]])
  private static let train = CSRMatrix(rowLists: [[0, 1], [2], [], [2, 3]], columns: 6)

  /// A reader that counts words: what is read is seen in the vector.
  private static func read(_ texts: [String]) -> Matrix {
    let result = Matrix(rows: texts.count, columns: 3)
    for (row, text) in texts.enumerated() {
      for (column, word) in words.enumerated() where text.lowercased().contains(word) { result[row, column] = 1 }
      // What is named first counts most.
      let named = text.lowercased().split { !$0.isLetter }.compactMap { words.firstIndex(of: String($0)) }
      if let first = named.first { result[row, first] += 2 }
    }
    return result
  }

  private static func profiles(_ source: ProfileSource) throws(GLTAError) -> NodeProfiles? {
    let texts = (0..<6).map { ItemText.text(of: $0, in: catalogue, words: 20) }
    return try ProfileTexts.profiles(
      from: source, catalogue: catalogue, texts: texts, itemEmbeddings: read(texts), train: train, pool: .serial
    ) { (texts) throws(GLTAError) in read(texts) }
  }

  private static func cosine(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>) -> Float { Accumulate.dot(3, a, b) }

  @Test(arguments: [ProfileSource.tags, .textsAndTags]) func tagsTellWhatPeopleAndItemsAreLike(source: ProfileSource)
    throws
  {
    let profiles = try #require(try Self.profiles(source))
    #expect(profiles.users.rows == 4 && profiles.items.rows == 6)
    #expect(Self.cosine(profiles.items.row(0), profiles.items.row(1)) > 0.9)
    #expect(Self.cosine(profiles.items.row(0), profiles.items.row(2)) < 0.1)
    #expect(Self.cosine(profiles.users.row(1), profiles.users.row(3)) > 0.9)
    #expect(Self.cosine(profiles.users.row(0), profiles.users.row(1)) < 0.1)
    #expect(profiles.users.slice(2..<3).elements == [0, 0, 0], "somebody without items has no profile")
  }

  @Test func textsNeedNoProfiles() throws { #expect(try Self.profiles(.texts) == nil) }
}
