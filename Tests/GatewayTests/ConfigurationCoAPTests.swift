import CoAPCodec
import Devices
import Testing

@testable import Gateway

@Suite("CoAP in gateway.conf")
struct ConfigurationCoAPTests {
    private func parse(_ text: String) throws -> GatewayConfiguration {
        try GatewayConfiguration.parse(text, file: "F")
    }

    /// Lines 5 to 8 behind ``BadFile/gateway``. What follows starts on line 9.
    private static let coap = "[[listener]]\nprotocol = \"coap\"\nbind = \"[::]:5683\"\nanonymous = true\n"

    @Test("fills in every default")
    func defaults() throws {
        let text =
            BadFile.gateway + "[[listener]]\nprotocol = \"coap\"\nbind = \"[::]:5683\"\n[profile.x]\npublish = [\"a\"]"
        let configuration = try self.parse(text)
        let listener = try #require(configuration.listeners.first)
        #expect(listener.transport == .coap && listener.isCoAP && !listener.isTLS)
        #expect(listener.anonymous == .refused && listener.oscore && listener.provesDevices)
        #expect(listener.prefix == "ps" && listener.paths.isEmpty && !listener.multicast)
        #expect(listener.piggybackWithin == .milliseconds(500))
        let profile = try #require(configuration.profiles["x"])
        #expect(!profile.fresh && !profile.piggybackCommands && profile.senml == .keep)
        #expect(configuration.limits.maxCoapPeers == 20_000 && configuration.limits.maxCoapObservers == 10_000)
        #expect(configuration.limits.maxDtlsSessions == 2_000 && configuration.limits.maxCoapBody == 65_536)
        #expect(configuration.limits.dtlsIdleTimeout == .seconds(86_400))
    }

