import ArgumentParser
import Foundation
import GLTP
import Mesh
import StageServices

/// Where a mesh is, and how it is reached.
struct MeshOptions: ParsableArguments {
  @Option(
    name: .customLong("gateway"), parsing: .singleValue,
    help: ArgumentHelp(
      "Where a gateway takes clients. May be repeated: a request goes on elsewhere when its gateway is lost. (default: tcp://127.0.0.1:5570)",
      valueName: "url"))
  var gateways: [String] = []
  @Option(help: ArgumentHelp("A folder of CURVE keys with client.key and gateway.pub.", valueName: "dir"))
  var keys: String?
  @Flag(help: "Talk without keys beyond this machine, too.")
  var insecure = false

  /// The gateways' addresses.
  func endpoints() throws -> [Endpoint] {
    try (gateways.isEmpty ? ["tcp://127.0.0.1:5570"] : gateways).map { try Endpoint($0) }
  }

  /// A client that has not connected yet.
  func client(name: String) throws -> MeshClient {
    try MeshClient(to: endpoints(), keys: keys, insecure: insecure, name: name)
  }
}

extension MeshClient {
  /// A client with the keys of a folder, where there is one.
  convenience init(to gateways: [Endpoint], keys: String?, insecure: Bool = false, name: String) throws {
    let security: LinkSecurity =
      if let keys { try KeyFolder(path: keys).linkSecurity(of: .client) } else { insecure ? .insecure : .open }
    var configuration = MeshClient.Configuration()
    configuration.name = name
    self.init(gateways: gateways, security: security, configuration: configuration)
  }
}
