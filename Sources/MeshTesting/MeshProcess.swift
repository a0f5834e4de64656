public import GLTP

/// A process of a mesh: what it is, and which of them.
public enum MeshProcess: Sendable, Hashable, CustomStringConvertible {
  case client(Int)
  case gateway(Int)
  case encoder(Int)
  case aligner(Int)
  case ranker(Int)

  public var role: Role {
    switch self {
    case .client: .client
    case .gateway: .gateway
    case .encoder: .encoder
    case .aligner: .aligner
    case .ranker: .ranker
    }
  }

  public var index: Int {
    switch self {
    case .client(let index), .gateway(let index), .encoder(let index), .aligner(let index), .ranker(let index): index
    }
  }

  public init(_ role: Role, _ index: Int) {
    switch role {
    case .client: self = .client(index)
    case .gateway: self = .gateway(index)
    case .encoder: self = .encoder(index)
    case .aligner: self = .aligner(index)
    case .ranker: self = .ranker(index)
    }
  }

  public var description: String { "\(role) \(index)" }
}
