/// A list whose first four elements lie inside of it: what is nearly always short, and is made anew for each request,
/// needs no memory of its own.
package struct ShortList<Element: Sendable>: Sendable {
  private var slots: (Element?, Element?, Element?, Element?)
  private var rest: [Element] = []
  package private(set) var count = 0

  package init() {}

  package var isEmpty: Bool { count == 0 }

  package mutating func append(_ element: Element) {
    switch count {
    case 0: slots.0 = element
    case 1: slots.1 = element
    case 2: slots.2 = element
    case 3: slots.3 = element
    default: rest.append(element)
    }
    count += 1
  }

  package mutating func popFirst() -> Element? {
    guard let first = slots.0 else { return nil }
    slots = (slots.1, slots.2, slots.3, rest.isEmpty ? nil : rest.removeFirst())
    count -= 1
    return first
  }

  package mutating func removeAll() {
    slots = (nil, nil, nil, nil)
    rest.removeAll()
    count = 0
  }
}

extension ShortList where Element: Equatable {
  /// How often an element is in the list.
  package func count(of element: Element) -> Int {
    var found = 0
    if slots.0 == element { found += 1 }
    if slots.1 == element { found += 1 }
    if slots.2 == element { found += 1 }
    if slots.3 == element { found += 1 }
    for other in rest where other == element { found += 1 }
    return found
  }
}
