import Glibc
import Mesh
import MeshTestSupport
import Synchronization
import Testing

extension TransportTests {
  @Suite struct Security {
    private func temporaryPath(_ name: String) -> String {
      var template = Array("/tmp/mesh-test-XXXXXX".utf8CString)
      let folder = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
      return "\(folder)/\(name)"
    }

    private func write(_ text: String, to path: String) throws {
      let file = try #require(fopen(path + ".new", "w"))
      fputs(text, file)
      fclose(file)
      #expect(rename(path + ".new", path) == 0)
    }

    @Test("A key of the list gets in and its role is known; messages are encrypted both ways")
    func rightKey() async throws {
      try await withLoop { loop in
        let server = try KeyPair.generate()
        let client = try KeyPair.generate()
        let list = AllowListSource(AllowList([client.publicKey: .ranker]))
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, security: .curve(server, list)) {
          listener, event in
          if case .message(let message, let peer) = event {
            #expect(peer.identity == PeerIdentity(role: .ranker, key: client.publicKey))
            _ = listener.send(message, to: peer)
          }
        }
        let events = Recorder<Heard>()
        let dialer = try await loop.dialer(
          listener.endpoint, events, security: .curve(client, server: server.publicKey))
        try await events.wait(until: { $0.contains(.connected) })
        // The largest part that is allowed still fits with what CURVE adds.
        let largest = [UInt8](repeating: 3, count: listener.limits.maxPartBytes)
        _ = try await loop.run { dialer.send(Multipart([1], largest)) }
        try await events.wait(until: { $0.contains(.message([[1], largest])) })
        #expect(heard.all.first == .arrived("ranker"))
      }
    }

    @Test("A key that is not listed, a wrong server key, no key, and a key where none is asked for stay outside")
    func wrongKeys() async throws {
      try await withLoop { loop in
        let server = try KeyPair.generate()
        let listed = try KeyPair.generate()
        let stranger = try KeyPair.generate()
        let heard = Recorder<Heard>()
        let list = AllowListSource(AllowList([listed.publicKey: .client]))
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, security: .curve(server, list))
        let unlisted = Recorder<Heard>()
        let wrongServer = Recorder<Heard>()
        let noKey = Recorder<Heard>()
        var dialers = [
          try await loop.dialer(
            listener.endpoint, unlisted, security: .curve(stranger, server: server.publicKey)),
          try await loop.dialer(
            listener.endpoint, wrongServer, security: .curve(listed, server: stranger.publicKey)),
          try await loop.dialer(listener.endpoint, noKey),
        ]
        try await unlisted.wait(until: { $0.contains(.handshakeFailed(.refused(400))) })
        try await heard.wait(until: { $0.contains(.handshakeFailed(.refused(400))) })
        for recorder in [wrongServer, noKey] {
          try await recorder.wait(until: { $0.contains { if case .handshakeFailed = $0 { true } else { false } } })
        }
        let open = try await loop.echo()
        let needless = Recorder<Heard>()
        dialers.append(
          try await loop.dialer(open.endpoint, needless, security: .curve(listed, server: server.publicKey)))
        try await needless.wait(until: { $0.contains { if case .handshakeFailed = $0 { true } else { false } } })
        for recorder in [unlisted, wrongServer, noKey, needless] { #expect(!recorder.all.contains(.connected)) }
        #expect(!heard.all.contains { if case .message = $0 { true } else { false } })
        // The right one still gets in.
        let right = Recorder<Heard>()
        dialers.append(
          try await loop.dialer(listener.endpoint, right, security: .curve(listed, server: server.publicKey)))
        try await right.wait(until: { $0.contains(.connected) })
        withExtendedLifetime(dialers) {}
      }
    }

    @Test("A changed allow-list lets new keys in and cuts revoked ones; a broken one lets nobody new in")
    func reload() async throws {
      try await withLoop { loop in
        let path = temporaryPath("allow")
        let server = try KeyPair.generate()
        let first = try KeyPair.generate()
        let second = try KeyPair.generate()
        try write("# keys\n\n\(first.publicKey) ranker rank 0\n", to: path)
        let reports = Recorder<String>()
        let list = try await loop.run {
          try AllowListSource(contentsOf: path, loop: loop, interval: .milliseconds(20)) {
            reports.add($0.failure.map { "failed \($0.code)" } ?? "read")
          }
        }
        let heard = Recorder<Heard>()
        let listener = try await loop.listener("tcp://127.0.0.1:0", heard, security: .curve(server, list))
        let atFirst = Recorder<Heard>()
        let dialer = try await loop.dialer(
          listener.endpoint, atFirst, security: .curve(first, server: server.publicKey))
        try await atFirst.wait(until: { $0.contains(.connected) })
        _ = try await loop.run { dialer.send(Multipart([1])) }
        try await heard.wait(until: { $0.contains(.message([[1]])) })

        // Broken: nobody new, but those who are in stay.
        try write("nonsense\n", to: path)
        try await reports.wait(until: { $0.contains("failed invalid file") })
        let atSecond = Recorder<Heard>()
        let other = try await loop.dialer(
          listener.endpoint, atSecond, security: .curve(second, server: server.publicKey))
        try await heard.wait(until: { $0.contains(.handshakeFailed(.refused(500))) })
        #expect(!atFirst.all.contains(.disconnected))

        // The second key replaces the first.
        try write("\(second.publicKey) client\n", to: path)
        try await atSecond.wait(until: { $0.contains(.connected) })
        try await heard.wait(until: { $0.contains(.offence(.keyRevoked)) && $0.contains(.gone) })
        try await atFirst.wait(until: { $0.contains(.handshakeFailed(.refused(400))) })
        unlink(path)
        try await reports.wait(until: { $0.last == "failed input/output" })
        withExtendedLifetime(other) {}
      }
    }

