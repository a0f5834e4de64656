#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif
import CZeroMQ

/// The error of a system call that has just failed: what was tried, and `errno` in words.
func systemError(_ action: String, code: MeshError.Code = .inputOutput, hint: String? = nil) -> MeshError {
  MeshError(code, "cannot \(action): \(String(cString: strerror(errno)))", hint: hint)
}

/// The error of a ZeroMQ call that has just failed.
func zeroMQError(_ action: String, code: MeshError.Code = .inputOutput, hint: String? = nil) -> MeshError {
  MeshError(code, "cannot \(action): \(String(cString: zmq_strerror(zmq_errno())))", hint: hint)
}
