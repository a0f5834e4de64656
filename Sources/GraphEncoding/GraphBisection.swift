import Interactions
import Tensors

/// Recursive bisection of items by the users who have them (Dhulipala et al., KDD 2016, algorithm 1): halves exchange the
/// items that gain most by it, where an item gains if its users have more items in the other half; then each half does the
/// same. Time grows with edges times the logarithm of items. A function of the graph alone.
final class GraphBisection {
  private let train: CSRMatrix
  private let users: CSRMatrix
  /// Items of each user in the left and the right half at hand.
  private let counts: UnsafeMutablePointer<SIMD2<Int32>>
  /// log2(n + 1) for every number of items that a user may have in a half.
  private let logarithms: UnsafeMutablePointer<Float>
  private var gains: [Float]

  /// Parts of as many items are left as they are: rows of them fit in a processor's second cache.
  private static let part = 512
  /// Rounds of exchange for each bisection; more of them change little.
  private static let rounds = 6

  init(_ train: CSRMatrix) {
    self.train = train
    users = train.transposed()
    counts = .allocate(capacity: max(train.rows, 1))
    counts.initialize(repeating: .zero, count: max(train.rows, 1))
    let maximumDegree = (0..<train.rows).reduce(0) { max($0, train.degree($1)) }
    logarithms = .allocate(capacity: maximumDegree + 2)
    for count in 0..<maximumDegree + 2 {
      logarithms[count] = Float(logOf(Double(count + 1)) / logOf(2))
    }
    gains = [Float](repeating: 0, count: train.columns)
  }

  deinit {
    counts.deallocate()
    logarithms.deallocate()
  }

  /// The items in their new order.
  func order() -> [Int32] {
    var items = (0..<Int32(train.columns)).map { $0 }
    // Parts yet to be cut; a stack, since the depth of a recursion is not ours to choose.
    var parts = [0..<items.count]
    while let part = parts.popLast() {
      guard part.count > Self.part else { continue }
      let middle = part.lowerBound + part.count / 2
      for _ in 0..<Self.rounds {
        guard exchange(&items, part.lowerBound..<middle, middle..<part.upperBound) > part.count / 200 else { break }
      }
      parts += [part.lowerBound..<middle, middle..<part.upperBound]
    }
    return items
  }

  /// One round of exchanges; returns how many there were.
  private func exchange(_ items: inout [Int32], _ left: Range<Int>, _ right: Range<Int>) -> Int {
    count(items[left], items[right])
    let (leftLog, rightLog) = (log2(left.count), log2(right.count))
    for item in items[left] { gains[Int(item)] = gain(item, from: 0, fromLog: leftLog, toLog: rightLog) }
    for item in items[right] { gains[Int(item)] = gain(item, from: 1, fromLog: rightLog, toLog: leftLog) }
    for half in [left, right] {
      items[half].sort { (gains[Int($1)], $0) < (gains[Int($0)], $1) }
    }
    var exchanged = 0
    for (one, other) in zip(left, right) {
      guard gains[Int(items[one])] + gains[Int(items[other])] > 0 else { break }
      items.swapAt(one, other)
      exchanged += 1
    }
    return exchanged
  }

  private func count(_ left: ArraySlice<Int32>, _ right: ArraySlice<Int32>) {
    for half in [left, right] {
      for item in half { for user in users[Int(item)] { counts[Int(user)] = .zero } }
    }
    for item in left { for user in users[Int(item)] { counts[Int(user)].x &+= 1 } }
    for item in right { for user in users[Int(item)] { counts[Int(user)].y &+= 1 } }
  }

  /// How many bits fewer the users' lists would take as gaps, were the item in the other half.
  private func gain(_ item: Int32, from side: Int, fromLog: Float, toLog: Float) -> Float {
    var gain: Float = 0
    for user in users[Int(item)] {
      let both = counts[Int(user)]
      let (from, to) = side == 0 ? (Int(both.x), Int(both.y)) : (Int(both.y), Int(both.x))
      gain += bits(from, fromLog) + bits(to, toLog) - bits(from - 1, fromLog) - bits(to + 1, toLog)
    }
    return gain
  }

  @inline(__always)
  private func bits(_ count: Int, _ log: Float) -> Float { Float(count) * (log - logarithms[count]) }

  private func log2(_ count: Int) -> Float { Float(logOf(Double(count)) / logOf(2)) }
}
