import GLTP

/// Tells a state machine that its next timer has come: one turn of the loop late, so that a process that was stopped
/// first takes in the messages that wait for it. Used on the loop's thread only.
final class MachineTimer {
  private var timer: LoopTimer?
  private var isDue = false

  /// - Parameter fire: hands `.timer` to the machine.
  init(loop: EventLoop, fire: @escaping () -> Void) {
    timer = loop.makeTimer { [weak self] in
      guard let self else { return }
      if self.isDue {
        self.isDue = false
        fire()
      } else {
        self.isDue = true
        self.timer?.arm(at: .now)
      }
    }
  }

  /// Fires at the machine's `nextTimer`, or before: one that is early asks again, and most events move the next time
  /// further away.
  func arm(at next: MonotonicTime) {
    guard let timer, !isDue else { return }
    let next = MonotonicInstant(next)
    if let armed = timer.deadline, armed <= next { return }
    if next.nanoseconds < .max { timer.arm(at: next) }
  }

  func disarm() { timer?.disarm() }
}
