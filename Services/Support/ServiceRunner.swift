import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// The life of a service process: SIGTERM and SIGINT drain it, and it does not outlive its supervisor.
enum ServiceRunner {
  /// The variable in which a supervisor gives its process id.
  static let supervisorVariable = "GLTA_SUPERVISOR_PID"

  static func run(_ service: any Service, logger: Logger, drainLimit: Duration) async throws {
    var configuration = ServiceGroupConfiguration(
      services: [
        .init(
          service: service, successTerminationBehavior: .gracefullyShutdownGroup,
          failureTerminationBehavior: .cancelGroup)
      ],
      gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
    // A little more than the drain itself takes: what hangs then is cancelled.
    configuration.maximumGracefulShutdownDuration = drainLimit + .seconds(5)
    configuration.maximumCancellationDuration = .seconds(5)
    let group = ServiceGroup(configuration: configuration)
    let watch = Task { await watchSupervisor { await group.triggerGracefulShutdown() } }
    defer { watch.cancel() }
    try await group.run()
  }

  /// A supervisor that was killed cannot say so: its children notice.
  private static func watchSupervisor(_ onLoss: () async -> Void) async {
    guard let text = ProcessInfo.processInfo.environment[supervisorVariable], let pid = Int32(text) else { return }
    while !Task.isCancelled {
      if getppid() != pid { return await onLoss() }
      try? await Task.sleep(for: .milliseconds(500))
    }
  }
}

/// What this build is called.
public enum BuildInformation {
  /// The version of all executables of the package.
  public static let version = "0.1.0"
}

/// The end of a service process that failed: the reason on standard error, as the tool prints it.
public enum ServiceFailure {
  /// Prints and exits with 1.
  public static func exit(with error: any Error) -> Never {
    FileHandle.standardError.write(Data("Error: \(error)\n".utf8))
    Foundation.exit(1)
  }
}
