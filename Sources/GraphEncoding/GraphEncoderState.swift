public import Tensors

/// Where the training of a graph encoder stands after an epoch: enough to go on to the same bits.
public struct GraphEncoderState: Sendable {
  /// The part of a checkpoint that is no matrix; kept as JSON.
  public struct Progress: Sendable, Codable, Equatable {
    /// Epochs that are done.
    public var epoch = 0
    /// Optimiser steps that are done.
    public var steps = 0
    /// The best validation metric so far; nil before the first look, and where no user has a validation item.
    public var bestMetric: Double?
    /// Looks at the metric since the best.
    public var looksSinceBest = 0
    /// Whether the training has ended, by its last epoch or early.
    public var isFinished = false
  }

  /// How far training has come.
  public var progress: Progress
  /// The model's parameters with their moments, and the best ones as "best.NAME".
  public var matrices: [(name: String, value: Matrix)]

  /// A state as a checkpoint holds it.
  public init(progress: Progress, matrices: [(name: String, value: Matrix)]) {
    self.progress = progress
    self.matrices = matrices
  }
}
