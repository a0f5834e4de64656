/// Where a trainer stands. Trainers report it after every step; a terminal draws a bar from it, a log a line.
public struct TrainingProgress: Sendable {
  /// The stage in words a user reads, such as "graph encoder".
  public var stage: String
  /// The epoch under way, from 1.
  public var epoch: Int
  /// The most epochs that will run; early stopping may end sooner.
  public var epochs: Int
  /// Steps of this epoch that are done.
  public var step: Int
  /// Steps of this epoch in all.
  public var steps: Int
  /// The mean loss of the epoch so far; NaN where the stage has no loss, as in reading texts.
  public var loss: Float
  /// The best validation figure so far, NDCG@10 unless the graph is told another metric; nil before an epoch was
  /// evaluated, and in stages without validation.
  public var validation: Double?

  /// A report on one step.
  public init(
    stage: String, epoch: Int, epochs: Int, step: Int, steps: Int, loss: Float, validation: Double? = nil
  ) {
    self.stage = stage
    self.epoch = epoch
    self.epochs = epochs
    self.step = step
    self.steps = steps
    self.loss = loss
    self.validation = validation
  }
}

/// Receives progress on the trainer's thread; returning false stops the training after its next checkpoint.
public typealias ProgressHandler = (TrainingProgress) -> Bool
