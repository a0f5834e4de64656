public import Bundles
import Foundation
import GLTP
import Logging
public import Mesh
import ServiceLifecycle
public import StageServices
public import Tensors

/// What a stage is made of: the bundle, and the language model that it was trained with.
public struct StageParts: Sendable {
  /// The bundle, its content hash checked.
  public let bundle: ServedBundle
  private let languageModelPath: String
  private let precision: Precision?

  init(bundle: ServedBundle, languageModelPath: String, precision: Precision?) {
    self.bundle = bundle
    self.languageModelPath = languageModelPath
    self.precision = precision
  }

  /// The language model, its hash checked against the bundle's.
  ///
  /// - Throws: what `LoadedLanguageModel` throws.
  public func loadLanguageModel() throws(GLTAError) -> LoadedLanguageModel {
    try LoadedLanguageModel(for: bundle.bundle, path: languageModelPath, precision: precision)
  }

  /// Its tokenizer alone: who writes prompts has no use for gigabytes of weights.
  ///
  /// - Throws: what `LoadedTokenizer` throws.
  public func loadTokenizer() throws(GLTAError) -> LoadedTokenizer {
    try LoadedTokenizer(for: bundle.bundle, path: languageModelPath)
  }
}

/// Runs a worker process from its settings to its last run: checks, a warm-up, sessions, drain.
public enum WorkerService {
  /// - Parameters:
  ///   - role: what the worker is, for keys and names.
  ///   - make: builds the stage and warms it up; returns how long a ranking took at most.
  /// - Throws: `MeshError` and `GLTAError` for settings, bundles and models that cannot work; a worker that is stuck.
  public static func run<Handler: StageHandler>(
    _ options: WorkerOptions, role: PeerRole,
    make: @escaping @Sendable (StageParts) throws(GLTAError) -> (handler: Handler, warmUp: Duration)
  ) async throws {
    let settings = try await Settings(options.service)
    let logger = try settings.logger("glta.\(role.rawValue)")
    let path = try settings.required("bundle", options.bundle)
    let gateways = settings.list("gateway", options.gateways)
    var configuration = MeshWorkerConfiguration(gateways: [])
    for gateway in gateways { configuration.gateways.append(try Endpoint(gateway)) }
    configuration.name = settings.name(of: role.rawValue)
    configuration.build = "glta \(BuildInformation.version)"
    configuration.slots = try settings.number("slots", options.slots, default: 1, in: 1...1_024)
    configuration.security = try settings.linkSecurity(of: role)
    let drainLimit = try settings.drainLimit()

    // Loading and warming up compute for seconds: off the cooperative pool.
    let override = settings.text("language-model", options.languageModel)
    let precision = try WorkerService.precision(named: settings.text("precision", options.precision))
    let made = try await OffPool.run { () throws(GLTAError) in
      let bundle = try ServedBundle(path: path)
      return try make(
        StageParts(
          bundle: bundle, languageModelPath: try ServedBundle.languageModelPath(bundle: path, override: override),
          precision: precision))
    }
    configuration.warmUpTime = made.warmUp
    logger.info(
      "warm", metadata: ["bundle": "\(made.handler.bundle)", "warm_up_ms": "\(made.warmUp.milliseconds)"])
    let worker = Worker(handler: made.handler, configuration: configuration, logger: logger)
    try await ServiceRunner.run(
      WorkerLife(worker: worker, drainLimit: drainLimit, logger: logger), logger: logger, drainLimit: drainLimit)
  }
}

extension WorkerService {
  /// - Throws: `GLTAError.invalidArgument` for a word that names no precision.
  private static func precision(named name: String?) throws(GLTAError) -> Precision? {
    guard let name else { return nil }
    if let precision = Precision(rawValue: name) { return precision }
    let known = Precision.allCases.map(\.rawValue).joined(separator: ", ")
    throw GLTAError(.invalidArgument, "the precision is \(name), expected one of \(known)")
  }
}

/// A worker as a service: it ends when it has been drained, and fails when it is stuck.
private struct WorkerLife<Handler: StageHandler>: Service {
  let worker: Worker<Handler>
  let drainLimit: Duration
  let logger: Logger

  func run() async throws {
    try worker.start()
    let exit = await withGracefulShutdownHandler {
      await worker.waitForExit()
    } onGracefulShutdown: {
      Task { await worker.drain(deadline: drainLimit) }
    }
    await worker.stop()
    logger.info("left", metadata: ["exit": "\(exit.map { "\($0)" } ?? "cancelled")"])
    if case .stuck(let request) = exit {
      throw MeshError(.lost, "a run has been stuck in computation: request \(request)", hint: "restart the process")
    }
  }
}

extension Duration {
  /// Whole milliseconds.
  var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// Long computations that must not sit on Swift's cooperative pool.
enum OffPool {
  static func run<Value: Sendable>(_ body: @escaping @Sendable () throws(GLTAError) -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let thread = Thread {
        do throws(GLTAError) { continuation.resume(returning: try body()) } catch {
          continuation.resume(throwing: error)
        }
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
  }
}
