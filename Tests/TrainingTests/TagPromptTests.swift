import LanguageModels
import Testing
import Training

/// What a decoder is asked, and what of its answers is taken.
struct TagPromptTests {
  private let prompt = TagPrompt(subject: .users, tags: 3, interests: 2)

  @Test func asksAfterWorkedExamplesOfTheSameForm() {
    let text = prompt.text(for: "Heat (1995); Casino (1995)", examples: 2)
    #expect(text.hasSuffix("\n\nLiked: Heat (1995); Casino (1995)\nTags:"))
    #expect(text.contains("Tags: science fiction, action, suspense\nAlso like: space travel, robots\n\nLiked: "))
    #expect(prompt.text(for: "Heat", examples: 0).hasSuffix("separated by commas.\n\nLiked: Heat\nTags:"))
    let interests = TagPrompt(subject: .items, tags: 0, interests: 2).text(for: "Heat", examples: 1)
    #expect(interests.hasSuffix("\n\nItem: Heat\nAlso like:") && !interests.contains("Tags:"))
  }

  @Test(arguments: [
    (
      " crime, heist, los angeles, police\nAlso like: guns, poker\n\nLiked: x", ["crime", "heist", "los angeles"],
      ["guns", "poker"]
    ),
    (" crime\n\nalso like: poker", ["crime"], ["poker"]),
    (" crime, heist\nLiked: Alien (1979)\n", ["crime", "heist"], []),
    ("\nAlso like: poker", [], ["poker"]),
    (" crime, crime, crime, crime", ["crime"], []),
    ("", [], []),
  ])
  func takesWhatAnAnswerHas(answer: String, tags: [String], interests: [String]) {
    let found = prompt.read(answer, isCutOff: false)
    #expect(found.tags == tags && found.interests == interests)
  }

  @Test func leavesOutWhatWasCutOff() {
    let found = prompt.read(" crime, heist\nAlso like: poker; the big ca", isCutOff: true)
    #expect(found.tags == ["crime", "heist"] && found.interests == ["poker"])
    #expect(prompt.read(" crime, hei", isCutOff: true).tags == ["crime"])
    #expect(prompt.read(" crim", isCutOff: true).tags.isEmpty)
  }

  @Test(
    arguments: [
      (" crime, heist", .goOn), (" crime, heist, police,", .say("\nAlso like:")), (" crime\n", .say("Also like:")),
      (" crime, crime, crime, crime, crime", .say("\nAlso like:")), ("\n crime", .goOn),
      (String(repeating: " word", count: 12), .say("\nAlso like:")), (" crime\nAlso like: guns", .goOn),
      (" crime\nAlso like: guns\n", .end), (" crime\nAlso like: guns, poker, cars", .end),
    ] as [(String, TextGenerator.AnswerStep)])
  func leadsAnAnswerThroughItsLines(answer: String, step: TextGenerator.AnswerStep) {
    #expect(prompt.step(after: answer) == step)
    #expect(TagPrompt(subject: .items, tags: 3, interests: 0).step(after: " crime\n") == .end)
  }
}
