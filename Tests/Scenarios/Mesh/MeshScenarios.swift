import Foundation
import TestSupport
import Testing

/// What clients of a mesh of real processes see, numbered after the failure table.
@Suite(.serialized) struct MeshScenarios {
  private func numbers(_ report: [String: Any]) throws -> (requests: Int, ok: Int, errors: [String: Int]) {
    (
      try #require(report["requests"] as? Int), try #require(report["ok"] as? Int),
      try #require(report["errors"] as? [String: Int])
    )
  }

  @Test(arguments: ["slots", "first", "autoregressive"])
  func s01_ranksAsRecommendDoesBitForBit(mode: String) throws {
    let mesh = try ProcessMesh()
    let bundle = try ProcessMesh.World.get().bundle
    for user in 0..<10 {
      for more in [[], ["--candidates", "i0,i3,i5,i9,i11,i14,i20,i21,i25,i30,i31,i33"]] {
        let arguments = ["--user", "u\(user)", "--top", "3", "--mode", mode, "--json"] + more
        let expected = try Tool.run(["recommend", "--bundle", bundle] + arguments)
        guard expected.status == 0 else { continue }
        #expect(try answer(mesh.rank(arguments)) == answer(expected))
      }
    }
    for arguments in [
      ["--items", "i0,i8,i16", "--top", "5"], ["--user", "u4", "--top", "4", "--exclude", "i1,i2,i3,i4,i5"],
      ["--user", "u5", "--top", "2", "--allow", "i1,i2,i3,i4,i5,i6,i7,i8,i9,i10,i11,i12,i13,i14,i15,i16"],
    ] {
      let all = arguments + ["--mode", mode, "--json"]
      #expect(try answer(mesh.rank(all)) == answer(Tool.succeed(["recommend", "--bundle", bundle] + all)))
    }
  }

