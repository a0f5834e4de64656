import Tensors
import Testing

struct PhiloxTests {
  /// Known-answer vectors of the authors' Random123 distribution (philox4x32, 10 rounds).
  @Test func matchesReferenceVectors() {
    #expect(
      Philox(key: 0, stream: 0).words(at: 0) == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    #expect(
      Philox(key: .max, stream: .max).words(at: .max)
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    #expect(
      Philox(key: 0x299f31d0_a4093822, stream: 0x03707344_13198a2e).words(at: 0x85a308d3_243f6a88)
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }
}
