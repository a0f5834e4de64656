/// Tokens as byte strings, and their ids: one open-addressed table over one array of bytes.
///
/// Bytes, not `String`s: strings compare by canonical equivalence, tokens of byte-level vocabularies need not be whole
/// UTF-8, and a lookup of bytes needs no string.
struct TokenTable: Sendable {
  private var bytes: [UInt8] = []
  /// Where each entry starts; the next one's start is its end.
  private var starts: [Int] = [0]
  private var ids: [Int32] = []
  /// Entries by hash; -1 marks a free slot.
  private var slots: [Int32]

  /// - Parameter capacity: entries that will come, about.
  init(capacity: Int) {
    slots = Array(repeating: -1, count: TokenTable.slotCount(capacity))
    ids.reserveCapacity(capacity)
    starts.reserveCapacity(capacity + 1)
  }

  /// Adds a token; of a token that comes twice, the last id holds.
  mutating func insert(_ token: some Collection<UInt8>, id: Int32) {
    let start = bytes.count
    bytes.append(contentsOf: token)
    let slot = bytes.withUnsafeBufferPointer { self.slot(of: UnsafeBufferPointer(rebasing: $0[start...])) }
    guard slots[slot] < 0 else {
      ids[Int(slots[slot])] = id
      return bytes.removeSubrange(start...)
    }
    slots[slot] = Int32(truncatingIfNeeded: ids.count)
    ids.append(id)
    starts.append(bytes.count)
    if ids.count * 2 > slots.count { grow() }
  }

  /// The id of exactly these bytes.
  func id(of token: UnsafeBufferPointer<UInt8>) -> Int32? {
    let entry = slots[slot(of: token)]
    return entry < 0 ? nil : ids[Int(entry)]
  }

  /// The id of a text's UTF-8.
  func id(of text: String) -> Int32? {
    var text = text
    return text.withUTF8 { id(of: $0) }
  }

  /// The slot that holds a token, or the free one where it belongs.
  private func slot(of token: UnsafeBufferPointer<UInt8>) -> Int {
    var slot = TokenTable.hash(token) & (slots.count - 1)
    while slots[slot] >= 0, !holds(Int(slots[slot]), token) { slot = (slot + 1) & (slots.count - 1) }
    return slot
  }

  private func holds(_ entry: Int, _ token: UnsafeBufferPointer<UInt8>) -> Bool {
    let (start, end) = (starts[entry], starts[entry + 1])
    guard end - start == token.count else { return false }
    for index in 0..<token.count where bytes[start + index] != token[index] { return false }
    return true
  }

  /// FNV-1a, its upper bits mixed into the lower ones.
  private static func hash(_ token: UnsafeBufferPointer<UInt8>) -> Int {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in token { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return Int(truncatingIfNeeded: hash ^ (hash >> 32))
  }

  private static func slotCount(_ capacity: Int) -> Int {
    var count = 64
    while count < capacity * 2 { count *= 2 }
    return count
  }

  private mutating func grow() {
    slots = Array(repeating: -1, count: slots.count * 2)
    for entry in ids.indices {
      let slot = bytes.withUnsafeBufferPointer {
        self.slot(of: UnsafeBufferPointer(rebasing: $0[starts[entry]..<starts[entry + 1]]))
      }
      slots[slot] = Int32(truncatingIfNeeded: entry)
    }
  }
}
