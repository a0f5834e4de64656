import Bundles
import Foundation
import GLTP
import GraphEncoding
import Interactions
import LanguageModels
import LogitsMatching
import Mesh
import RankingStages
import StageServices
import Tensors
import TestSupport
import Testing
import TokenAlignment
import Training

/// A tiny trained recommender whose logits have weight, once for all tests.
private struct World: Sendable {
  private static let encoder = Result { try World("bert-tiny") }
  static let decoder = Result { try World("llama-tiny") }
  static func get() throws -> World { try encoder.get() }
  /// An encoder's, whose slots are [MASK], and a decoder's, whose slots are learned.
  static func both() throws -> [World] { [try encoder.get(), try decoder.get()] }

  private let folder: TemporaryFolder
  let served: ServedBundle
  let model: LoadedLanguageModel
  let recommender: Recommender

  private init(_ name: String) throws {
    folder = try TemporaryFolder()
    let path = folder.path + "/bundle"
    model = try LoadedLanguageModel(path: TestPaths.root + "/Tests/Golden/" + name)
    var configuration = TrainingConfiguration(recipe: .paper)
    (configuration.graph.epochs, configuration.alignment.itemEpochs, configuration.alignment.userEpochs) = (5, 1, 1)
    let run = try TrainingRun(
      configuration: configuration, dataset: SyntheticDataset.generate(users: 40, items: 60), languageModel: model,
      out: path, resume: false, pool: ThreadPool(threads: 2),
      reporter: TrainingRun.Reporter(say: { _ in }, progress: { _ in true }))
    var bundle = try run.run().bundle
    bundle.tags = World.addingTags(to: bundle)
    try bundle.save(to: path, languageModelPath: model.path)
    served = try ServedBundle(path: path)
    recommender = try Recommender(bundle: served.bundle, model: model.model, tokenizer: model.tokenizer)
  }

  /// As if a decoder had written tags for every other user.
  private static func addingTags(to bundle: RecommenderBundle) -> TagTable {
    let users = bundle.userIDs.indices
    return bundle.tags.adding(
      usersProfile: users.map { $0 % 2 == 0 ? [] : ["war \($0)", "love"] },
      prediction: users.map { $0 % 2 == 0 ? [] : ["space \($0)"] })
  }

  var graphEncoder: GraphEncoderService { GraphEncoderService(served) }
  var aligner: TokenAlignerService {
    get throws {
      try TokenAlignerService(served, tokenizer: model.tokenizer, maximumLength: model.model.maximumLength)
    }
  }
  var ranker: LogitsRankerService {
    get throws { try LogitsRankerService(served, model, pool: ThreadPool(threads: 1)) }
  }
}

/// A run whose input is a list and whose output is another.
private final class ScriptedExchange: StageExchange {
  let request: StageRequest
  let flags: MessageFlags
  let buffers = BufferPool()
  private var input: [StreamChunk]
  private(set) var sent: [(chunk: StreamChunk, isFinal: Bool, flags: MessageFlags)] = []
  private(set) var ending: RankingSnapshot??

  init(_ request: StageRequest, input: [StreamChunk] = [], flags: MessageFlags = [.stream]) {
    self.request = request
    self.input = input
    self.flags = flags
  }

  func receive() throws(StageFailure) -> StreamChunk? { input.isEmpty ? nil : input.removeFirst() }
  func check() throws(StageFailure) {}
  func send(_ chunk: StreamChunk, isFinal: Bool, flags: MessageFlags) throws(StageFailure) {
    sent.append((chunk, isFinal, flags))
  }
  func end(_ ranking: RankingSnapshot?) throws(StageFailure) { ending = .some(ranking) }
}

