import ArgumentParser
import ServiceSupport
import Tensors

/// `glta-gateway`: accepts clients and workers, and owns each request from its arrival to its END.
struct GatewayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glta-gateway", abstract: "Accept clients and workers of a mesh.",
    discussion: """
      Clients ask here for rankings; encoders, aligners and rankers dial in and take work. Gateways share nothing: run two \
      or three, and tell workers and clients all of them. SIGTERM drains.

        glta-gateway --clients tcp://127.0.0.1:5570 --workers tcp://127.0.0.1:5571
      """, version: "glta-gateway \(BuildInformation.version)")

  @OptionGroup var options: GatewayOptions

  func run() async throws {
    do { try await GatewayService.run(options) } catch { ServiceFailure.exit(with: error) }
  }
}

@main
enum Main {
  static func main() async {
    StartUp.prepareProcess()
    await GatewayCommand.main()
  }
}
