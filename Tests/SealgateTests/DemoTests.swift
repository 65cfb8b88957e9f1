import Foundation
import TestSupport
import Testing

@Suite("sealgate demo", .inTurn, .ownThread)
struct DemoTests {
    private static let shippedFile = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("gateway.conf").path

    /// A gateway.conf beside which nothing else is, and a directory for temporary files that starts empty.
    private let directory: TemporaryDirectory
    private let temporary: TemporaryDirectory

    init() throws {
        self.directory = try TemporaryDirectory()
        self.temporary = try TemporaryDirectory()
        try self.configure { $0 }
    }

    /// Writes the shipped file with changes.
    private func configure(_ change: (String) -> String) throws {
        try self.directory.write("gateway.conf", change(try String(contentsOfFile: Self.shippedFile, encoding: .utf8)))
    }

    private func demo(_ arguments: String...) async throws -> ChildProcess.Finished {
        try await ChildProcess.run(
            GatewayProcess.binary,
            ["demo"] + arguments,
            environment: ["TMPDIR": self.temporary.path],
            directory: self.directory.path
        )
    }

    /// What is left of the demo's files.
    private var leftovers: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: self.temporary.path) }
    }

    /// The row of the table that begins so, as words without the beginning.
    private func row(_ start: String, in finished: ChildProcess.Finished) -> String? {
        let table = finished.output.drop { !$0.contains("delivered  refused  why") }
        return table.first { $0.hasPrefix(" \(start) ") }?.dropFirst(start.count + 1)
            .split(separator: " ").joined(separator: " ")
    }

    @Test("ends with 0 and the table when exactly the right messages arrived")
    func rightMessages() async throws {
        let finished = try await self.demo()
        #expect(finished.exit == .status(0), "\(finished.all)")
        #expect(finished.errors.isEmpty)
        #expect(finished.output.last == "Exactly the right messages arrived outside, each once.")
        #expect(self.row("garden   plain MQTT", in: finished) == "2 2 0")
        #expect(self.row("cellar   TLS-PSK", in: finished) == "1 1 0")
        #expect(self.row("kitchen  sealed v1", in: finished) == "9 9 0")
        #expect(self.row("kitchen  the same bytes again", in: finished) == "1 0 0 retransmission, acknowledged")
        #expect(self.row("forger   wrong keys", in: finished) == "1 0 1 bad seal")
        #expect(self.row("forger   garbage", in: finished) == "1 0 1 seal required")
        #expect(self.row("forger   no seal at all", in: finished) == "1 0 1 seal required")
        #expect(self.row("porch    kitchen's seal", in: finished) == "1 0 1 identity mismatch")
        #expect(self.row("replayer sent too late", in: finished) == "1 0 1 replay")
        #expect(self.row("replayer a recording", in: finished)?.hasPrefix("1 0 1 ") == true)
        #expect(self.row("cellar   on the kitchen's topic", in: finished) == "1 0 1 policy")
        #expect(self.row("garden   the cellar's commands", in: finished) == "1 0 1 policy")
        #expect(self.row("operator a command, from outside", in: finished) == "1 1 0")
        #expect(self.row("thief    outside, the gateway's key", in: finished) == "1 0 1 policy")
        #expect(self.row("all", in: finished) == "23 13 9")
        #expect(try self.leftovers.isEmpty)
    }

    @Test("shows each message in one line of at most 100 columns, without colours")
    func lines() async throws {
        let finished = try await self.demo()
        #expect(finished.output.allSatisfy { $0.count <= 100 && !$0.contains("\u{1B}") })
        for number in 1...9 {
            let end = "-> sites/attic/kitchen/temperature \"#\(number) 20.\(number) C\""
            let lines = finished.output.filter { $0.hasSuffix(end) }
            #expect(lines.count == 1)
            #expect(lines.allSatisfy { $0.contains(" 139 B ") })
        }
        #expect(finished.output.contains { $0.hasSuffix("<- sites/attic/cellar/cmd/light \"on\"") })
    }

    @Test("sends as many sealed messages as asked for")
    func manyMessages() async throws {
        let finished = try await self.demo("--messages", "21")
        #expect(finished.exit == .status(0), "\(finished.all)")
        // And one after each of the attacks.
        #expect(self.row("kitchen  sealed v1", in: finished) == "24 24 0")
    }

    @Test("ends with 1 and names the message when one arrives that should not")
    func tooGenerous() async throws {
        try self.configure { text in
            text.replacing(
                #"publish           = ["nodes/%d/#"]"#,
                with: #"publish           = ["nodes/%d/#", "nodes/+/temperature"]"#
            )
        }
        let finished = try await self.demo()
        #expect(finished.exit == .status(1), "\(finished.all)")
        let arrived = #"arrived outside and should not have: sites/attic/kitchen/temperature "7.6 C""#
        #expect(finished.errors.contains { $0.hasSuffix(arrived) })
        #expect(self.row("cellar   on the kitchen's topic", in: finished) == "1 0 0")
        #expect(try self.leftovers.isEmpty)
    }

    @Test("takes a free port where that of gateway.conf is taken, and says so")
    func takenPort() async throws {
        let port = try FreePort.next()
        try self.configure { text in
            // On one address, as the demo listens, one of them comes too late.
            text.replacing("0.0.0.0:1883", with: "127.0.0.1:\(port)").replacing("0.0.0.0:8883", with: "0.0.0.0:\(port)")
        }
        let finished = try await self.demo()
        #expect(finished.exit == .status(0), "\(finished.all)")
        #expect(finished.output.contains("Port \(port) (address already in use): a free one instead."))
    }

    @Test("says what a gateway.conf lacks that it can't show anything with")
    func unfitConfiguration() async throws {
        try self.configure { text in
            text.replacing(#"seal              = "v1" "#, with: #"seal              = "none" "#)
        }
        let finished = try await self.demo()
        #expect(finished.exit == .status(2))
        #expect(finished.errors.count == 1)
        #expect(finished.errors.contains { $0.contains("it has no profile with seal = \"v1\"") }, "\(finished.all)")
        #expect(finished.errors.contains { $0.hasSuffix("name another with --config FILE") })
        #expect(try self.leftovers.isEmpty)
    }

    @Test("reads the file that --config names", arguments: ["gateway.conf", "nowhere.conf"])
    func namedConfiguration(name: String) async throws {
        let file = self.directory.file(name)
        let finished = try await self.demo("--config", file)
        if name == "gateway.conf" {
            #expect(finished.exit == .status(0))
            #expect(finished.output.contains("Gateway \"attic\", as \(file) has it."))
        } else {
            #expect(finished.exit == .status(2))
            #expect(finished.errors.contains { $0.contains(file) })
        }
    }

    @Test("leaves no files behind when it is interrupted", arguments: [SIGINT, SIGTERM])
    func interrupted(signal: Int32) async throws {
        let demo = try ChildProcess(
            GatewayProcess.binary,
            ["demo", "--messages", "1000"],
            environment: ["TMPDIR": self.temporary.path],
            directory: self.directory.path
        )
        try await demo.output.line(containing: "#3 20.3 C")
        demo.signal(signal)
        #expect(try await demo.waitForExit() == .status(1))
        try await demo.output.line(containing: "sealgate: interrupted")
        #expect(try self.leftovers.isEmpty)
    }
}