/// What the stages send one another is enough for the very ranking that the tool gives.
struct StageServicesTests {
  private func encode(_ request: RankRequest, _ world: World) throws -> (
    input: InstructionInput, chunks: [CandidateChunk]
  ) {
    let exchange = ScriptedExchange(.rank(request))
    var scratch: Void = ()
    try world.graphEncoder.run(exchange, scratch: &scratch)
    guard case .instruction(let input) = exchange.sent[0].chunk else { throw CancellationError() }
    #expect(exchange.sent[0].isFinal && exchange.sent.last?.isFinal == true)
    let chunks = exchange.sent.dropFirst().compactMap {
      if case .candidates(let chunk) = $0.chunk { chunk } else { nil }
    }
    return (input, chunks)
  }

  private func align(_ input: InstructionInput, _ request: RunRequest, _ world: World) throws -> Prompt {
    let exchange = ScriptedExchange(.run(request), input: [.instruction(input)])
    var scratch: Void = ()
    try world.aligner.run(exchange, scratch: &scratch)
    guard case .prompt(let prompt) = exchange.sent[0].chunk else { throw CancellationError() }
    return prompt
  }

  /// Cuts candidates anew, `size` at a time.
  private func cut(_ chunks: [CandidateChunk], _ size: Int, _ buffers: BufferPool) -> [StreamChunk] {
    let ids: [Int32] = chunks.flatMap { $0.ids.array(of: Int32.self) }
    let prior: [Float] = chunks.flatMap { $0.prior.array(of: Float.self) }
    return stride(from: 0, to: ids.count, by: size).map { start in
      let range = start..<min(ids.count, start + size)
      return .candidates(
        CandidateChunk(
          ids: buffers.vector(.candidateIDs, ids[range]), prior: buffers.vector(.candidatePrior, prior[range]),
          total: UInt32(ids.count)))
    }
  }

