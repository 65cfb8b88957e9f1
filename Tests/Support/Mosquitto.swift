import Foundation

/// A real mosquitto as the outside broker of a test, on ports of 127.0.0.1.
package final class Mosquitto: Sendable {
    /// One of its listeners.
    package enum Listener: Sendable {
        /// Plain TCP.
        case plain
        /// TLS with pre-shared keys, whose identity becomes the user name.
        case preSharedKey(version: String? = nil)
        /// TLS with certificates of both sides; the client's common name becomes the user name.
        case certificate(certificate: String, key: String, clientCA: String, version: String? = nil)
        /// WebSockets, over TLS if there is a certificate. Not the first: mosquitto does not start with WebSockets alone.
        case webSocket(certificate: String? = nil, key: String? = nil)
    }

    /// What it is to be.
    package struct Configuration: Sendable {
        /// In the order of ``Mosquitto/ports``.
        package var listeners: [Listener] = [.plain]
        /// Identities and their keys.
        package var keys: [String: [UInt8]] = [:]
        /// Text of the ACL file; without one everybody may do everything.
        package var acl: String?
        /// The newest TLS that it speaks, as OpenSSL's configuration names it (`TLSv1.2`); mosquitto itself has a floor only.
        package var maxTLS: String?
        /// Further lines of mosquitto.conf.
        package var extra: [String] = []

        /// One plain listener, open to everybody.
        package init() {}

        /// Everything to anonymous clients of a plain listener (the test itself), one branch to the gateway's identity.
        package mutating func allow(_ identity: String, branch: String) {
            self.acl = "topic readwrite #\n\nuser \(identity)\ntopic readwrite \(branch)\n"
        }
    }

    /// One for each listener.
    package let ports: [Int]
    private let directory: TemporaryDirectory
    private let process: ChildProcess

    /// What it logs.
    package var log: OutputLog { self.process.output }
    /// Of the first listener.
    package var port: Int { self.ports[0] }

    /// Starts a mosquitto, and waits until it listens.
    ///
    /// - Parameter ports: To start again where another one was; chosen if nil.
    package static func start(_ configuration: Configuration = .init(), ports: [Int]? = nil) async throws -> Mosquitto {
        var attempts = 5
        while true {
            attempts -= 1
            let broker = try Mosquitto(configuration, ports: ports)
            do {
                try await broker.log.line("running mosquitto") { $0.contains(" running") || $0.contains("Error:") }
                if !broker.log.lines.contains(where: { $0.contains("Error:") }) { return broker }
                throw OutputLog.Missing(description: broker.log.lines.joined(separator: "\n"))
            } catch  where attempts > 0 {
                continue  // A port was taken in between.
            }
        }
    }

    private init(_ configuration: Configuration, ports: [Int]?) throws {
        let directory = try TemporaryDirectory()
        var chosen: [Int] = []
        var lines = [
            "user root", "log_dest stderr", "log_type all", "per_listener_settings false", "allow_anonymous true",
            "max_queued_messages 0", "max_inflight_messages 0",
        ]
        if !configuration.keys.isEmpty {
            let entries = configuration.keys.sorted { $0.key < $1.key }.map { "\($0.key):\(hexText($0.value))" }
            lines.append("psk_file " + (try directory.write("psk", entries.joined(separator: "\n") + "\n")))
        }
        if let acl = configuration.acl { lines.append("acl_file " + (try directory.write("acl", acl))) }
        lines += configuration.extra
        for (index, listener) in configuration.listeners.enumerated() {
            let port = try ports.map { $0[index] } ?? FreePort.next()
            chosen.append(port)
            lines.append("listener \(port) 127.0.0.1")
            switch listener {
            case .plain: break
            case .preSharedKey(let version):
                lines += ["psk_hint test", "use_identity_as_username true"]
                if let version { lines.append("tls_version \(version)") }
            case .certificate(let certificate, let key, let clientCA, let version):
                lines += ["certfile \(certificate)", "keyfile \(key)", "cafile \(clientCA)"]
                lines += ["require_certificate true", "use_identity_as_username true"]
                if let version { lines.append("tls_version \(version)") }
            case .webSocket(let certificate, let key):
                lines.append("protocol websockets")
                if let certificate, let key { lines += ["certfile \(certificate)", "keyfile \(key)"] }
            }
        }
        let file = try directory.write("mosquitto.conf", lines.joined(separator: "\n") + "\n")
        self.ports = chosen
        self.directory = directory
        var environment: [String: String] = [:]
        if let maxTLS = configuration.maxTLS {
            let text =
                "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\nMaxProtocol = \(maxTLS)\n"
            environment["OPENSSL_CONF"] = try directory.write("openssl.cnf", text)
        }
        self.process = try ChildProcess("mosquitto", ["-c", file], environment: environment)
    }

    /// Ends it as an operator would.
    package func stop() async throws {
        self.process.signal(SIGTERM)
        try await self.process.waitForExit()
    }

    /// Ends it as a power cut would.
    package func kill() async throws {
        self.process.signal(SIGKILL)
        try await self.process.waitForExit()
    }
}
