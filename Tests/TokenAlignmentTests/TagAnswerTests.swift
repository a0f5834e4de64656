import Testing
import TokenAlignment

/// What language models write when they are asked for tags.
struct TagAnswerTests {
  @Test(arguments: [
    ("war, love, space opera", ["war", "love", "space opera"]),
    ("1. War\n2) Love\n3. Space Opera.", ["war", "love", "space opera"]),
    ("Here are three tags:\n- **war**\n- \"love\"\n* space   opera", ["war", "love", "space opera"]),
    ("Tags: #war; #love | war, and Love", ["war", "love"]),
    ("This is a very long sentence about a film, war", ["war"]),
    ("1980s, 12 monkeys, 1984", ["1980s", "12 monkeys"]),
    ("Heat (1995), Casino (1995), (war)", ["heat", "casino", "war"]),
    ("The (1997), the big sleep, an", ["the big sleep"]),
    ("", []), ("\n,,;  \n1.\n", []), ("ほんとう, été", ["ほんとう", "été"]),
  ])
  func findsTagsInWhateverWasWritten(answer: String, tags: [String]) {
    #expect(TagAnswer.tags(in: answer, count: 6) == tags)
  }

  @Test func takesNoMoreThanAsked() { #expect(TagAnswer.tags(in: "a1, b, c, d", count: 2) == ["a1", "b"]) }
}
