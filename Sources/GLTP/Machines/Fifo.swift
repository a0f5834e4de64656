/// A queue in an array: amortised O(1), and the array keeps its room.
struct Fifo<Element: Sendable>: Sendable {
  private var elements = ContiguousArray<Element>()
  private var head = 0

  var count: Int { elements.count - head }
  var isEmpty: Bool { count == 0 }
  var first: Element? { isEmpty ? nil : elements[head] }

  mutating func append(_ element: Element) { elements.append(element) }

  mutating func removeFirst() {
    head += 1
    if head == elements.count {
      elements.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 64, 2 * head >= elements.count {
      elements.removeFirst(head)
      head = 0
    }
  }
}
