import Foundation
import TestSupport

/// The programs of `Tests/Peers`.
enum PeerPrograms {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// Starts a script. Without the environment of scripts/setup-tests.sh there are no libraries, and the tests fail.
    static func python(_ script: String, _ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(
            self.root + "/.venv/bin/python",
            [self.root + "/Tests/Peers/" + script] + arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": self.root + "/.venv/coap"]
        )
    }

    /// mbedtls_client, built once for all tests.
    private static let client = Task {
        let directory = try TemporaryDirectory()
        let output = directory.file("mbedtls_client")
        let source = PeerPrograms.root + "/Tests/Peers/mbedtls_client.c"
        let libraries = ["-lmbedtls", "-lmbedx509", "-lmbedcrypto"]
        let built = try await ChildProcess.run(
            "cc",
            ["-std=gnu11", "-O1", "-Wall", "-Werror", "-o", output, source] + libraries
        )
        guard built.exit == .status(0) else { throw MQTTPeer.Unexpected(description: "cc: \(built.all)") }
        return (directory: directory, path: output)
    }

    /// Path of the client made with mbedTLS.
    static func mbedTLS() async throws -> String { try await self.client.value.path }
}
