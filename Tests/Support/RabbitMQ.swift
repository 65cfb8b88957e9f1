import Foundation

/// A real RabbitMQ with its MQTT plugin as the outside broker of a test: a node of its own, with everything that it keeps in
/// a directory of its own, and all its ports on 127.0.0.1.
package final class RabbitMQ: Sendable {
    /// The certificates of its TLS listener, as paths.
    package struct TLS: Sendable {
        package var certificate: String
        package var key: String
        /// Of the clients' certificates, whose common name is then the user.
        package var clientCA: String
        /// Whether a client without a certificate is turned away.
        package var requiresCertificate = true

        package init(certificate: String, key: String, clientCA: String) {
            self.certificate = certificate
            self.key = key
            self.clientCA = clientCA
        }
    }

    /// The one user, who may do everything.
    package static let user = "attic"
    package static let password = "open sesame"

    private static let program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    /// Starting takes some seconds, more with a busy machine.
    private static let startTime: Duration = .seconds(180)

    /// Of MQTT without TLS, with user name and password.
    package let port: Int
    /// Of MQTT with TLS; 0 without.
    package let securePort: Int
    /// Holds its database, so that another node can go on with it.
    private let home: Home
    private let portMapper: ChildProcess
    private let process: ChildProcess

    /// What it logs.
    package var log: OutputLog { self.process.output }

    /// What outlives a node.
    private struct Home: Sendable {
        let directory: TemporaryDirectory
        let port: Int
        let securePort: Int
        let mapperPort: Int
        let nodePort: Int
    }

    /// Starts a node, and waits until it listens.
    package static func start(tls: TLS? = nil) async throws -> RabbitMQ {
        let home = Home(
            directory: try TemporaryDirectory(),
            port: try FreePort.next(),
            securePort: tls == nil ? 0 : try FreePort.next(),
            mapperPort: try FreePort.next(),
            nodePort: try FreePort.next()
        )
        var lines = [
            "listeners.tcp = none", "mqtt.listeners.tcp.1 = 127.0.0.1:\(home.port)", "mqtt.allow_anonymous = false",
            "default_user = \(Self.user)", "default_pass = \(Self.password)", "disk_free_limit.absolute = 1MB",
            "log.console = true", "log.console.level = info", "log.file = false",
        ]
        if let tls {
            lines += [
                "mqtt.listeners.ssl.1 = 127.0.0.1:\(home.securePort)", "mqtt.ssl_cert_login = true",
                "ssl_cert_login_from = common_name", "auth_mechanisms.1 = PLAIN", "auth_mechanisms.2 = EXTERNAL",
                "ssl_options.certfile = \(tls.certificate)", "ssl_options.keyfile = \(tls.key)",
                "ssl_options.cacertfile = \(tls.clientCA)", "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = \(tls.requiresCertificate)",
            ]
        }
        try home.directory.write("rabbitmq.conf", lines.joined(separator: "\n") + "\n")
        try home.directory.write("plugins", "[rabbitmq_mqtt,rabbitmq_auth_mechanism_ssl].\n")
        return try await Self.start(home)
    }

    private static func start(_ home: Home) async throws -> RabbitMQ {
        let broker = try await RabbitMQ(home)
        try await broker.log.line("RabbitMQ ready", within: Self.startTime) {
            $0.contains("Server startup complete")
        }
        return broker
    }

    private init(_ home: Home) async throws {
        self.home = home
        self.port = home.port
        self.securePort = home.securePort
        // Erlang's port mapper would stay behind if the node started it.
        var environment = ["ERL_EPMD_PORT": "\(home.mapperPort)", "ERL_EPMD_ADDRESS": "127.0.0.1"]
        self.portMapper = try ChildProcess("epmd", ["-debug", "-debug"], environment: environment)
        try await self.portMapper.output.line(containing: "entering the main select() loop")
        let path = home.directory.path
        for (name, value) in [
            // For the cookie that Erlang makes there.
            "HOME": path, "RABBITMQ_NODENAME": "sealgate\(home.nodePort)@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": "\(home.nodePort)",
            "RABBITMQ_MNESIA_BASE": path + "/mnesia", "RABBITMQ_LOG_BASE": path + "/log", "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": path + "/rabbitmq.conf", "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": path + "/plugins", "RABBITMQ_PID_FILE": path + "/pid",
            "RABBITMQ_GENERATED_CONFIG_DIR": path + "/config",
            // The script then becomes the node, and has its process id.
            "RUNNING_UNDER_SYSTEMD": "1",
            // Idle threads don't spin, and other nodes may connect from this machine only.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-start_epmd false +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
        ] {
            environment[name] = value
        }
        self.process = try ChildProcess(Self.program, environment: environment)
    }

    /// Ends it as an operator would. What it keeps is there for ``restart()``.
    package func stop() async throws {
        self.process.signal(SIGTERM)
        try await self.process.waitForExit(within: .seconds(60))
        try await self.endPortMapper()
    }

    /// Ends it as a power cut would.
    package func kill() async throws {
        self.process.signal(SIGKILL)
        try await self.process.waitForExit()
        try await self.endPortMapper()
    }

    /// Starts another node on the same ports with the same database, when this one has ended.
    package func restart() async throws -> RabbitMQ {
        try await Self.start(self.home)
    }

    private func endPortMapper() async throws {
        self.portMapper.signal(SIGKILL)
        try await self.portMapper.waitForExit()
    }

    /// As the one user, without TLS. With a client id, what comes for it while it is away is kept.
    package func target(clientID: String? = nil) -> MosquittoTarget {
        var target = MosquittoTarget(port: self.port, clientID: clientID)
        target.options = ["-u", Self.user, "-P", Self.password]
        return target
    }
}
