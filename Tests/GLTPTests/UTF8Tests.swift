import GLTP
import Testing

struct UTF8Tests {
  @Test func onlyUTF8IsTakenForIt() {
    var random = SplitMix(seed: 9)
    // Pieces that are right, wrong, or right only beside the right neighbour, between runs of ASCII of any length.
    let pieces: [[UInt8]] = [
      [0xC3, 0xA9], [0xE2, 0x82, 0xAC], [0xF0, 0x9F, 0x8E, 0xAC], [0x80], [0xC0, 0x80], [0xED, 0xA0, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xFF],
    ]
    var counts = (valid: 0, invalid: 0)
    for _ in 0..<20_000 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0..<4, using: &random) {
        bytes += [UInt8](repeating: 0x61, count: Int.random(in: 0..<20, using: &random))
        bytes += pieces[Int.random(in: 0..<pieces.count, using: &random)]
      }
      let isValid = String(validating: bytes, as: UTF8.self) != nil
      #expect(bytes.withUnsafeBytes { $0.isUTF8 } == isValid)
      if isValid { counts.valid += 1 } else { counts.invalid += 1 }
    }
    #expect(counts.valid > 2_000 && counts.invalid > 2_000)
  }

  @Test func listsHoldWhatTheyAreGiven() throws {
    let pool = BufferPool()
    // Strings that are short, long, native, and lazily bridged from substrings.
    let strings = ["a", "ü", String(repeating: "né", count: 100), String("xxitem-1xx".dropFirst(2).dropLast(2))]
    #expect(try pool.strings(.rankingItems, strings).strings == strings)
  }
}