  @Test func s02_streamsSnapshotsThatAreCompleteAndEndsWithTheFinalOne() throws {
    let mesh = try ProcessMesh()
    let output = try mesh.rank(["--user", "u1", "--top", "4", "--stream", "--json"])
    #expect(output.status == 0, "\(output.error)")
    let snapshots = try output.out.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(snapshots.count >= 2)
    #expect(snapshots.first?["provisional"] as? Bool == true)
    #expect(snapshots.allSatisfy { ($0["items"] as? [Any])?.count == 4 })
    #expect(
      snapshots.dropLast().allSatisfy { $0["final"] as? Bool == false } && snapshots.last?["final"] as? Bool == true)
  }

  @Test func s03_aRankerKilledUnderLoadCostsNoRequest() throws {
    let mesh = try ProcessMesh(rankers: 2)
    let report = try mesh.load(["--rate", "120", "--duration", "10", "--requests", "1000"]) {
      sleep(2)
      try mesh.signal("ranker-0", SIGKILL)
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(requests == 1_000 && ok == 1_000 && errors.isEmpty, "\(report)")
  }

  @Test func s04_aStoppedRankerIsReplacedAndWelcomedBackWhenItWakes() throws {
    let mesh = try ProcessMesh(rankers: 2)
    let report = try mesh.load(["--rate", "40", "--duration", "12"]) {
      sleep(1)
      try mesh.signal("ranker-0", SIGSTOP)
      sleep(9)
      try mesh.signal("ranker-0", SIGCONT)
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(requests == ok && errors.isEmpty, "\(report)")
    try mesh.waitUntilReady(rankers: 2)
  }

  @Test func s05_aKilledGatewayIsLeftForTheOther() throws {
    let mesh = try ProcessMesh(gateways: 2)
    let report = try mesh.load(["--rate", "100", "--duration", "6"]) {
      sleep(2)
      try mesh.signal("gateway-0", SIGKILL)
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(Double(ok) >= 0.99 * Double(requests), "\(report)")
    #expect(ok + errors.values.reduce(0, +) == requests, "\(report)")
    // It comes back, and workers find it by themselves.
    try mesh.startGateway(0)
    try mesh.waitUntilReady()
  }

  @Test func s06_aLostEncoderOrAlignerRestartsTheRequest() throws {
    let mesh = try ProcessMesh()
    let report = try mesh.load(["--rate", "50", "--duration", "8"]) {
      for stage in ["encoder", "aligner"] {
        sleep(1)
        try mesh.signal(stage, SIGKILL)
        try mesh.start(stage)
      }
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(requests == ok && errors.isEmpty, "\(report)")
  }

  @Test func s07_workersJoinAndLeaveUnderLoadWithoutAFailedRequest() throws {
    let mesh = try ProcessMesh()
    let report = try mesh.load(["--concurrency", "4", "--duration", "8"]) {
      sleep(1)
      for stage in ["encoder", "aligner", "ranker"] { try mesh.start(stage, named: "second-\(stage)") }
      try mesh.waitUntilReady(encoders: 2, aligners: 2, rankers: 2)
      sleep(2)
      for stage in ["encoder", "aligner", "ranker"] { try mesh.signal("second-\(stage)", SIGTERM) }
      sleep(2)
      for stage in ["encoder", "aligner", "ranker"] {
        let process = try #require(mesh.processes["second-\(stage)"])
        #expect(!process.isRunning && process.terminationStatus == 0, "\(mesh.log("second-\(stage)"))")
      }
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(requests == ok && ok > 0 && errors.isEmpty, "\(report)")
  }

  @Test func s08_aNewBundleRollsOutUnderLoadWithoutAFailedRequest() throws {
    let mesh = try ProcessMesh()
    let world = try ProcessMesh.World.get()
    let report = try mesh.load(["--concurrency", "4", "--duration", "9"]) {
      sleep(1)
      for stage in ["encoder", "aligner", "ranker"] {
        try mesh.start(stage, named: "new-\(stage)", bundle: world.other)
      }
      try mesh.waitUntilReady(encoders: 2, aligners: 2, rankers: 2)
      sleep(1)
      for stage in ["encoder", "aligner", "ranker-0"] { try mesh.signal(stage, SIGTERM) }
    }
    let (requests, ok, errors) = try numbers(report)
    #expect(requests == ok && ok > 0 && errors.isEmpty, "\(report)")
    let arguments = ["--user", "u2", "--top", "5", "--json"]
    #expect(
      try answer(mesh.rank(arguments)) == answer(Tool.succeed(["recommend", "--bundle", world.other] + arguments)))
  }

  @Test func s09_whatIsNotKnownIsSaidToBeSo() throws {
    let mesh = try ProcessMesh()
    for (arguments, word) in [
      (["--user", "nobody"], "UNKNOWN_USER"), (["--items", "i0,i999"], "UNKNOWN_ITEM"),
      (["--user", "u1", "--top", "900"], "NOT_ENOUGH_ITEMS"),
    ] {
      let output = try mesh.rank(arguments)
      #expect(output.status != 0 && output.error.contains(word), "\(output.error)")
    }
  }

  @Test func s10_anExpiredDeadlineStillHasTheProvisionalRanking() throws {
    let mesh = try ProcessMesh()
    // The aligner sleeps: the prompt never comes, so that the ranker has candidates and priors alone.
    try mesh.signal("aligner", SIGSTOP)
    let output = try mesh.rank(["--user", "u1", "--top", "4", "--deadline", "1500", "--json"])
    #expect(output.status != 0 && output.json["status"] as? String == "DEADLINE", "\(output.out) \(output.error)")
    #expect(output.json["provisional"] as? Bool == true)
    #expect((output.json["items"] as? [Any])?.count == 4)
    try mesh.signal("aligner", SIGCONT)
  }

  @Test func s11_keysLetInWhoIsListedAndNobodyElse() throws {
    let folder = try TemporaryFolder()
    let (keys, others) = (folder.path + "/keys", folder.path + "/others")
    try Tool.succeed(["keys", "new", "--out", keys])
    try Tool.succeed(["keys", "new", "--out", others])
    try Tool.refuse(["keys", "new", "--out", keys], saying: ["never replaced"])
    let mesh = try ProcessMesh(keys: keys)
    let arguments = ["--user", "u1", "--top", "3", "--json"]
    #expect(try mesh.rank(arguments).status == 0)
    let gateway = ["--gateway", mesh.clientEndpoint()]
    for wrong in [[], ["--keys", others]] {
      let output = try Tool.run(["rank"] + gateway + wrong + arguments + ["--deadline", "2000"])
      #expect(output.status != 0 && output.json.isEmpty, "\(output.out)")
    }
    // A client's key does not make a worker: the role is in the list, and it is read again when it changes.
    let list = try String(contentsOfFile: keys + "/allow.list", encoding: .utf8)
    let without = list.split(separator: "\n").filter { !$0.hasSuffix(" client") }.joined(separator: "\n") + "\n"
    try without.write(toFile: keys + "/allow.list", atomically: true, encoding: .utf8)
    usleep(1_500_000)
    #expect(try Tool.run(["rank"] + mesh.clientArguments + arguments + ["--deadline", "2000"]).status != 0)
    try list.write(toFile: keys + "/allow.list", atomically: true, encoding: .utf8)
    usleep(1_500_000)
    #expect(try mesh.rank(arguments).status == 0)
  }

  @Test func s12_refusesToStandOpenOnAPublicAddress() throws {
    let program = URL(fileURLWithPath: Tool.path).deletingLastPathComponent().path + "/glta-gateway"
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["--clients", "tcp://0.0.0.0:29571", "--workers", "tcp://127.0.0.1:29572"]
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 1 && text.contains("insecure"), "\(text)")
  }

  @Test func s13_upStartsAMeshRestartsWhatDiesAndDrains() throws {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.path)
    let port = 19_000 + Int(getpid()) % 1_000
    process.arguments = [
      "up", "--bundle", try ProcessMesh.World.get().bundle, "--rankers", "2", "--gateways", "2", "--port", "\(port)",
    ]
    let log = try folder.write("up.log", "")
    process.standardError = FileHandle(forWritingAtPath: log)
    try process.run()
    defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    func said() -> String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
    func wait(for word: String) throws {
      let deadline = Date().addingTimeInterval(30)
      while !said().contains(word) {
        try #require(Date() < deadline, "no \"\(word)\" in \(said())")
        usleep(50_000)
      }
    }
    try wait(for: "ready after")
    for gateway in [port, port + 10] {
      try Tool.succeed(["rank", "--gateway", "tcp://127.0.0.1:\(gateway)", "--user", "u1", "--top", "2"])
    }
    let killing = Process()
    killing.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    killing.arguments = ["pkill", "-9", "-P", "\(process.processIdentifier)", "-f", "ranker-1"]
    try killing.run()
    killing.waitUntilExit()
    try wait(for: "starting it again")
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(
      try Tool.run(["rank", "--gateway", "tcp://127.0.0.1:\(port)", "--user", "u1", "--deadline", "500"]).status != 0)
  }
}
