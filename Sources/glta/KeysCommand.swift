import ArgumentParser
import Mesh
import StageServices

struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Make the keys of a mesh.", subcommands: [New.self])

  struct New: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a folder of new CURVE keys.",
      discussion: """
        A pair for each role (gateway.key, encoder.key, aligner.key, ranker.key, client.key), the gateway's public key \
        (gateway.pub), and the gateway's allow-list (allow.list), which is read again when it changes. Give a host only \
        its own pair and gateway.pub. Nothing is ever replaced.
        """)

    @Option(help: ArgumentHelp("The folder to make.", valueName: "dir"))
    var out: String

    func run() throws {
      try KeyFolder(path: out).create()
      print("\(out): keys for \(KeyFolder.roles.map(\.rawValue).joined(separator: ", "))")
    }
  }
}
