// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that whoever builds GLTA builds neither gRPC nor protobuf.
let package = Package(
  name: "mesh-peers",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "glta", path: "../../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
  ],
  targets: [
    .executableTarget(
      name: "mesh-peers",
      dependencies: [
        .product(name: "GLTP", package: "glta"),
        .product(name: "Mesh", package: "glta"),
        .product(name: "MeshTesting", package: "glta"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
      ], resources: [.copy("Python/pyzmq_lz4.py")])
  ]
)
