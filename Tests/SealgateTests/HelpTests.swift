import TestSupport
import Testing

@Suite(.inTurn) struct HelpTests {
    private static let commands = [
        "device", "device add", "device list", "device show", "device revoke", "device restore", "device remove",
        "device password", "device import", "device export", "seal", "unseal", "explain", "certs", "certs init",
        "status", "dead", "dead list", "dead show", "dead resend", "dead drop",
    ]

    @Test("every command teaches, with an example", arguments: commands)
    func discussion(_ command: String) async throws {
        let home = try CommandHome.make()
        let help = try await home.sealgate(command + " --help")
        #expect(help.exit == .status(0))
        #expect(help.output.first?.hasPrefix("OVERVIEW: ") == true)
        #expect(help.text.contains("\n  sealgate \(command)"), "\(help.text)")
    }

    @Test("whoever speaks CoAP finds himself in the help")
    func coap() async throws {
        let home = try CommandHome.make()
        #expect(try await home.sealgate("--help").text.contains("MQTT or CoAP"))
        let add = try await home.sealgate("device add --help").text
        #expect(add.contains("\"coaps\"") && add.contains("DTLS-PSK"))
    }

    @Test("no line of a table or an example breaks at 80 columns", arguments: ["", "demo", "device add", "certs init"])
    func width(_ command: String) async throws {
        let home = try CommandHome.make()
        let help = try await ChildProcess.run(
            GatewayProcess.binary,
            command.split(separator: " ").map(String.init) + ["--help"],
            environment: ["COLUMNS": "80"],
            directory: home.directory.path
        )
        let wide = try await ChildProcess.run(
            GatewayProcess.binary,
            command.split(separator: " ").map(String.init) + ["--help"],
            environment: ["COLUMNS": "500"],
            directory: home.directory.path
        )
        let examples = wide.output.prefix { !$0.hasPrefix("USAGE") }.filter { $0.hasPrefix("  ") }
        for line in examples { #expect(help.output.contains(line), "\(line)") }
    }

    @Test("no option takes a secret: other users of the machine can read a command line", arguments: commands)
    func options(_ command: String) async throws {
        let harmless: Set<String> = [
            "--profile", "--seal", "--node-id", "--keys", "--keys-of", "--psk-file", "--config", "--session-id", "--id",
            "--iv", "--directory", "--name", "--client", "--days", "--uplink", "--device", "--limit",
        ]
        let home = try CommandHome.make()
        let help = try await home.sealgate(command + " --help")
        for line in help.output {
            let words = line.split(separator: " ")
            for (word, next) in zip(words, words.dropFirst()) where word.hasPrefix("--") && next.hasPrefix("<") {
                #expect(harmless.contains(String(word)), "\(command) \(word)")
            }
        }
    }
}
