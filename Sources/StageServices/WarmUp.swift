import Bundles
import Interactions
import LogitsMatching
import RankingStages
public import Tensors
import TokenAlignment

/// The first request of a process, made by itself: it proves that bundle and language model can rank, and pays for cold
/// memory before somebody waits.
enum WarmUp {
  /// Somebody new with as many items as fill a prompt, if the catalogue has them; any bundle can rank for them.
  static func request(_ served: ServedBundle) -> RankingRequest {
    let items = served.bundle.catalogue.count
    let known = max(0, min(served.bundle.manifest.alignment.historyLength, items - 1))
    return RankingRequest(subject: .items((0..<Int32(known)).map { $0 }), count: 1)
  }

  /// The longest of a few repetitions.
  static func time(_ body: () throws(GLTAError) -> Void) throws(GLTAError) -> Duration {
    var longest = Duration.zero
    for _ in 0..<3 {
      let start = ContinuousClock.now
      try body()
      longest = max(longest, ContinuousClock.now - start)
    }
    return longest
  }
}

extension GraphEncoderService {
  /// Encodes a request of its own. Returns how long that took at most.
  public func warmUp() throws(GLTAError) -> Duration {
    let request = WarmUp.request(served)
    return try WarmUp.time { () throws(GLTAError) in _ = try encoder.encode(request) }
  }
}

extension TokenAlignerService {
  /// Aligns a request of its own. Returns how long that took at most.
  public func warmUp() throws(GLTAError) -> Duration {
    let encoded = try GraphEncoderStage(bundle: served.bundle).encode(WarmUp.request(served))
    return try WarmUp.time { () throws(GLTAError) in
      _ = try aligner.align(encoded.view, items: encoded.items, user: nil)
    }
  }
}

extension LogitsRankerService {
  /// Ranks for a request of its own.
  ///
  /// - Parameter aligner: writes its prompt.
  /// - Returns: how long a ranking took at most.
  public func warmUp(aligner: TokenAlignerService) throws(GLTAError) -> Duration {
    let encoded = try GraphEncoderStage(bundle: served.bundle).encode(WarmUp.request(served))
    let prompt = try aligner.aligner.align(encoded.view, items: encoded.items, user: nil)
    let pass = makeScratch()
    return try WarmUp.time { () throws(GLTAError) in
      var ranking = ranker.begin(mode: .slots, count: 1)
      try ranking.add(encoded.candidates, prior: encoded.prior)
      try ranking.read(prompt, pass: pass)
      _ = try ranking.finish(pass: pass)
    }
  }
}
