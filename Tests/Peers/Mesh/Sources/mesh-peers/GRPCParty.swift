import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import SwiftProtobuf

/// A gRPC server with one unary method, and a client that is connected to it.
struct GRPCParty: Sendable {
  let caller: GRPCCaller
  private let server: GRPCServer<HTTP2ServerTransport.Posix>
  private let tasks: [Task<Void, any Error>]

  static func serve<Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>(
    _ method: MethodDescriptor, _ answer: @escaping @Sendable (Request) async throws -> Reply
  ) async throws -> GRPCParty {
    let transport = HTTP2ServerTransport.Posix(
      address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext)
    let server = GRPCServer(transport: transport, services: [UnaryService(method: method, answer: answer)])
    let serving = Task { try await server.serve() }
    guard let port = try await server.listeningAddress?.ipv4?.port else { throw WrongAnswer(peer: "gRPC server") }
    let client = GRPCClient(
      transport: try HTTP2ClientTransport.Posix(
        target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext))
    let connecting = Task { try await client.runConnections() }
    return GRPCParty(caller: GRPCCaller(client: client), server: server, tasks: [serving, connecting])
  }

  func stop() async {
    caller.client.beginGracefulShutdown()
    server.beginGracefulShutdown()
    for task in tasks { _ = await task.result }
  }
}

/// Makes unary calls, as generated stubs do.
struct GRPCCaller: Sendable {
  fileprivate let client: GRPCClient<HTTP2ClientTransport.Posix>

  func call<Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>(
    _ method: MethodDescriptor, _ request: Request
  ) async throws -> Reply {
    try await client.unary(
      request: ClientRequest(message: request), descriptor: method, serializer: ProtobufSerializer<Request>(),
      deserializer: ProtobufDeserializer<Reply>(), options: .defaults
    ) { try $0.message }
  }
}

/// What a generated service of one method registers.
private struct UnaryService<Request: SwiftProtobuf.Message, Reply: SwiftProtobuf.Message>: RegistrableRPCService {
  let method: MethodDescriptor
  let answer: @Sendable (Request) async throws -> Reply

  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: method, deserializer: ProtobufDeserializer<Request>(), serializer: ProtobufSerializer<Reply>()
    ) { [answer] request, _ in
      let request = try await ServerRequest(stream: request)
      return StreamingServerResponse(single: ServerResponse(message: try await answer(request.message)))
    }
  }
}
