/// An array at a fixed address, for kernels: never written after `init`.
final class FixedArray<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
  let base: UnsafePointer<Element>
  let count: Int

  init(_ array: [Element]) {
    count = array.count
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(array.count, 1))
    for (index, element) in array.enumerated() { (memory + index).initialize(to: element) }
    base = UnsafePointer(memory)
  }

  deinit { base.deallocate() }

  subscript(index: Int) -> Element { base[index] }
}
