// swift-tools-version: 6.1
import PackageDescription

// GLTP and its tests alone, so that AddressSanitizer need not build all of GLTA:
//   swift test --package-path Tests/Sanitized -c release --sanitize=address --disable-xctest
// XCTest's runner, which has no tests here, leaks 144 bytes of its own.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
  name: "sanitized",
  platforms: [.macOS(.v15)],
  targets: [
    .systemLibrary(name: "CLZ4", providers: [.apt(["liblz4-dev"])]),
    .target(name: "GLTP", dependencies: ["CLZ4"], swiftSettings: settings),
    .testTarget(name: "GLTPTests", dependencies: ["GLTP", "CLZ4"], swiftSettings: settings),
  ]
)
