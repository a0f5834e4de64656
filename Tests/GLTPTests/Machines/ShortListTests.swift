import GLTP
import Testing

struct ShortListTests {
  @Test func itGivesBackWhatAnArrayWould() {
    var random = SplitMix(seed: 5)
    var list = ShortList<Int>()
    var array: [Int] = []
    for step in 0..<2_000 {
      switch Int.random(in: 0..<100, using: &random) {
      case 0:
        list.removeAll()
        array.removeAll()
      case 1..<50:
        #expect(list.popFirst() == array.first)
        array = Array(array.dropFirst())
      default:
        list.append(step % 5)
        array.append(step % 5)
      }
      #expect(list.count == array.count && list.isEmpty == array.isEmpty)
      #expect(list.count(of: 3) == array.count { $0 == 3 })
    }
  }
}
