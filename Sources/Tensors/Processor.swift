import CProcessor
import COpenBLAS

/// What the machine's arithmetic runs on: for diagnostics, and for programs that can still change it at start-up.
public enum Processor {
  /// The core type that OpenBLAS chose its kernels for, such as "SkylakeX" or "Zen".
  public static var openBLASCore: String { String(cString: openblas_get_corename()) }

  /// OpenBLAS's version and build.
  public static var openBLASVersion: String { String(cString: openblas_get_config()) }

  /// The value of OPENBLAS_CORETYPE that would serve this CPU better than what OpenBLAS chose, if any.
  ///
  /// Debian's OpenBLAS 0.3.21 does not know recent AMD cores and falls back to kernels of half the width. The variable is
  /// read when the library loads, so a program must set it and start itself again.
  public static var betterOpenBLASCore: String? {
    let wide: Set = ["SkylakeX", "Cooperlake", "SapphireRapids"]
    return glta_cpu_has_avx512() != 0 && !wide.contains(openBLASCore) ? "SKYLAKEX" : nil
  }

  /// What is wrong with this build on this CPU, in a sentence for the user, if anything.
  public static var buildWarning: String? {
    if glta_cpu_has_fma() != 0 && glta_build_uses_fma() == 0 {
      return
        "built for a baseline CPU: kernels run many times slower than they could. Build with `make build`, or pass "
        + "-Xswiftc -Xcc -Xswiftc -march=native"
    }
    return nil
  }

  /// The vectors that this build's kernels use.
  public static var vectors: String {
    glta_build_uses_avx512() != 0 ? "512-bit" : glta_build_uses_fma() != 0 ? "256-bit with FMA" : "baseline"
  }
}
