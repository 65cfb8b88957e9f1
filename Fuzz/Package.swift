// swift-tools-version: 6.2
import PackageDescription

// The gateway's own sources, by symbolic links, compiled with coverage for the fuzzer; nothing of the package above is
// built, and nothing that is fuzzed needs more than these two dependencies.

/// As the package above compiles its targets, and so that the fuzzer sees which way an input goes. Assertions stay: they are
/// part of what is looked for.
let instrumented: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .unsafeFlags(["-sanitize=fuzzer", "-parse-as-library", "-assert-config", "Debug", "-enable-testing"]),
]

extension Target.Dependency {
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let dequeModule: Self = .product(name: "DequeModule", package: "swift-collections")
    static let heapModule: Self = .product(name: "HeapModule", package: "swift-collections")
}

let package = Package(
    name: "fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "OpenSSL", dependencies: ["COpenSSL", .nioCore], swiftSettings: instrumented),
        .target(name: "MQTTCodec", dependencies: [.nioCore], swiftSettings: instrumented),
        .target(name: "CoAPCodec", dependencies: [.nioCore], swiftSettings: instrumented),
        .target(
            name: "Sealing",
            dependencies: ["CoAPCodec", "OpenSSL", .nioCore, .dequeModule],
            swiftSettings: instrumented
        ),
        .target(name: "Broker", dependencies: ["MQTTCodec", .nioCore, .dequeModule], swiftSettings: instrumented),
        .target(name: "Uplink", dependencies: ["MQTTCodec", .nioCore, .dequeModule], swiftSettings: instrumented),
        .target(
            name: "CoAPEndpoint",
            dependencies: ["CoAPCodec", "OpenSSL", .nioCore, .dequeModule, .heapModule],
            swiftSettings: instrumented
        ),
        .systemLibrary(name: "CLibFuzzer"),
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "Broker", "CLibFuzzer", "CoAPCodec", "CoAPEndpoint", "MQTTCodec", "OpenSSL", "Sealing", "Uplink",
                .nioCore,
            ],
            path: "Sources/Fuzz",
            swiftSettings: instrumented,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]
        ),
    ],
    swiftLanguageModes: [.v6]
)
