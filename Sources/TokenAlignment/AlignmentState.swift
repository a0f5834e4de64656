public import Tensors

/// Where an alignment stage stands after an epoch: enough to go on to the same bits.
///
/// Random numbers are functions of (seed, epoch, position), so there is no generator to save.
public struct AlignmentState: Sendable {
  /// The part of a checkpoint that is no matrix; kept as JSON.
  public struct Progress: Sendable, Codable, Equatable {
    /// Epochs that are done.
    public var epoch = 0
    /// Optimiser steps that are done.
    public var steps = 0
    /// The best validation NDCG@10 so far; nil where the stage does not validate.
    public var bestMetric: Double?
    /// The epoch, from 1, whose parameters are kept as the best; 0 where the stage does not validate.
    public var bestEpoch = 0
    /// Whether the stage has ended, by its last epoch or early.
    public var isFinished = false

    /// A stage before its first epoch.
    public init() {}
  }

  /// How far the stage has come.
  public var progress: Progress
  /// Parameters, their moments and the best parameters so far, by name.
  public var matrices: [(name: String, value: Matrix)]

  /// A state as a checkpoint holds it.
  public init(progress: Progress, matrices: [(name: String, value: Matrix)]) {
    self.progress = progress
    self.matrices = matrices
  }

  func matrix(_ name: String, rows: Int, columns: Int) throws(GLTAError) -> Matrix {
    guard let found = matrices.first(where: { $0.name == name })?.value else {
      throw GLTAError(.invalidFile, "the checkpoint has no matrix \(name)", hint: "train again without --resume")
    }
    guard found.rows == rows, found.columns == columns else {
      throw GLTAError(
        .mismatch, "the checkpoint's \(name) is \(found.rows) x \(found.columns), expected \(rows) x \(columns)",
        hint: "it belongs to another run; train again without --resume")
    }
    return found
  }
}

/// What the trainers of stage 2 and stage 3 share: options, the frozen parts, and where progress goes.
public struct AlignmentContext {
  let options: AlignmentOptions
  let seed: UInt64
  let pool: ThreadPool
  let progress: ProgressHandler
  /// Saves the state after each epoch.
  let checkpoint: (AlignmentState) throws(GLTAError) -> Void

  /// What trainers work with. `checkpoint` is called after each epoch, and its errors end the training.
  public init(
    options: AlignmentOptions, seed: UInt64, pool: ThreadPool, progress: @escaping ProgressHandler,
    checkpoint: @escaping (AlignmentState) throws(GLTAError) -> Void
  ) {
    self.options = options
    self.seed = seed
    self.pool = pool
    self.progress = progress
    self.checkpoint = checkpoint
  }

  /// Checks what an epoch has learned, before it is validated or saved.
  func requireFinite(_ parameters: ParameterGroup, stage: String, epoch: Int, step: Int) throws(GLTAError) {
    guard parameters.isFinite else {
      throw .diverged(stage, "a parameter is no finite number", epoch: epoch, step: step)
    }
  }

  /// Checks a step's numbers; what was saved before stays.
  func requireFinite(_ value: Float, _ what: String, stage: String, epoch: Int, step: Int) throws(GLTAError) {
    guard value.isFinite else { throw .diverged(stage, "the \(what) is \(value)", epoch: epoch, step: step) }
  }
}
