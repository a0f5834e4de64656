#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a program has to do before anything else.
package enum StartUp {
  /// Makes the process as the kernels and the files want it.
  ///
  /// Starts the program again with OPENBLAS_CORETYPE where OpenBLAS misjudged the CPU: the variable is read when the
  /// library loads, which is before `main`.
  package static func prepareProcess() {
    // A peer that goes away must end a write with an error, not the process; so must a file beyond `ulimit -f`.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    let variable = "OPENBLAS_CORETYPE"
    guard getenv(variable) == nil, let core = Processor.betterOpenBLASCore else { return }
    setenv(variable, core, 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
    arguments.append(nil)
    // Returns only where it failed; then the slower kernels serve.
    execv("/proc/self/exe", arguments)
  }
}
