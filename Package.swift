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

let package = Package(
  name: "glta",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "glta", targets: ["glta"]),
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
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // System libraries: a module map and a shim header each.
    .systemLibrary(name: "COpenBLAS", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    // SHA-256. ZeroMQ needs libsodium anyway; swift-crypto would add three minutes of BoringSSL to every clean build.
    .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
    .target(name: "CProcessor"),

    // The libraries, in the order in which they may import one another.
    library("Tensors", ["COpenBLAS", "CProcessor", "CSodium"]),
    library("Interactions", ["Tensors", "CZlib"]),
    library("LanguageModels", ["Tensors"]),
    library("RankingEvaluation", ["Tensors", "Interactions"]),
    library("GraphEncoding", ["Tensors", "Interactions", "RankingEvaluation"]),
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

    .executableTarget(
      name: "glta",
      dependencies: [
        "Tensors", "Interactions", "LanguageModels", "RankingEvaluation", "GraphEncoding", "LogitsMatching",
        "TokenAlignment", "Bundles", "RankingStages", "Training",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    .target(name: "TestSupport", dependencies: ["Tensors"], path: "Tests/TestSupport", swiftSettings: settings),
    tests("Tensors", ["CProcessor"]),
    tests("Interactions", []),
    tests("LanguageModels", []),
    tests("RankingEvaluation", ["Interactions"]),
    tests("GraphEncoding", ["Interactions", "RankingEvaluation"]),
    tests("LogitsMatching", ["Tensors"]),
    tests("TokenAlignment", ["Tensors", "Interactions", "LanguageModels", "GraphEncoding", "LogitsMatching"]),
    // The tool as people call it, in processes of its own.
    .testTarget(
      name: "ToolTests", dependencies: ["glta", "Tensors", "TestSupport"], path: "Tests/ToolTests",
      swiftSettings: settings),
  ]
)
