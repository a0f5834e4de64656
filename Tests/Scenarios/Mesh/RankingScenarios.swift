import Foundation
import MeshTesting
import TestSupport
import Testing

/// Rankings of a mesh in which nothing fails.
extension MeshScenarios {
  @Test(arguments: ["slots", "first", "autoregressive"])
  func s01_ranksAsRecommendDoesBitForBit(mode: String) async throws {
    let mesh = try await ProcessMesh.small()
    let bundle = mesh.configuration.bundle
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
    await mesh.stop()
  }

  @Test func s02_streamsSnapshotsThatAreCompleteAndEndsWithTheFinalOne() async throws {
    let mesh = try await ProcessMesh.small()
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
    await mesh.stop()
  }

  @Test func s03_whatIsNotKnownIsSaidToBeSo() async throws {
    let mesh = try await ProcessMesh.small()
    for (arguments, word) in [
      (["--user", "nobody"], "UNKNOWN_USER"), (["--items", "i0,i999"], "UNKNOWN_ITEM"),
      (["--user", "u1", "--top", "900"], "NOT_ENOUGH_ITEMS"), (["--user", "nobody"], "no user \"nobody\""),
    ] {
      let output = try mesh.rank(arguments)
      #expect(output.status != 0 && output.error.contains(word), "\(output.error)")
    }
    await mesh.stop()
  }

  @Test func s04_anExpiredDeadlineStillHasTheProvisionalRanking() async throws {
    let mesh = try await ProcessMesh.small()
    // The aligner sleeps: the prompt never comes, so that the ranker has candidates and priors alone.
    try mesh.signal("aligner-0", SIGSTOP)
    let output = try mesh.rank(["--user", "u1", "--top", "4", "--deadline", "1500", "--json"])
    #expect(output.status != 0 && output.json["status"] as? String == "DEADLINE", "\(output.out) \(output.error)")
    #expect(output.json["provisional"] as? Bool == true)
    #expect((output.json["items"] as? [Any])?.count == 4)
    await mesh.stop()
  }

  @Test func s05_upStartsAMeshRestartsWhatDiesAndDrains() async throws {
    let folder = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Tool.path)
    let port = try #require(FreePorts.first(of: 20))
    process.arguments = [
      "up", "--bundle", try ServedWorld.get().bundle, "--rankers", "2", "--gateways", "2", "--port", "\(port)",
    ]
    let log = try folder.write("up.log", "")
    process.standardError = FileHandle(forWritingAtPath: log)
    try process.run()
    defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    func wait(for word: String) async throws {
      let end = ContinuousClock.now + .seconds(30)
      while true {
        let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        if said.contains(word) { return }
        try #require(ContinuousClock.now < end, "no \"\(word)\" in \(said)")
        try await pause(.milliseconds(50))
      }
    }
    try await wait(for: "ready after")
    for gateway in [port, port + 10] {
      try Tool.succeed(["rank", "--gateway", "tcp://127.0.0.1:\(gateway)", "--user", "u1", "--top", "2"])
    }
    let killing = Process()
    killing.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    killing.arguments = ["pkill", "-9", "-P", "\(process.processIdentifier)", "-f", "ranker-1"]
    try killing.run()
    killing.waitUntilExit()
    try await wait(for: "starting it again")
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(
      try Tool.run(["rank", "--gateway", "tcp://127.0.0.1:\(port)", "--user", "u1", "--deadline", "500"]).status != 0)
  }
}