    @Test("Key files are private, whole and checked")
    func keyFiles() throws {
      let path = temporaryPath("worker.key")
      let pair = try KeyPair.generate()
      try pair.write(to: path)
      var info = stat()
      #expect(stat(path, &info) == 0 && info.st_mode & 0o777 == 0o600)
      #expect(try KeyPair(contentsOf: path) == pair)
      #expect(!"\(pair)".contains(pair.secretKey))
      chmod(path, 0o640)
      #expect(throws: MeshError.self) { try KeyPair(contentsOf: path) }
      chmod(path, 0o600)
      let next = try KeyPair.generate()
      try next.write(to: path)
      #expect(try KeyPair(contentsOf: path) == next)
      for text in ["", "secret-key short\n", "secret-key \(next.secretKey)\npublic-key \(pair.publicKey)\n", "a\n"] {
        try write(text, to: path)
        chmod(path, 0o600)
        let error = #expect(throws: MeshError.self) { try KeyPair(contentsOf: path) }
        #expect(error?.code == .invalidFile)
      }
      #expect(throws: MeshError.self) { try KeyPair(contentsOf: path + ".missing") }
      #expect(throws: MeshError.self) { try pair.write(to: "/nonexistent/folder/key") }
    }

    @Test("Allow-lists say which line is wrong")
    func allowLists() throws {
      let key = try KeyPair.generate().publicKey
      #expect(try AllowList(text: "\(key) client a comment\r\n\n# more\n", source: "list").roles == [key: .client])
      for (line, text) in [
        (1, "\(key)"), (2, "\n\(key) king"), (1, "short client"), (2, "\(key) client\n\(key) ranker"),
      ] {
        let error = #expect(throws: MeshError.self) { try AllowList(text: text, source: "list") }
        #expect(error?.code == .invalidFile && error?.message.contains("line \(line)") == true)
      }
    }

    @Test("Nothing listens on or dials to the network without keys unless it is told to")
    func insecure() async throws {
      try await withLoop { loop in
        for text in ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://192.0.2.1:5570", "tcp://[::]:0", "tcp://gateway.test:1"] {
          let endpoint = try Endpoint(text)
          #expect(!endpoint.isLocal)
          let error = await #expect(throws: MeshError.self) { _ = try await loop.listener(text, Recorder()) }
          #expect(error?.code == .insecure && error?.hint?.contains("--insecure") == true)
          let dialling = await #expect(throws: MeshError.self) { _ = try await loop.dialer(endpoint, Recorder()) }
          #expect(dialling?.code == .insecure)
        }
        _ = try await loop.listener("tcp://0.0.0.0:0", Recorder(), security: .open(allowPublic: true))
        let list = AllowListSource(AllowList([:]))
        _ = try await loop.listener("tcp://*:0", Recorder(), security: .curve(.generate(), list))
        for text in [
          "tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://localhost:1", "tcp://[::1]:1", "inproc://a", "ipc:///a",
        ] {
          #expect(try Endpoint(text).isLocal)
        }
      }
    }

    @Test(
      "Malformed endpoints are refused with a reason",
      arguments: [
        "", "tcp://", "127.0.0.1:1", "udp://a:1", "tcp://a", "tcp://a:x", "tcp://a:65536", "tcp://a:-1", "tcp://::1:5",
        "tcp://[a]:5", "tcp://:5", "tcp://a;b:5", "tcp://a b:5", "inproc://", "tcp://a/b:5", "tcp://a:+5",
      ])
    func malformed(_ text: String) {
      let error = #expect(throws: MeshError.self) { try Endpoint(text) }
      #expect(error?.code == .invalidArgument)
    }

    @Test("Endpoints read back as they were written")
    func endpoints() throws {
      for text in ["tcp://127.0.0.1:5570", "tcp://[::1]:0", "tcp://*:1", "inproc://a-b", "ipc:///run/a.sock"] {
        #expect(try Endpoint(text).description == text)
      }
      #expect(try Endpoint("tcp://gateway:*").port == 0)
    }
  }
}
