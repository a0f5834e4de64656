import Synchronization

/// Collects errors from the bodies of a parallel loop and throws the one with the lowest index, so that which error is
/// reported does not depend on which thread met one first.
public final class FirstFailure: Sendable {
  private let failure = Mutex<(index: Int, error: GLTAError)?>(nil)

  /// A collector for one loop, with nothing recorded yet.
  public init() {}

  /// Remembers `error` unless one of a lower index is known.
  public func record(_ error: GLTAError, at index: Int) {
    failure.withLock { failure in
      if failure.map({ index < $0.index }) ?? true { failure = (index, error) }
    }
  }

  /// Throws what was recorded; does nothing where nothing was.
  public func rethrow() throws(GLTAError) {
    if let failure = failure.withLock({ $0 }) { throw failure.error }
  }
}
