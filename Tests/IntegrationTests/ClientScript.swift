import Foundation
import TestSupport
import Testing

/// A script of the folder Clients, with one version of a library and one transport.
struct ClientScript: Sendable, Hashable, CustomStringConvertible {
    /// It could not say which scenarios it has.
    struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    /// Client ids begin with it.
    let tag: String
    let file: String
    /// Under .venv; Debian's own packages if nil or not there.
    var libraries: String?
    /// Of the listener.
    var listener = "mqtt"
    /// On mqtts: as the device `service`, with its pre-shared key, or else with the gateway's certificate.
    var hasKey = false

    var description: String { self.name }

    static let all = [
        ClientScript(name: "paho-mqtt 1.6", tag: "a", file: "paho_client.py", libraries: "paho1"),
        ClientScript(name: "paho-mqtt 2", tag: "b", file: "paho_client.py", libraries: "paho2"),
        ClientScript(
            name: "paho-mqtt 2, WebSocket",
            tag: "c",
            file: "paho_client.py",
            libraries: "paho2",
            listener: "ws"
        ),
        ClientScript(
            name: "paho-mqtt 2, TLS",
            tag: "h",
            file: "paho_client.py",
            libraries: "paho2",
            listener: "mqtts"
        ),
        ClientScript(name: "gmqtt", tag: "d", file: "gmqtt_client.py", libraries: "paho2"),
        ClientScript(name: "aiomqtt", tag: "e", file: "aiomqtt_client.py", libraries: "paho2"),
        ClientScript(name: "mosquitto's clients", tag: "f", file: "mosquitto_client.py"),
        ClientScript(
            name: "mosquitto's clients, TLS-PSK",
            tag: "i",
            file: "mosquitto_client.py",
            listener: "mqtts",
            hasKey: true
        ),
        ClientScript(name: "Mosquitto as a bridge", tag: "g", file: "bridge_client.py", libraries: "paho2"),
    ]

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    /// The environment of scripts/setup-tests.sh. Without it there are no libraries, and the tests fail.
    private static let python = Self.root + "/.venv/bin/python"

    private var environment: [String: String] {
        var environment = ["PYTHONDONTWRITEBYTECODE": "1"]
        if let libraries = self.libraries { environment["PYTHONPATH"] = Self.root + "/.venv/" + libraries }
        environment["PATH"] = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin") + ":/usr/sbin"
        return environment
    }

    private var command: [String] {
        [
            Self.root + "/Tests/IntegrationTests/Clients/" + self.file, "--denied", GuestSite.denied,
            "--max-keep-alive", "\(GuestSite.maxKeepAlive)",
        ]
    }

    /// Names of its scenarios.
    func scenarios() async throws -> [ClientScenario] {
        let finished = try await ChildProcess.run(
            Self.python,
            self.command + ["--list"],
            environment: self.environment
        )
        guard finished.exit == .status(0), !finished.output.isEmpty else {
            throw Unusable(description: "\(self.name): \(finished.all)")
        }
        return finished.output.map { ClientScenario(script: self, name: $0) }
    }

    fileprivate func start(_ site: GuestSite) throws -> ChildProcess {
        var arguments = ["--port", "\(try site.gateway.port(self.listener))", "--tag", self.tag]
        if self.listener == "ws" { arguments += ["--transport", "websockets"] }
        if self.hasKey {
            arguments += ["--psk-identity", "service", "--psk", hexText(GuestSite.key)]
        } else if self.listener == "mqtts" {
            // The name, not the address, for it is what certificates are made out to.
            arguments += ["--host", "localhost", "--ca", site.authority]
        }
        let child = try ChildProcess(Self.python, self.command + arguments, environment: self.environment)
        child.closeInput()
        return child
    }

    /// A trait of a suite: the scripts' runs against the site that its tests share.
    struct Shared: SuiteTrait, TestScoping {
        @TaskLocal fileprivate static var runs: Runs?

        func provideScope(
            for test: Test,
            testCase: Test.Case?,
            performing function: @concurrent @Sendable () async throws -> Void
        ) async throws {
            try await Self.$runs.withValue(Runs(site: try GuestSite.shared)) { try await function() }
        }
    }

    /// Starts each script when its first scenario is asked for.
    fileprivate actor Runs {
        private let site: GuestSite
        private var started: [ClientScript: ChildProcess] = [:]

        init(site: GuestSite) {
            self.site = site
        }

        func output(of script: ClientScript) throws -> OutputLog {
            if let running = self.started[script] { return running.output }
            let child = try script.start(self.site)
            self.started[script] = child
            return child.output
        }
    }
}

/// One scenario of a script.
struct ClientScenario: Sendable, CustomStringConvertible {
    let script: ClientScript
    let name: String

    var description: String { "\(self.script): \(self.name)" }

    static func all() async throws -> [ClientScenario] {
        var all: [ClientScenario] = []
        for script in ClientScript.all { all += try await script.scenarios() }
        return all
    }

    /// What the script says of it: `PASS` or `FAIL`, the name, and why.
    func result() async throws -> String {
        let runs = try #require(ClientScript.Shared.runs, "the suite has no trait ClientScript.Shared")
        let output = try await runs.output(of: self.script)
        return try await output.line("result of \(self)", within: .seconds(240)) {
            $0 == "PASS \(self.name)" || $0.hasPrefix("FAIL \(self.name): ")
        }
    }
}
