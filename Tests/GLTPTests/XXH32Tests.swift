import Testing

@testable import GLTP

@Suite struct XXH32Tests {
  @Test func emptyInput() {
    #expect(XXH32.hash(UnsafeRawBufferPointer(start: nil, count: 0)) == 0x02CC_5D05)
  }
}
