import Testing

@testable import Gateway

@Suite("What is warned of in a gateway.conf")
struct ConfigurationWarningsTests {
    private func warnings(_ text: String) throws -> [String] {
        try GatewayConfiguration.parse(text, file: "F").warnings.map(\.description)
    }

    @Test("profiles that are no use", arguments: profiles)
    func ofProfiles(file: BadFile) throws { #expect(try self.warnings(file.text) == file.findings) }

    @Test("routes that are no use, or too much", arguments: routes)
    func ofRoutes(file: BadFile) throws { #expect(try self.warnings(file.text) == file.findings) }

    @Test("uplinks that get in each other's way, or give a password away", arguments: uplinks)
    func ofUplinks(file: BadFile) throws { #expect(try self.warnings(file.text) == file.findings) }

    @Test("passwords in the clear, but for those that don't leave the machine")
    func ofPasswords() throws {
        func listener(_ transport: String, _ bind: String, _ more: String = "") -> String {
            "[[listener]]\nprotocol = \"\(transport)\"\nbind = \"\(bind)\"\npassword = true\n\(more)\n"
        }
        let text =
            "[gateway]\nname = \"attic\"\n" + listener("mqtt", "127.0.0.1:1") + listener("mqtt", "[::1]:1")
            + listener("mqtt", "localhost:2") + listener("mqtt", "0.0.0.0:3")
            + listener("mqtts", "0.0.0.0:4", "certificate = \"a\"\nkey = \"b\"\n")
        #expect(
            try self.warnings(text) == [
                "F:21: warning: listener[4].password: passwords cross the network in the clear here: "
                    + "only for a network that is trusted, otherwise use a listener with TLS"
            ]
        )
    }

    @Test("WebSocket listeners that any web page may use")
    func ofOrigins() throws {
        func listener(_ more: String) -> String {
            BadFile.head + "[[listener]]\nprotocol = \"ws\"\nbind = \"[::]:0\"\nanonymous = true\n" + more
        }
        #expect(
            try self.warnings(listener("")) == [
                "F:10: warning: listener[2].anonymous: any web page that a browser of this network shows can connect here; "
                    + "name those that may in origins, or write origins = [] for no page at all"
            ]
        )
        #expect(try self.warnings(listener("origins = []")).isEmpty)
    }

    @Test("nothing in a file that can't be used: first things first")
    func notBesideErrors() {
        #expect(BadFile("", BadFile.head + "[profile.x]\nnonsense = 1\n").found.count == 1)
    }

    // MARK: Tables

    private static let profiles: [BadFile] = [
        BadFile(
            "allow nothing",
            BadFile.head + "[profile.x]\ndeny = [\"a\"]\n",
            "F:7: warning: profile.x: allows nothing: it has neither publish nor subscribe"
        ),
        BadFile(
            "deny what they allow",
            BadFile.head + """
                [profile.x]
                plaintext = true
                publish = ["nodes/%d/#", "other/%d"]
                subscribe = ["nodes/%d/cmd"]
                deny = ["nodes/#"]
                """,
            "F:9: warning: profile.x.publish[1]: is denied as a whole by line 11",
            "F:10: warning: profile.x.subscribe[1]: is denied as a whole by line 11"
        ),
        BadFile(
            "have nobody to prove their devices",
            BadFile.head + "[profile.x]\npublish = [\"nodes/%d/#\"]\n",
            "F:7: warning: profile.x: nobody can publish with it: its messages are neither sealed nor "
                + "plaintext = true, and no listener has psk = true, password = true or a client_ca to prove its devices"
        ),
        BadFile(
            "have nothing to tell their devices by",
            BadFile.head + "[profile.x]\nplaintext = true\npublish = [\"nodes/#\"]\n",
            "F:9: warning: profile.x.publish: nobody can publish with it: identify_by = \"topic\", but no filter has %d"
        ),
        BadFile(
            "are fine: by client id, proven, subscribing only",
            BadFile.head + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:0"
                psk = true
                [profile.a]
                plaintext = true
                identify_by = "client_id"
                publish = ["nodes/#"]
                [profile.b]
                publish = ["nodes/%d/#"]
                [profile.c]
                subscribe = ["nodes/%d/#"]
                """
        ),
        BadFile(
            "undo their seal, or can't fetch what it needs",
            BadFile.head + """
                [profile.x]
                seal = "v1"
                plaintext = true
                publish = ["nodes/%d/#"]
                subscribe = ["nodes/%d/cmd/#"]
                max_payload = "1MiB"
                [profile.y]
                seal = "v1"
                publish = ["nodes/%d/#"]
                subscribe = ["mytopic/#"]
                session_topic = "mytopic/sessionID"
                """,
            "F:9: warning: profile.x.plaintext: unsealed messages are taken as well, from anyone on an anonymous listener: "
                + "the seal then proves nothing",
            "F:11: warning: profile.x.subscribe: does not have \"nodes/%d/sessionID\": nodes can't fetch their session IDs, "
                + "and a sealed message needs one",
            "F:12: warning: profile.x.max_payload: is over max_packet of [limits], which comes first"
        ),
        BadFile(
            "give guests what needs a device",
            """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"
            [profile.guest]
            publish = ["cmd/#", "nodes/%d/cmd"]
            """,
            "F:8: warning: profile.guest.publish[2]: allows guests nothing: they are no device, and have nothing for %d"
        ),
    ]

    private static let sensor = """
        [profile.sensor]
        plaintext = true
        publish = ["nodes/%d/#"]
        subscribe = ["nodes/%d/cmd/#"]

        """

    private static func route(_ direction: String, _ from: String, _ to: String, _ uplink: String = "cloud") -> String {
        """
        [[route]]
        direction = "\(direction)"
        from = "\(from)"
        to = "\(to)"
        uplink = "\(uplink)"

        """
    }

    private static let routes: [BadFile] = [
        BadFile(
            "as the design has them",
            BadFile.head + BadFile.uplink + Self.sensor + Self.route("out", "nodes/%d/#", "sites/%g/%d/#")
                + Self.route("in", "sites/%g/%d/cmd/#", "nodes/%d/cmd/#")
        ),
        BadFile(
            "that nothing feeds, and nobody hears",
            BadFile.head + BadFile.uplink + Self.sensor + Self.route("out", "things/#", "sites/#")
                + Self.route("in", "sites/%g/%d/cmd/#", "nodes/%d/commands/#"),
            "F:15: warning: route[1].from: no profile may publish there: nothing will take this route",
            "F:21: warning: route[2].to: no profile may subscribe there: nobody will get it"
        ),
        BadFile(
            "fed by another uplink",
            BadFile.head + BadFile.uplink + "[uplink.lan]\naddress = \"mqtt://lan\"\n" + Self.sensor
                + Self.route("in", "lan/#", "nodes/x/cmd/#", "lan") + Self.route("out", "nodes/x/cmd/#", "sites/#")
        ),
        BadFile(
            "that go round",
            BadFile.head + BadFile.uplink + Self.sensor + Self.route("out", "nodes/%d/#", "sites/%g/%d/#")
                + Self.route("in", "sites/%g/#", "nodes/#"),
            "F:20: warning: route[2].from: a loop: whatever the route of line 13 sends out comes back in by this one"
        ),
        BadFile(
            "on two uplinks, which is no loop",
            BadFile.head + BadFile.uplink + "[uplink.lan]\naddress = \"mqtt://lan\"\n" + Self.sensor
                + Self.route("out", "nodes/%d/#", "sites/%g/%d/#") + Self.route("in", "sites/%g/#", "nodes/#", "lan")
        ),
        BadFile(
            "behind others that take everything",
            BadFile.head + BadFile.uplink + Self.sensor + Self.route("out", "nodes/#", "all/#")
                + Self.route("out", "nodes/%d/#", "sites/%d/#") + Self.route("out", "nodes/#", "again/#"),
            "F:20: warning: route[2].from: never used: the route of line 13 takes all these topics",
            "F:25: warning: route[3].from: never used: the route of line 13 takes all these topics"
        ),
        BadFile(
            "behind one that takes less",
            BadFile.head + BadFile.uplink + Self.sensor + Self.route("out", "nodes/%d/cmd/#", "a/%d/#")
                + Self.route("out", "nodes/%d/#", "b/%d/#") + Self.route("out", "nodes/+/#", "c/+/#")
        ),
    ]

    private static let uplinks: [BadFile] = [
        BadFile(
            "same client id, same broker",
            BadFile.head + """
                [uplink.a]
                address = ["mqtts://one", "mqtts://two"]
                [uplink.b]
                address = "mqtts://two"
                [uplink.c]
                address = "mqtts://three"
                [uplink.d]
                address = "mqtts://two"
                client_id = "d"
                """,
            "F:9: warning: uplink.b.client_id: b and a have the same client id at the same broker, "
                + "and would throw each other out; name another one here"
        ),
        BadFile(
            "a password in the clear",
            BadFile.head + "[uplink.a]\naddress = \"mqtt://h\"\nusername = \"u\"\npassword_file = \"p\"\n",
            "F:10: warning: uplink.a.password_file: mqtt:// sends the password in the clear; write mqtts:// in address"
        ),
    ]
}
