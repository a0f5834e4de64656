// swift-tools-version: 6.1
import PackageDescription

/// Every target is Swift 6 with strict concurrency; these features make the next language mode's rules ours today.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func library(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: name + "Tests", dependencies: [.init(stringLiteral: name)] + dependencies + ["TestSupport"],
    path: "Tests/\(name)Tests", swiftSettings: settings)
}

func service(_ name: String, _ folder: String) -> Target {
  .executableTarget(
    name: name,
    dependencies: [
      "Tensors", "LanguageModels", "Bundles", "Mesh", "StageServices", "ServiceSupport",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
    ],
    path: "Services/" + folder, swiftSettings: settings)
}

let package = Package(
  name: "glta",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "glta", targets: ["glta"]),
    .executable(name: "glta-gateway", targets: ["glta-gateway"]),
    .executable(name: "glta-graph-encoder", targets: ["glta-graph-encoder"]),
    .executable(name: "glta-token-aligner", targets: ["glta-token-aligner"]),
    .executable(name: "glta-logits-ranker", targets: ["glta-logits-ranker"]),
    .library(name: "Tensors", targets: ["Tensors"]),
    .library(name: "Interactions", targets: ["Interactions"]),
    .library(name: "LanguageModels", targets: ["LanguageModels"]),
    .library(name: "RankingEvaluation", targets: ["RankingEvaluation"]),
    .library(name: "GraphEncoding", targets: ["GraphEncoding"]),
    .library(name: "LogitsMatching", targets: ["LogitsMatching"]),
    .library(name: "TokenAlignment", targets: ["TokenAlignment"]),
    .library(name: "Bundles", targets: ["Bundles"]),
    .library(name: "RankingStages", targets: ["RankingStages"]),
    .library(name: "Training", targets: ["Training"]),
    .library(name: "GLTP", targets: ["GLTP"]),
    .library(name: "Mesh", targets: ["Mesh"]),
    .library(name: "StageServices", targets: ["StageServices"]),
    .library(name: "MeshTesting", targets: ["MeshTesting"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
  ],
  targets: [
    // System libraries: a module map and a shim header each.
    .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    // SHA-256. ZeroMQ needs libsodium anyway; swift-crypto would add three minutes of BoringSSL to every clean build.
    .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CLZ4", providers: [.apt(["liblz4-dev"])]),
    .target(name: "CProcessor"),
    .target(name: "CLinux"),

    // The libraries, in the order in which they may import one another.
    library("Tensors", ["CLinux", "COpenBLAS", "CProcessor", "CSodium"]),
    library("Interactions", ["Tensors", "CZlib"]),
    library("LanguageModels", ["Tensors"]),
    library("RankingEvaluation", ["Tensors", "Interactions"]),
    library("GraphEncoding", ["CProcessor", "Tensors", "Interactions", "RankingEvaluation"]),
    library("LogitsMatching", ["Tensors", "RankingEvaluation"]),
    library(
      "TokenAlignment",
      ["Tensors", "Interactions", "LanguageModels", "RankingEvaluation", "GraphEncoding", "LogitsMatching"],
      resources: [.embedInCode("Templates")]),
    library(
      "Bundles",
      [
        "Tensors", "Interactions", "LanguageModels", "GraphEncoding", "LogitsMatching", "TokenAlignment",
      ]),
    library(
      "RankingStages",
      [
        "Tensors", "Interactions", "LanguageModels", "RankingEvaluation", "GraphEncoding", "LogitsMatching",
        "TokenAlignment", "Bundles",
      ]),

    library(
      "Training",
      [
        "Tensors", "Interactions", "LanguageModels", "RankingEvaluation", "GraphEncoding", "LogitsMatching",
        "TokenAlignment", "Bundles", "RankingStages",
      ]),

    // The mesh's tree: it knows tensors, not models, and meets the other one in StageServices only.
    library("GLTP", ["CLZ4"]),
    library("Mesh", ["GLTP", "CZeroMQ", .product(name: "Logging", package: "swift-log")]),
    // For the tests of whoever builds on a mesh; an ordinary library, so that they can import it.
    library("MeshTesting", ["GLTP", "Mesh", .product(name: "Logging", package: "swift-log")]),
    library(
      "StageServices",
      [
        "Tensors", "Interactions", "LanguageModels", "GraphEncoding", "LogitsMatching", "TokenAlignment", "Bundles",
        "RankingStages", "GLTP", "Mesh",
      ]),

    // What the services share: settings, logs, and a life from start-up checks to the last run.
    .target(
      name: "ServiceSupport",
      dependencies: [
        "Tensors", "Bundles", "GLTP", "Mesh", "StageServices",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Configuration", package: "swift-configuration"),
        .product(name: "SystemPackage", package: "swift-system"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      path: "Services/Support", swiftSettings: settings),
    service("glta-gateway", "Gateway"),
    service("glta-graph-encoder", "GraphEncoder"),
    service("glta-token-aligner", "TokenAligner"),
    service("glta-logits-ranker", "LogitsRanker"),

    .executableTarget(
      name: "glta",
      dependencies: [
        "Tensors", "Interactions", "LanguageModels", "RankingEvaluation", "GraphEncoding", "LogitsMatching",
        "TokenAlignment", "Bundles", "RankingStages", "Training", "GLTP", "Mesh", "StageServices",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: settings),

    .target(name: "TestSupport", dependencies: ["Tensors"], path: "Tests/TestSupport", swiftSettings: settings),
    tests("Tensors", ["CProcessor"]),
    tests("Interactions", []),
    tests("LanguageModels", []),
    tests("RankingEvaluation", ["Interactions"]),
    tests("GraphEncoding", ["CProcessor", "Interactions", "RankingEvaluation"]),
    tests("LogitsMatching", ["Tensors"]),
    tests("TokenAlignment", ["Tensors", "Interactions", "LanguageModels", "GraphEncoding", "LogitsMatching"]),
    tests("Training", ["GraphEncoding", "Interactions", "LanguageModels", "RankingEvaluation", "Tensors"]),
    tests("GLTP", ["CLZ4"]),
    .target(
      name: "MeshTestSupport", dependencies: ["GLTP", "Mesh"], path: "Tests/MeshTestSupport", swiftSettings: settings),
    tests("Mesh", ["GLTP", "MeshTestSupport", .product(name: "Logging", package: "swift-log")]),
    tests("MeshTesting", ["GLTP", "Mesh", "MeshTestSupport"]),
    tests(
      "StageServices",
      [
        "Tensors", "Interactions", "LanguageModels", "LogitsMatching", "TokenAlignment", "Bundles", "RankingStages",
        "Training", "GraphEncoding", "GLTP", "Mesh",
      ]),
    // What the wire and the mesh allocate in steady state, counted in a process that is linked with its own malloc.
    .target(name: "CAllocationCounter", path: "Tests/Allocations/CAllocationCounter"),
    .executableTarget(
      name: "glta-allocations", dependencies: ["CAllocationCounter", "GLTP", "Mesh", "MeshTesting"],
      path: "Tests/Allocations/Probe", swiftSettings: settings),
    .testTarget(
      name: "AllocationTests", dependencies: ["glta-allocations", "TestSupport"], path: "Tests/AllocationTests",
      swiftSettings: settings),
    // The tool as people call it, in processes of its own.
    .testTarget(
      name: "Scenarios",
      dependencies: [
        "glta", "glta-gateway", "glta-graph-encoder", "glta-token-aligner", "glta-logits-ranker", "Tensors", "GLTP",
        "Mesh", "MeshTesting", "MeshTestSupport", "TestSupport",
      ], path: "Tests/Scenarios",
      swiftSettings: settings),
  ]
)
