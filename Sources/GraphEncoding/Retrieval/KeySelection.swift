/// The greatest of many keys, without sorting the rest.
enum KeySelection {
  /// Moves the `wanted` greatest of `count` keys to the front, the least of them to the last of these places (Hoare's
  /// quickselect).
  static func moveGreatest(_ wanted: Int, of keys: UnsafeMutablePointer<UInt64>, count: Int) {
    var (low, high) = (0, count - 1)
    // Each round leaves half of the keys, or so; orders that fool the choice of the pivot end in a sort.
    var rounds = 2 * (Int.bitWidth - count.leadingZeroBitCount)
    while low < high {
      guard rounds > 0 else {
        var rest = UnsafeMutableBufferPointer(start: keys + low, count: high - low + 1)
        return rest.sort(by: >)
      }
      rounds -= 1
      let (left, right) = part(keys, low, high)
      if wanted - 1 <= right {
        high = right
      } else if wanted - 1 >= left {
        low = left
      } else {
        return
      }
    }
  }

  /// Parts keys[low...high]: those up to `right` are not less than those from `left` on, what lies between is the pivot.
  private static func part(_ keys: UnsafeMutablePointer<UInt64>, _ low: Int, _ high: Int) -> (left: Int, right: Int) {
    let pivot = median(keys[low], keys[(low + high) / 2], keys[high])
    var (left, right) = (low, high)
    repeat {
      while keys[left] > pivot { left &+= 1 }
      while keys[right] < pivot { right &-= 1 }
      if left <= right {
        (keys[left], keys[right]) = (keys[right], keys[left])
        left &+= 1
        right &-= 1
      }
    } while left <= right
    return (left, right)
  }

  private static func median(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 { max(min(a, b), min(max(a, b), c)) }
}