    @Test("reads every key")
    func everyKey() throws {
        let configuration = try self.parse(
            BadFile.gateway + """
                [[listener]]
                protocol = "coaps"
                bind = "0.0.0.0:5684"
                psk = true
                oscore = false
                prefix = ""
                [[listener]]
                protocol = "coap"
                bind = "0.0.0.0:5683"
                anonymous = "guest"
                prefix = "/a/b"
                multicast = true
                piggyback_within = "1s"
                paths = { "/t" = "nodes/%d/temp", "/a/c" = "%g/c" }
                [limits]
                max_coap_peers = 16
                max_coap_observers = 0
                max_dtls_sessions = 3
                dtls_idle_timeout = "1h"
                max_coap_body = "1KiB"
                [profile.guest]
                publish = ["#"]
                [profile.x]
                plaintext = true
                fresh = true
                piggyback_commands = true
                senml = "values"
                """
        )
        let (coaps, coap) = (configuration.listeners[0], configuration.listeners[1])
        #expect(coaps.psk && !coaps.oscore && coaps.prefix.isEmpty && coaps.isCoAP && !coaps.isTLS)
        #expect(coap.anonymous == .guest && coap.prefix == "a/b" && coap.multicast)
        #expect(coap.piggybackWithin == .seconds(1))
        #expect(
            coap.paths == [
                CoAPPathRule(path: ["a", "c"], topic: try TopicTemplate("%g/c"), line: 18),
                CoAPPathRule(path: ["t"], topic: try TopicTemplate("nodes/%d/temp"), line: 18),
            ]
        )
        #expect(coap.paths.map(\.text) == ["/a/c", "/t"])
        #expect(configuration.limits.maxCoapPeers == 16 && configuration.limits.maxCoapObservers == 0)
        #expect(configuration.limits.maxDtlsSessions == 3 && configuration.limits.maxCoapBody == 1_024)
        #expect(configuration.limits.dtlsIdleTimeout == .seconds(3_600))
        let profile = try #require(configuration.profiles["x"])
        #expect(profile.fresh && profile.piggybackCommands && profile.senml == .values)
    }

    @Test("takes the paths in the order of their lines, as a table of its own too")
    func pathsInOrder() throws {
        let text = BadFile.gateway + Self.coap + "[listener.paths]\n\"/z\" = \"z\"\n\"/a\" = \"a\"\n"
        #expect(
            try self.parse(text).listeners[0].paths.map { "\($0.line) \($0.text) \($0.topic)" } == [
                "10 /z z", "11 /a a",
            ]
        )
    }

    @Test("lets UDP and TCP have the same port, and no two of UDP")
    func ports() {
        let both = BadFile.head.replacing("127.0.0.1:0", with: "[::]:5683") + Self.coap
        #expect(BadFile("", both).found.isEmpty)
        let coaps = "[[listener]]\nprotocol = \"coaps\"\nbind = \"[::]:5683\"\npsk = true\n"
        #expect(BadFile("", both + coaps).found == ["13: listener[3].bind: [::]:5683 is bound already on line 9"])
    }

    @Test("what is said of bad ones", arguments: bad)
    func findings(file: BadFile) { #expect(file.found == file.findings) }

    @Test("what is warned of", arguments: odd)
    func warnings(file: BadFile) throws {
        #expect(try self.parse(file.text).warnings.map { String($0.description.dropFirst(2)) } == file.findings)
    }

    // MARK: Tables

    private static func coapKey(_ key: String) -> String {
        "\(key): is for a listener with protocol \"coap\" or \"coaps\""
    }

    private static let noCertificates =
        "CoAP has no certificates here: devices have a pre-shared key (\"coaps\"), or OSCORE"
    private static let attachedKey =
        "a listener with protocol \"attach\" is a client of the broker at address: nobody connects here"

    private static let bad: [BadFile] = [
        BadFile(
            "its keys on a listener of MQTT, and on an attached broker",
            BadFile.head + """
                prefix = "/ps"
                paths = { "/t" = "t" }
                oscore = true
                multicast = true
                piggyback_within = "1s"
                [[listener]]
                protocol = "attach"
                address = "mqtt://localhost"
                subscribe = ["nodes/#"]
                oscore = true
                """,
            "7: listener[1].prefix: is for a listener with protocol \"coap\", \"coaps\" or \"attach\"",
            "8: listener[1].\(coapKey("paths"))",
            "9: listener[1].\(coapKey("oscore"))",
            "10: listener[1].\(coapKey("multicast"))",
            "11: listener[1].\(coapKey("piggyback_within"))",
            "16: listener[2].oscore: \(attachedKey)"
        ),
        BadFile(
            "the keys of others",
            BadFile.gateway + Self.coap + """
                psk = true
                password = true
                certificate = "a.crt"
                key = "a.key"
                client_ca = "ca.crt"
                tls_min = "1.2"
                path = "/mqtt"
                origins = []
                on_denied = "close"
                """,
            "9: listener[1].psk: a listener with protocol \"coap\" has no DTLS; write protocol = \"coaps\"",
            "10: listener[1].password: CoAP has neither user names nor passwords",
            "11: listener[1].certificate: \(noCertificates)",
            "12: listener[1].key: \(noCertificates)",
            "13: listener[1].client_ca: \(noCertificates)",
            "14: listener[1].tls_min: \(noCertificates)",
            "15: listener[1].path: is for WebSockets; over CoAP there are prefix and paths",
            "16: listener[1].origins: is for WebSockets",
            "17: listener[1].on_denied: is for MQTT: over CoAP, who publishes where it may not is told so (4.03)"
        ),
        BadFile(
            "a slip, values that are none, and out of range",
            BadFile.gateway + Self.coap + """
                oscor = true
                oscore = "yes"
                multicast = 1
                prefix = 5
                piggyback_within = "2s"
                paths = ["/t"]
                """,
            "9: listener[1].oscor: unknown key; did you mean \"oscore\"?",
            "10: listener[1].oscore: expected true or false, found a string",
            "11: listener[1].multicast: expected true or false, found a whole number",
            "12: listener[1].prefix: expected a string, found a whole number",
            "13: listener[1].piggyback_within: \"2s\" is out of range: 0s to 1500ms",
            "14: listener[1].paths: expected paths such as { \"/t\" = \"nodes/%d/temp\" }, found an array"
        ),
        BadFile(
            "that nobody can use",
            BadFile.gateway + """
                [[listener]]
                protocol = "coap"
                bind = "[::]:5683"
                oscore = false
                [[listener]]
                protocol = "coaps"
                bind = "[::]:5684"
                [[listener]]
                protocol = "coaps"
                bind = "[::]:5685"
                psk = false
                multicast = true
                [[listener]]
                protocol = "coap"
                """,
            "5: listener[1].anonymous: nobody can use this listener: without OSCORE plain CoAP proves nothing, and "
                + "anonymous = false refuses what proves nothing; write oscore = true, or anonymous = true or \"guest\"",
            "9: listener[2]: a listener with protocol \"coaps\" needs psk = true",
            "15: listener[3].psk: a listener with protocol \"coaps\" needs psk = true",
            "16: listener[3].multicast: there are no groups with DTLS; write protocol = \"coap\"",
            "17: listener[4].bind: missing; write \"0.0.0.0:5683\""
        ),
        BadFile(
            "prefixes that are none",
            BadFile.gateway
                + [
                    "ps", "/", "//a", "/a/", "/a/../b", "/a+", "/%d", "/a?b", "/sid", "/.well-known/x", "/time/x",
                    "/ps",
                ]
                .enumerated().map { index, prefix in
                    "[[listener]]\nprotocol = \"coap\"\nbind = \"[::]:\(index + 1)\"\nprefix = \"\(prefix)\"\n"
                }.joined(),
            "8: listener[1].prefix: \"ps\" does not begin with /; \(prefixCure)",
            "16: listener[3].prefix: \"//a\" has an empty segment; \(prefixCure)",
            "20: listener[4].prefix: \"/a/\" has an empty segment; \(prefixCure)",
            "24: listener[5].prefix: \"/a/../b\" has a segment . or ..; \(prefixCure)",
            "28: listener[6].prefix: \"/a+\" holds +: \(plain); \(prefixCure)",
            "32: listener[7].prefix: \"/%d\" holds %: \(plain); \(prefixCure)",
            "36: listener[8].prefix: \"/a?b\" holds ?: \(plain); \(prefixCure)",
            "40: listener[9].prefix: /sid is the gateway's own",
            "44: listener[10].prefix: /.well-known is the gateway's own",
            "48: listener[11].prefix: /time is the gateway's own"
        ),
        BadFile(
            "paths that are none, or are there already",
            BadFile.gateway + Self.coap + """
                [listener.paths]
                t = "t"
                "/" = "t"
                "/a//b" = "t"
                "/ps" = "t"
                "/ps/t" = "t"
                "/time" = "t"
                "/.well-known/core" = "t"
                "/1" = 5
                "/2" = "nodes/+/t"
                "/3" = "a/#/b"
                "/4" = "$SYS/x"
                "/5" = "nodes/%d/sessionID"
                "/6" = "sealgate/attic/x"
                "/7\\u0001" = "t"
                "/\(String(repeating: "x", count: 256))" = "t"
                "/p" = "t"
                "/pss" = "t"
                [profile.x]
                seal = "v1"
                """,
            "10: listener[1].paths.t: the path does not begin with /",
            "11: listener[1].paths.\"/\": the path has an empty segment",
            "12: listener[1].paths.\"/a//b\": the path has an empty segment",
            "13: listener[1].paths.\"/ps\": is below the prefix /ps, where the rest of a path is the topic",
            "14: listener[1].paths.\"/ps/t\": is below the prefix /ps, where the rest of a path is the topic",
            "15: listener[1].paths.\"/time\": /time is the gateway's own",
            "16: listener[1].paths.\"/.well-known/core\": /.well-known is the gateway's own",
            "17: listener[1].paths.\"/1\": expected a string, found a whole number",
            "18: listener[1].paths.\"/2\": \"nodes/+/t\" has a wildcard, and has to be one topic",
            "19: listener[1].paths.\"/3\": \"a/#/b\" has a wildcard (+ or #) where none may stand",
            "20: listener[1].paths.\"/4\": \"$SYS/x\" \(ownTopic)",
            "21: listener[1].paths.\"/5\": \"nodes/%d/sessionID\" \(ownTopic)",
            "22: listener[1].paths.\"/6\": \"sealgate/attic/x\" \(ownTopic)",
            "23: listener[1].paths.\"/7\\u{1}\": the path holds a control character: \(plain)",
            "24: listener[1].paths.\"/\(String(repeating: "x", count: 63))…\": the path has a segment of 256 bytes, over 255"
        ),
        BadFile(
            "too many paths",
            BadFile.gateway + Self.coap + "[listener.paths]\n"
                + (1...65).map { "\"/\($0)\" = \"t\"\n" }.joined(),
            "9: listener[1].paths: has 65 entries, over 64"
        ),
        BadFile(
            "of profiles and limits",
            BadFile.head + """
                [profile.x]
                fresh = 1
                piggyback_command = true
                piggyback_commands = "yes"
                senml = "record"
                [limits]
                max_coap_peers = 15
                max_coap_observers = -1
                max_dtls_sessions = 0
                dtls_idle_timeout = "59s"
                max_coap_body = "17MiB"
                """,
            "8: profile.x.fresh: expected true or false, found a whole number",
            "9: profile.x.piggyback_command: unknown key; did you mean \"piggyback_commands\"?",
            "10: profile.x.piggyback_commands: expected true or false, found a string",
            "11: profile.x.senml: \"record\" is not known; did you mean \"records\"?",
            "13: limits.max_coap_peers: 15 is out of range: 16 to 1000000",
            "14: limits.max_coap_observers: -1 is out of range: 0 to 1000000",
            "15: limits.max_dtls_sessions: 0 is out of range: 1 to 100000",
            "16: limits.dtls_idle_timeout: \"59s\" is out of range: 1min to 30d",
            "17: limits.max_coap_body: \"17MiB\" is out of range: 1KiB to 16MiB"
        ),
    ]

    private static let prefixCure = "expected a path such as \"/ps\", or \"\" for none"
    private static let plain = "a path is plain text, with no query and no placeholder"
    private static let ownTopic =
        "is a topic of the gateway's own, where nobody publishes; session IDs are at /sid"

    private static let odd: [BadFile] = [
        BadFile(
            "nothing of a door for devices that prove themselves, and for unsealed ones that answer a challenge",
            BadFile.gateway + Self.coap + """
                [[listener]]
                protocol = "coaps"
                bind = "[::]:5684"
                psk = true
                [profile.proven]
                publish = ["nodes/%d/#"]
                subscribe = ["nodes/%d/cmd/#"]
                piggyback_commands = true
                [profile.plain]
                plaintext = true
                fresh = true
                senml = "records"
                publish = ["plain/%d/#"]
                """
        ),
        BadFile(
            "nothing of devices that only OSCORE proves, and of plaintext that stays on this machine",
            BadFile.gateway + """
                [[listener]]
                protocol = "coap"
                bind = "[::]:5683"
                [[listener]]
                protocol = "coap"
                bind = "127.0.0.1:5683"
                anonymous = true
                [profile.proven]
                publish = ["nodes/%d/#"]
                [profile.plain]
                plaintext = true
                publish = ["plain/%d/#"]
                """
        ),
        BadFile(
            "plaintext that anyone can forge",
            BadFile.gateway + Self.coap + "[profile.plain]\nplaintext = true\npublish = [\"plain/%d/#\"]\n",
            "8: warning: listener[1].anonymous: whoever can send a datagram here, from whatever address it says, can speak for "
                + "the devices of profile plain, and send again what was recorded; fresh = true there asks that the sender "
                + "answers from its address now"
        ),
        BadFile(
            "keys that do nothing without a listener for them",
            BadFile.head + """
                [profile.x]
                plaintext = true
                publish = ["nodes/%d/#"]
                fresh = true
                piggyback_commands = true
                senml = "records"
                """,
            "10: warning: profile.x.fresh: does nothing: it is about messages of plaintext = true over a listener with "
                + "protocol = \"coap\" and anonymous = true",
            "11: warning: profile.x.piggyback_commands: does nothing: no listener has protocol = \"coap\" or \"coaps\"",
            "12: warning: profile.x.senml: does nothing: no listener has protocol = \"coap\" or \"coaps\""
        ),
        BadFile(
            "keys that do nothing here",
            BadFile.gateway + """
                [[listener]]
                protocol = "coap"
                bind = "127.0.0.1:5683"
                multicast = true
                paths = { "/t" = "nodes/%d/temp", "/u" = "other/%d" }
                [[listener]]
                protocol = "coaps"
                bind = "[::]:5684"
                psk = true
                anonymous = true
                [profile.x]
                seal = "v1"
                publish = ["nodes/%d/#"]
                subscribe = ["nodes/%d/sessionID"]
                piggyback_commands = true
                """,
            "8: warning: listener[1].multicast: does nothing: what is sent to a group reaches only a listener on all addresses, "
                + "\"0.0.0.0:5683\" or \"[::]:5683\"",
            "9: warning: listener[1].paths.\"/u\": no profile may publish or subscribe on \"other/%d\": "
                + "nobody can use this path",
            "14: warning: listener[2].anonymous: does nothing: each DTLS session has proven a device",
            "19: warning: profile.x.piggyback_commands: does nothing: subscribe has no topic with %d on which commands "
                + "could come"
        ),
        BadFile(
            "a door with DTLS alone, where nobody comes in unproven",
            BadFile.gateway + """
                [[listener]]
                protocol = "coaps"
                bind = "[::]:5684"
                psk = true
                [profile.x]
                plaintext = true
                publish = ["nodes/#"]
                """
        ),
    ]
}
