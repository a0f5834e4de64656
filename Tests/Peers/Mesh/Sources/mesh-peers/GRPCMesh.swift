import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import SwiftProtobuf

/// The same ranking over grpc-swift-2: a client calls a gateway, which calls encoder, aligner and ranker, each a server of
/// its own. Unary calls over loopback TCP, without TLS, one HTTP/2 connection each.
struct GRPCMesh: RankingPeer {
  let name = "grpc-swift-2, unary calls client-gateway-3 stages"
  private let parties: [GRPCParty]
  private let gateway: GRPCCaller

  static func start() async throws -> GRPCMesh {
    let encoder = try await GRPCParty.serve(GRPCMethod.encode) { StageAnswers.encode($0) }
    let aligner = try await GRPCParty.serve(GRPCMethod.align) { StageAnswers.align($0) }
    let ranker = try await GRPCParty.serve(GRPCMethod.rank) { StageAnswers.rank($0) }
    let stages = (encoder.caller, aligner.caller, ranker.caller)
    let gateway = try await GRPCParty.serve(GRPCMethod.ask) { try await forward($0, stages) }
    return GRPCMesh(parties: [encoder, aligner, ranker, gateway], gateway: gateway.caller)
  }

  /// What our gateway does for a request, with calls. Like ours it does not wait for the aligner to hand on candidates,
  /// but a unary call to the ranker has to wait for both.
  private static func forward(
    _ request: Glta_Peers_RankRequest, _ stages: (encoder: GRPCCaller, aligner: GRPCCaller, ranker: GRPCCaller)
  ) async throws -> Glta_Peers_Ranking {
    let encoded: Glta_Peers_EncoderReply = try await stages.encoder.call(GRPCMethod.encode, request)
    let prompt: Glta_Peers_Prompt = try await stages.aligner.call(
      GRPCMethod.align,
      Glta_Peers_AlignerRequest.with {
        $0.userID = request.userID
        $0.count = request.count
        $0.mode = request.mode
        $0.instruction = encoded.instruction
      })
    return try await stages.ranker.call(
      GRPCMethod.rank,
      Glta_Peers_RankerRequest.with {
        $0.userID = request.userID
        $0.count = request.count
        $0.mode = request.mode
        $0.prompt = prompt
        $0.candidates = encoded.candidates
      })
  }

  func rank(_ workload: Workload) async throws {
    let ranking: Glta_Peers_Ranking = try await gateway.call(GRPCMethod.ask, StageAnswers.request(workload))
    guard workload.isRight(ranking.items) else { throw WrongAnswer(peer: name) }
  }

  func stop() async { for party in parties { await party.stop() } }
}

/// One unary call instead of a mesh: no gateway and no stages. There for information.
struct GRPCCall: RankingPeer {
  let name = "note: grpc-swift-2, one unary call, no gateway"
  private let server: GRPCParty

  static func start() async throws -> GRPCCall {
    GRPCCall(
      server: try await GRPCParty.serve(GRPCMethod.ask) { (request: Glta_Peers_RankRequest) in
        StageAnswers.ranking(Int(request.count), of: request.candidates.count)
      })
  }

  func rank(_ workload: Workload) async throws {
    let ranking: Glta_Peers_Ranking = try await server.caller.call(GRPCMethod.ask, StageAnswers.request(workload))
    guard workload.isRight(ranking.items) else { throw WrongAnswer(peer: name) }
  }

  func stop() async { await server.stop() }
}

enum GRPCMethod {
  static let ask = MethodDescriptor(fullyQualifiedService: "glta.peers.Mesh", method: "Ask")
  static let encode = MethodDescriptor(fullyQualifiedService: "glta.peers.Mesh", method: "Encode")
  static let align = MethodDescriptor(fullyQualifiedService: "glta.peers.Mesh", method: "Align")
  static let rank = MethodDescriptor(fullyQualifiedService: "glta.peers.Mesh", method: "Rank")
}

/// What the stages compute, as protobuf messages; see `TrivialStage`.
enum StageAnswers {
  static func request(_ workload: Workload) -> Glta_Peers_RankRequest {
    .with {
      $0.userID = workload.query.user ?? ""
      $0.count = UInt32(workload.query.count)
      $0.mode = 1
      $0.candidates = workload.items
    }
  }

  static func encode(_ request: Glta_Peers_RankRequest) -> Glta_Peers_EncoderReply {
    let count = Int32(request.candidates.count)
    return .with {
      $0.instruction = .with {
        $0.userVector = Workload.userVector
        $0.history = Workload.history
      }
      $0.candidates = .with {
        $0.ids = Array(0..<count)
        $0.prior = (0..<count).map { 1 - Float($0) * 1e-6 }
        $0.itemsTotal = UInt32(count)
      }
    }
  }

  static func align(_ request: Glta_Peers_AlignerRequest) -> Glta_Peers_Prompt {
    .with {
      $0.tokenIds = Workload.tokens
      $0.softTokens = Data(repeating: 0x3F, count: Workload.softRows * Workload.softColumns * 2)
      $0.columns = UInt32(Workload.softColumns)
      $0.softPositions = Workload.softPositions
      $0.slotPositions = Workload.slotPositions
    }
  }

  static func rank(_ request: Glta_Peers_RankerRequest) -> Glta_Peers_Ranking {
    let count = min(Int(request.count), request.candidates.ids.count)
    return .with {
      $0.items = request.candidates.ids.prefix(count).map { Workload.name($0) }
      $0.scores = Array(request.candidates.prior.prefix(count))
      $0.itemsSeen = UInt32(request.candidates.ids.count)
      $0.itemsTotal = request.candidates.itemsTotal
    }
  }

  static func ranking(_ count: Int, of total: Int) -> Glta_Peers_Ranking {
    .with {
      $0.items = (0..<Int32(min(count, total))).map { Workload.name($0) }
      $0.scores = [Float](repeating: 1, count: min(count, total))
      $0.itemsSeen = UInt32(total)
      $0.itemsTotal = UInt32(total)
    }
  }
}