  private func rank(
    _ input: [StreamChunk], _ request: RunRequest, _ world: World
  ) throws -> (final: RankingSnapshot, snapshots: [(RankingSnapshot, MessageFlags)]) {
    let exchange = ScriptedExchange(.run(request), input: input, flags: [.stream, .titles])
    let ranker = try world.ranker
    var pass = ranker.makeScratch()
    try ranker.run(exchange, scratch: &pass)
    let snapshots = exchange.sent.compactMap { sent -> (RankingSnapshot, MessageFlags)? in
      if case .ranking(let snapshot) = sent.chunk { (snapshot, sent.flags) } else { nil }
    }
    return (try #require(exchange.ending ?? nil), snapshots)
  }

  @Test(arguments: [RankingMode.slots, .first, .autoregressive], [7, 25, 1_000])
  func ranksAsTheToolDoesBitForBit(mode: RankingMode, chunk: Int) throws {
    for world in try World.both() {
      let buffers = BufferPool()
      let ids = world.served.bundle.catalogue.ids
      let requests = [
        RankRequest(userID: "u3", count: 12, mode: mode),
        RankRequest(userID: "u9", count: 5, mode: mode, retrieve: 20),
        RankRequest(items: try buffers.strings(.requestItems, ["i0", "i8", "i16"]), count: 12, mode: mode),
        RankRequest(
          userID: "u4", count: 3, mode: mode, candidates: try buffers.strings(.requestCandidates, ids.suffix(40)),
          exclude: try buffers.strings(.requestExclude, [ids[50]]),
          allow: try buffers.strings(.requestAllow, ids[30..<58])),
      ]
      for request in requests { try expectTheSameRanking(request, mode: mode, chunk: chunk, world, buffers) }
    }
  }

  private func expectTheSameRanking(
    _ request: RankRequest, mode: RankingMode, chunk: Int, _ world: World, _ buffers: BufferPool
  ) throws {
    let ids = world.served.bundle.catalogue.ids
    let pass = world.recommender.ranker.makePass(pool: ThreadPool(threads: 1))
    let expected = try world.recommender.rank(try dense(request, world), pass: pass)
    let encoded = try encode(request, world)
    let run = RunRequest(userID: request.userID, count: request.count, mode: mode)
    let prompt = StreamChunk.prompt(try align(encoded.input, run, world))
    let candidates = cut(encoded.chunks, chunk, buffers)
    for input in [[prompt] + candidates, candidates + [prompt], [candidates[0], prompt] + candidates.dropFirst()] {
      let (final, snapshots) = try rank(input, run, world)
      #expect(final.items.strings == expected.map { ids[Int($0.item)] })
      #expect(final.scores.array(of: Float.self).map(\.bitPattern) == expected.map(\.score.bitPattern))
      #expect(final.titles?.count == expected.count)
      #expect(final.itemsSeen == final.itemsTotal)
      // By prior at once where the prompt is not there yet; complete in itself, always.
      if case .candidates = input[0] { #expect(snapshots.first?.1 == .provisional) }
      #expect(snapshots.allSatisfy { $0.0.items.count <= expected.count && $0.0.items.count == $0.0.scores.count })
    }
  }

  @Test func tagsWrittenForAUserAreThoseOfTheUserAlone() throws {
    // The encoder's positions have no room for tags.
    let world = try World.decoder.get()
    let bundle = world.served.bundle
    let run = RunRequest(userID: "u3", count: 3, mode: .slots)
    let known = try encode(RankRequest(userID: "u3", count: 3), world).input
    // Where items are given, the user's id is only a name.
    let items = bundle.split.train[try bundle.userIndex("u3")].map { bundle.catalogue.ids[Int($0)] }
    let named = try encode(
      RankRequest(userID: "u3", items: try BufferPool().strings(.requestItems, items), count: 3), world
    ).input
    #expect(known.subjectItems == nil && named.subjectItems?.count == items.count)
    #expect(known.history == named.history)
    let prompts = [try align(known, run, world), try align(named, run, world)]
    #expect(prompts[0].tokenIDs.array(of: Int32.self) != prompts[1].tokenIDs.array(of: Int32.self))
    for id in [nil, "nobody"] as [WireText?] {
      let failure = #expect(throws: StageFailure.self) {
        _ = try align(known, RunRequest(userID: id, count: 3, mode: .slots), world)
      }
      #expect(failure?.status == .badRequest)
    }
  }

  /// A peer's prompt may begin otherwise than the aligner's: then nothing of it is known.
  @Test func promptsThatBeginOtherwiseAreReadWhole() throws {
    for world in try World.both() {
      let encoded = try world.recommender.encoder.encode(RankingRequest(subject: .user(3), count: 3))
      let prompt = try world.recommender.aligner.align(encoded.view, items: encoded.items, user: 3)
      let pass = world.recommender.ranker.makePass(pool: .serial)
      func logits(_ change: (inout AlignedPrompt) -> Void) throws -> [Float] {
        var changed = prompt
        change(&changed)
        return try world.recommender.ranker.logits(changed, pass: pass).elements
      }
      let expected = try logits { _ in }
      #expect(try logits { $0.tokenIDs[0] += 1 } != expected)
      #expect(try logits { $0.softPositions[0] = 0 } != expected)
      #expect(try logits { _ in } == expected)
    }
  }

  @Test func anEncodersSlotsAreItsMasksAndADecodersAreLearned() throws {
    for world in try World.both() {
      let alignment = world.served.bundle.alignment
      let request = RankRequest(userID: "u3", count: 12)
      let prompt = try align(
        try encode(request, world).input, RunRequest(userID: request.userID, count: 12, mode: .slots), world)
      let slots = prompt.slotPositions.array(of: Int32.self)
      let ids = prompt.tokenIDs.array(of: Int32.self)
      guard let slotToken = alignment.slotToken else {
        #expect(slots.allSatisfy { ids[Int($0)] == world.model.tokenizer.maskToken })
        continue
      }
      #expect(world.model.model.isCausal)
      #expect(prompt.softPositions.array(of: Int32.self).suffix(slots.count) == slots[...])
      // Nothing stands behind the last slot: a decoder's slot sees all of the prompt, and no work is for nothing.
      #expect(Int(slots.last ?? 0) == ids.count - 1)
      let start = TokenStatistics(world.model.model).typicalToken()
      #expect(slotToken.elements != start.elements, "it has been trained")
    }
  }

  /// The request as the tool would make it.
  private func dense(_ request: RankRequest, _ world: World) throws -> RankingRequest {
    let bundle = world.served.bundle
    var result = RankingRequest(
      subject: .items([]), count: Int(request.count),
      mode: request.mode == .slots ? .slots : request.mode == .first ? .first : .autoregressive)
    result.subject =
      if let items = request.items { .items(try bundle.itemIndices(items.strings)) } else {
        .user(try bundle.userIndex(request.userID?.string ?? ""))
      }
    if let list = request.candidates { result.candidates = .list(try bundle.itemIndices(list.strings)) }
    if let count = request.retrieve { result.candidates = .best(Int(count)) }
    result.exclude = try bundle.itemIndices(request.exclude?.strings ?? [])
    if let allow = request.allow { result.allow = try bundle.itemIndices(allow.strings) }
    return result
  }

  @Test func refusesWhatItDoesNotKnowWithItsOwnStatus() throws {
    let world = try World.get()
    let buffers = BufferPool()
    let cases: [(RankRequest, Status)] = [
      (RankRequest(userID: "nobody", count: 3), .unknownUser),
      (RankRequest(items: try buffers.strings(.requestItems, ["i999"]), count: 3), .unknownItem),
      (RankRequest(userID: "u1", count: 3, exclude: try buffers.strings(.requestExclude, ["x"])), .unknownItem),
      (RankRequest(userID: "u1", count: 900), .notEnoughItems),
    ]
    for (request, status) in cases {
      let failure = #expect(throws: StageFailure.self) { _ = try encode(request, world) }
      #expect(failure?.status == status)
    }
  }

  /// No tensor of a peer may reach past a table.
  @Test func refusesTensorsThatDoNotFitTheBundle() throws {
    let world = try World.get()
    let buffers = BufferPool()
    let run = RunRequest(userID: "u1", count: 3, mode: .slots)
    let encoded = try encode(RankRequest(userID: "u1", count: 3), world)
    let prompt = try align(encoded.input, run, world)
    func input(_ change: (inout InstructionInput) -> Void) -> InstructionInput {
      var input = encoded.input
      change(&input)
      return input
    }
    for bad in [
      input { $0.history = buffers.vector(.history, [Int32(60)]) },
      input { $0.history = buffers.vector(.history, [Int32(-1)]) },
      input { $0.subjectItems = buffers.vector(.subjectItems, [Int32.max]) },
      input { $0.userVector = buffers.vector(.userVector, [Float(1)]) },
    ] {
      let failure = #expect(throws: StageFailure.self) { _ = try align(bad, run, world) }
      #expect(failure?.status == .badRequest)
    }
    func candidates(_ ids: [Int32]) -> StreamChunk {
      .candidates(
        CandidateChunk(
          ids: buffers.vector(.candidateIDs, ids),
          prior: buffers.vector(.candidatePrior, [Float](repeating: 0, count: ids.count)), total: 2))
    }
    func changed(_ change: (inout Prompt) -> Void) -> StreamChunk {
      var prompt = prompt
      change(&prompt)
      return .prompt(prompt)
    }
    for bad in [
      [candidates([60])], [candidates([3, 3])], [candidates([4, 2])], [candidates([4]), candidates([4])],
      [candidates([-2])],
      [changed { $0.tokenIDs = buffers.vector(.tokenIDs, [Int32](repeating: 1 << 20, count: 9)) }],
      [
        changed {
          $0.softPositions = buffers.vector(.softPositions, $0.softPositions.array().map { (_: Int32) in Int32(4_000) })
        }
      ],
      [changed { $0.slotPositions = buffers.vector(.slotPositions, [Int32(5), 5]) }],
      [changed { $0.softTokens = buffers.tensor(.softTokens, .bf16, WireShape($0.softPositions.count, 7)) }],
      [changed { $0.tokenIDs = buffers.vector(.tokenIDs, [Int32](repeating: 1, count: 100_000)) }],
    ] {
      let failure = #expect(throws: StageFailure.self) { _ = try rank(bad + [.prompt(prompt)], run, world) }
      #expect(failure?.status == .badRequest)
    }
  }
}
