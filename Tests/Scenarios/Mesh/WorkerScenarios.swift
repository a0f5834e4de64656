import Foundation
import GLTP
import Mesh
import MeshTesting
import TestSupport
import Testing

/// Workers that die, sleep, hang, join and leave.
extension MeshScenarios {
  @Test func s06_aRankerKilledUnderLoadCostsNoRequest() async throws {
    let mesh = try await ProcessMesh.small(rankers: 2)
    // Their joint capacity first, on this machine and now; then 35 % of it.
    let capacity = try await mesh.load(["--concurrency", "8", "--duration", "4"]) {}
    let rate = max(20, 0.35 * capacity.throughput)
    let seconds = 2_000 / rate
    let report = try await mesh.load(["--rate", "\(rate)", "--duration", "\(seconds + 1)", "--requests", "2000"]) {
      try await pause(.seconds(seconds / 3))
      try mesh.signal("ranker-0", SIGKILL)
    }
    #expect(report.requests == 2_000 && report.isFaultless, "\(report)")
    // The client counts an answer once by construction; the gateway says how many it sent.
    let requests = try await mesh.report().requests
    #expect(requests.byStatus["OK"] == 2_000 + capacity.ok, "\(requests)")
    #expect(requests.lostSessions >= 1, "\(requests)")
    await mesh.stop()
  }

  @Test func s07_aStoppedRankerIsReplacedAndWelcomedBackWhenItWakes() async throws {
    let mesh = try await ProcessMesh.small(rankers: 2)
    let report = try await mesh.load(["--rate", "40", "--duration", "12"]) {
      try await pause(.seconds(1))
      try mesh.signal("ranker-0", SIGSTOP)
      try await pause(.seconds(9))
      try mesh.signal("ranker-0", SIGCONT)
    }
    #expect(report.isFaultless, "\(report)")
    try await mesh.waitUntilReady(rankers: 2)
    await mesh.stop()
  }

  @Test func s08_aRankerWhoseComputationHangsLeavesAndIsReplaced() async throws {
    let mesh = try await ProcessMesh.small(rankers: 2)
    let report = try await mesh.load(["--rate", "40", "--duration", "12"]) {
      try await pause(.seconds(1))
      // The thread that computes hangs; the one that answers PING does not: silence is not what gives it away.
      let thread = try StoppedThread(named: "glta-compute", in: mesh.pid(of: "ranker-0"))
      let status = try await mesh.waitForExit(of: "ranker-0", .seconds(20))
      #expect(status == 1, "\(mesh.log("ranker-0"))")
      thread.release()
    }
    #expect(report.isFaultless, "\(report)")
    #expect(mesh.log("ranker-0").contains("stuck"), "\(mesh.log("ranker-0"))")
    await mesh.stop()
  }

  @Test func s09_aLostEncoderOrAlignerRestartsTheRequest() async throws {
    let mesh = try await ProcessMesh.small()
    let report = try await mesh.load(["--rate", "50", "--duration", "8"]) {
      for (stage, name) in [(Stage.encoder, "encoder-0"), (.aligner, "aligner-0")] {
        try await pause(.seconds(1))
        try mesh.signal(name, SIGKILL)
        try mesh.start(stage, named: name)
      }
    }
    #expect(report.isFaultless, "\(report)")
    await mesh.stop()
  }

  @Test func s10_workersJoinAndLeaveUnderLoadWithoutAFailedRequest() async throws {
    let mesh = try await ProcessMesh.small()
    let names = ["second-encoder", "second-aligner", "second-ranker"]
    let report = try await mesh.load(["--concurrency", "4", "--duration", "8"]) {
      try await pause(.seconds(1))
      for (stage, name) in zip([Stage.encoder, .aligner, .ranker], names) { try mesh.start(stage, named: name) }
      try await mesh.waitUntilReady(encoders: 2, aligners: 2, rankers: 2)
      try await pause(.seconds(2))
      for name in names { try mesh.signal(name, SIGTERM) }
      for name in names { #expect(try await mesh.waitForExit(of: name) == 0, "\(mesh.log(name))") }
    }
    #expect(report.isFaultless, "\(report)")
    await mesh.stop()
  }

  @Test func s11_aNewBundleRollsOutUnderLoadWithoutAFailedRequest() async throws {
    let mesh = try await ProcessMesh.small()
    let other = try ServedWorld.get().other
    let report = try await mesh.load(["--concurrency", "4", "--duration", "9"]) {
      try await pause(.seconds(1))
      for (stage, name) in [(Stage.encoder, "new-encoder"), (.aligner, "new-aligner"), (.ranker, "new-ranker")] {
        try mesh.start(stage, named: name, bundle: other)
      }
      try await mesh.waitUntilReady(encoders: 2, aligners: 2, rankers: 2)
      try await pause(.seconds(1))
      for name in ["encoder-0", "aligner-0", "ranker-0"] { try mesh.signal(name, SIGTERM) }
    }
    #expect(report.isFaultless, "\(report)")
    let arguments = ["--user", "u2", "--top", "5", "--json"]
    #expect(try answer(mesh.rank(arguments)) == answer(Tool.succeed(["recommend", "--bundle", other] + arguments)))
    await mesh.stop()
  }
}
