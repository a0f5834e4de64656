/// The allow-list that a listener asks: fixed, or a file that is read again when it changes.
///
/// Fails closed: while the file is missing or wrong, no new peer is let in; those that are connected stay. Peers whose
/// key a new list no longer has, or gives another role, are cut. Used on the loop's thread only.
package final class AllowListSource: @unchecked Sendable {
  /// The list in force; nil while the file cannot be used.
  package private(set) var list: AllowList?
  /// Why the file cannot be used.
  package private(set) var failure: MeshError?

  private let path: String?
  private var version: SmallFile.Version?
  private var timer: LoopTimer?
  private var observers: [(owner: WeakOwner, changed: () -> Void)] = []
  private let report: (AllowListSource) -> Void

  private struct WeakOwner {
    weak var object: AnyObject?
  }

  /// A list that does not change.
  package init(_ list: AllowList) {
    self.list = list
    path = nil
    report = { _ in }
  }

  /// The list in the file at `path`.
  ///
  /// - Parameters:
  ///   - interval: how often the file is looked at.
  ///   - report: called on the loop's thread after every reading but the first, for the log.
  /// - Throws: `MeshError.inputOutput` or `.invalidFile` if the file cannot be used to begin with.
  package init(
    contentsOf path: String, loop: EventLoop, interval: Duration = .milliseconds(500),
    report: @escaping (AllowListSource) -> Void = { _ in }
  ) throws(MeshError) {
    loop.assertOnLoop()
    self.path = path
    self.report = report
    let content = try SmallFile.read(path)
    version = content.version
    list = try AllowList(text: content.text, source: path)
    let timer = loop.makeTimer { [weak self] in self?.look(again: interval) }
    self.timer = timer
    timer.arm(after: interval)
  }

  /// The role of `key`, if it may connect now.
  func role(of key: CurvePublicKey) -> PeerRole? { list?.roles[key] }

  /// Whether a connected peer may stay.
  func allows(_ identity: PeerIdentity) -> Bool { list.map { $0.roles[identity.key] == identity.role } ?? true }

  /// Has `changed` called whenever a new list is in force, as long as `owner` lives.
  func observe(_ owner: AnyObject, _ changed: @escaping () -> Void) {
    observers.append((WeakOwner(object: owner), changed))
  }

  private func look(again interval: Duration) {
    defer { timer?.arm(after: interval) }
    guard let path else { return }
    let found = SmallFile.version(of: path)
    guard found == nil || found != version else { return }
    if found == nil, version == nil, failure != nil { return }
    do throws(MeshError) {
      let content = try SmallFile.read(path)
      version = content.version
      list = try AllowList(text: content.text, source: path)
      failure = nil
    } catch {
      if found == nil { version = nil }
      list = nil
      failure = error
    }
    observers.removeAll { $0.owner.object == nil }
    for observer in observers { observer.changed() }
    report(self)
  }
}
