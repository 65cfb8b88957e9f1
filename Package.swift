// swift-tools-version: 6.2
import PackageDescription

/// Settings of every target of our own: Swift 6 language mode, the upcoming features, and no warning left standing.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

extension Target.Dependency {
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let nioPosix: Self = .product(name: "NIOPosix", package: "swift-nio")
    static let nioHTTP1: Self = .product(name: "NIOHTTP1", package: "swift-nio")
    static let nioWebSocket: Self = .product(name: "NIOWebSocket", package: "swift-nio")
    static let nioEmbedded: Self = .product(name: "NIOEmbedded", package: "swift-nio")
    static let nioTestUtils: Self = .product(name: "NIOTestUtils", package: "swift-nio")
    static let dequeModule: Self = .product(name: "DequeModule", package: "swift-collections")
    static let heapModule: Self = .product(name: "HeapModule", package: "swift-collections")
    static let grdb: Self = .product(name: "GRDB", package: "GRDB.swift")
    static let grdbSQLite: Self = .product(name: "GRDBSQLite", package: "GRDB.swift")
    static let tomlKit: Self = .product(name: "TOMLKit", package: "TOMLKit")
    static let argumentParser: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let logging: Self = .product(name: "Logging", package: "swift-log")
    static let serviceLifecycle: Self = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
}

let package = Package(
    name: "sealgate",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "sealgate", targets: ["sealgate"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    // In the order of the layers: a target imports only targets above it.
    targets: [
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CDatagrams"),
        .target(
            name: "OpenSSL",
            dependencies: ["COpenSSL", .nioCore],
            swiftSettings: strict + [.strictMemorySafety()]
        ),
        .target(name: "MQTTCodec", dependencies: [.nioCore], swiftSettings: strict),
        .target(name: "CoAPCodec", dependencies: [.nioCore], swiftSettings: strict),
        .target(
            name: "Sealing",
            dependencies: ["CoAPCodec", "OpenSSL", .nioCore, .dequeModule],
            swiftSettings: strict
        ),
        .target(name: "Devices", dependencies: ["CoAPCodec", "MQTTCodec", "Sealing", .nioCore], swiftSettings: strict),
        .target(name: "Broker", dependencies: ["MQTTCodec", .nioCore, .dequeModule], swiftSettings: strict),
        .target(
            name: "CoAPEndpoint",
            dependencies: ["CoAPCodec", "OpenSSL", .nioCore, .dequeModule, .heapModule],
            swiftSettings: strict
        ),
        .target(
            name: "Store",
            dependencies: [
                "Broker", "Devices", "MQTTCodec", "Sealing", .nioCore, .dequeModule, .grdb, .grdbSQLite, .logging,
            ],
            swiftSettings: strict
        ),
        .target(name: "Uplink", dependencies: ["MQTTCodec", .nioCore, .dequeModule], swiftSettings: strict),
        .target(
            name: "Transport",
            dependencies: [
                "Broker", "CDatagrams", "CoAPCodec", "CoAPEndpoint", "MQTTCodec", "OpenSSL", .nioCore, .nioHTTP1,
                .nioPosix, .nioWebSocket, .logging,
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Gateway",
            dependencies: [
                "Broker", "CoAPCodec", "CoAPEndpoint", "Devices", "MQTTCodec", "OpenSSL", "Sealing", "Store",
                "Transport", "Uplink", .nioCore, .nioPosix, .dequeModule, .tomlKit, .logging, .serviceLifecycle,
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "sealgate",
            dependencies: [
                "Broker", "Devices", "Gateway", "MQTTCodec", "OpenSSL", "Sealing", "Store", "Transport", "Uplink",
                .nioCore, .nioPosix, .argumentParser, .logging, .serviceLifecycle,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "TestSupport",
            dependencies: ["CoAPCodec", "OpenSSL", .nioCore],
            path: "Tests/Support",
            exclude: ["Vectors"],
            swiftSettings: strict
        ),
        .testTarget(name: "OpenSSLTests", dependencies: ["OpenSSL", "TestSupport", .nioCore], swiftSettings: strict),
        .testTarget(
            name: "MQTTCodecTests",
            dependencies: ["MQTTCodec", .nioCore, .nioTestUtils],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CoAPCodecTests",
            dependencies: ["CoAPCodec", "TestSupport", .nioCore],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SealingTests",
            dependencies: ["CoAPCodec", "OpenSSL", "Sealing", "TestSupport", .nioCore],
            swiftSettings: strict
        ),
        .testTarget(
            name: "DevicesTests",
            dependencies: ["Devices", "MQTTCodec", "Sealing", .nioCore],
            swiftSettings: strict
        ),
        .testTarget(
            name: "BrokerTests",
            dependencies: ["Broker", "MQTTCodec", "TestSupport", .nioCore],
            swiftSettings: strict
        ),
        .testTarget(
            name: "CoAPEndpointTests",
            dependencies: ["CoAPCodec", "CoAPEndpoint", "TestSupport", .nioCore],
            swiftSettings: strict
        ),
        .testTarget(
            name: "StoreTests",
            dependencies: [
                "Broker", "Devices", "MQTTCodec", "Sealing", "Store", "TestSupport", .nioCore, .nioPosix, .grdb,
                .grdbSQLite, .logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(name: "UplinkTests", dependencies: ["MQTTCodec", "Uplink", .nioCore], swiftSettings: strict),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "Broker", "CDatagrams", "CoAPCodec", "CoAPEndpoint", "MQTTCodec", "OpenSSL", "TestSupport", "Transport",
                .nioCore, .nioEmbedded, .nioPosix, .logging,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Broker", "CoAPCodec", "CoAPEndpoint", "Devices", "Gateway", "MQTTCodec", "OpenSSL", "Sealing", "Store",
                "TestSupport", "Transport", .nioCore, .nioPosix, .logging, .tomlKit,
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "SealgateTests",
            dependencies: ["Sealing", "TestSupport", "sealgate"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["CoAPCodec", "OpenSSL", "Sealing", "TestSupport", "sealgate", .nioCore],
            exclude: ["Clients", "Conversations"],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6]
)
