import GLTP

/// What a gateway's runtime knows beside its state machine.
struct GatewayMeters: Sendable {
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  /// Runs that ended well, badly, and because they were no longer wanted.
  var runs: UInt64 = 0
  var failed: UInt64 = 0
  var cancelled: UInt64 = 0
  /// Encoder, aligner, ranker, over the last minute.
  private var stages = [StageLatencies](repeating: StageLatencies(), count: 3)

  mutating func record(
    _ stage: Stage, _ status: Status, _ timing: RunTiming?, _ flags: MessageFlags, at now: MonotonicTime
  ) {
    guard stage != .none, !flags.contains(.canary) else { return }
    switch status {
    case .ok: runs += 1
    case .cancelled, .deadline: cancelled += 1
    default: failed += 1
    }
    guard status == .ok, let timing else { return }
    stages[Int(stage.rawValue) - 1].record(timing, at: now)
  }

  func write(to json: inout JSONWriter, at now: MonotonicTime) {
    json.object("stages") { json in
      for (name, stage) in zip(GatewayReport.stageNames, stages) { stage.write(name, to: &json, at: now) }
    }
  }
}

extension GatewayReport {
  static let stageNames = ["encoder", "aligner", "ranker"]
  /// The largest REPORT (gltp-1.md 5.6).
  static let byteLimit = 256 << 10

  /// The report as JSON (gltp-1.md 5.6). Sessions for which there is no room are left out and counted.
  func json(_ configuration: Gateway.Configuration, _ meters: GatewayMeters, at now: MonotonicTime) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.value("role", "gateway")
      json.value("peer", configuration.name)
      json.value("build", configuration.build)
      json.array("bundles") { json in if let bundle { json.value(nil, "\(bundle)") } }
      json.value("slots", 0)
      json.value("running", inFlight)
      json.value("queued", waiting.reduce(0, +))
      json.value("credit_total", 0)
      json.value("runs", meters.runs)
      json.value("failed", meters.failed)
      json.value("cancelled", meters.cancelled)
      json.value("late", counters.late)
      json.value("bytes_in", meters.bytesIn)
      json.value("bytes_out", meters.bytesOut)
      json.value("resident_bytes", ResidentMemory.bytes)
      meters.write(to: &json, at: now)
      if let bundle { json.value("bundle", "\(bundle)") } else { json.null("bundle") }
      json.value("draining", isDraining)
      json.value("held_bytes", heldBytes)
      json.object("queue") { json in
        for (name, count) in zip(GatewayReport.stageNames, waiting) { json.value(name, count) }
      }
      writeRequests(to: &json)
      writeSessions(to: &json)
    }
    return json.bytes
  }

  private func writeRequests(to json: inout JSONWriter) {
    json.object("requests") { json in
      json.value("accepted", counters.accepted)
      json.value("in_flight", inFlight)
      json.object("by_status") { json in
        for (code, count) in counters.endsByStatus.enumerated() where count > 0 {
          json.value("\(Status(rawValue: UInt16(code)))", count)
        }
      }
      json.value("retries", counters.retries)
      json.value("late", counters.late)
      json.value("replacements", counters.replacements)
      json.value("duplicates", counters.duplicates)
      json.value("damaged", counters.damaged)
      json.value("violations", counters.violations)
      json.value("lost_sessions", counters.lostSessions)
    }
  }

  private func writeSessions(to json: inout JSONWriter) {
    var omitted = 0
    json.array("sessions") { json in
      // Workers first: there are fewer of them, and they matter more.
      for isWorker in [true, false] {
        for session in sessions where (session.role != .client) == isWorker {
          let room = GatewayReport.byteLimit - json.bytes.count - 64
          let full = session.json(withReport: true)
          let text = full.count <= room ? full : session.json(withReport: false)
          if text.count <= room { json.json(nil, text) } else { omitted += 1 }
        }
      }
    }
    if omitted > 0 { json.value("sessions_omitted", omitted) }
  }
}

extension GatewayReport.Session {
  fileprivate func json(withReport: Bool) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.value("session", session)
      json.value("role", "\(role)")
      if let name { json.value("peer", name.string) } else { json.null("peer") }
      if let build { json.value("build", build.string) } else { json.null("build") }
      if let bundle = bundles.first { json.value("bundle", "\(bundle)") } else { json.null("bundle") }
      json.value("slots", slots)
      json.value("credit", credit)
      json.value("in_flight", inFlight)
      json.value("age_ms", age.wholeMilliseconds)
      json.value("silence_ms", silence.wholeMilliseconds)
      json.value("draining", isDraining)
      let text = withReport ? report?.checkedJSON : nil
      if let text { json.json("report", text) } else { json.null("report") }
    }
    return json.bytes
  }
}

extension StatusReport {
  /// A worker's report, if it is JSON at all.
  fileprivate var checkedJSON: [UInt8]? { json.withUnsafeBytes { JSONCheck.isObject($0) ? Array($0) : nil } }
}
