public import GLTP

/// A process of a mesh: what it is, and which of them.
public enum MeshProcess: Sendable, Hashable, CustomStringConvertible {
  /// The client of an index, from 0.
  case client(Int)
  /// The gateway of an index, from 0.
  case gateway(Int)
  /// The graph encoder of an index, from 0.
  case encoder(Int)
  /// The token aligner of an index, from 0.
  case aligner(Int)
  /// The logits ranker of an index, from 0.
  case ranker(Int)

  /// What it is.
  public var role: Role {
    switch self {
    case .client: .client
    case .gateway: .gateway
    case .encoder: .encoder
    case .aligner: .aligner
    case .ranker: .ranker
    }
  }

  /// Which one of its role, from 0.
  public var index: Int {
    switch self {
    case .client(let index), .gateway(let index), .encoder(let index), .aligner(let index), .ranker(let index): index
    }
  }

  /// From a role and the index within it.
  public init(_ role: Role, _ index: Int) {
    switch role {
    case .client: self = .client(index)
    case .gateway: self = .gateway(index)
    case .encoder: self = .encoder(index)
    case .aligner: self = .aligner(index)
    case .ranker: self = .ranker(index)
    }
  }

  /// As in "ranker 1".
  public var description: String { "\(role) \(index)" }
}
