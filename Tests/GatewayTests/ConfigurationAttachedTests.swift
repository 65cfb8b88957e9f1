import MQTTCodec
import Testing

@testable import Gateway

@Suite("[[listener]] with protocol = \"attach\"")
struct ConfigurationAttachedTests {
    private static let head = "[gateway]\nname = \"attic\"\n[[listener]]\nprotocol = \"attach\"\n"
    private static let profile =
        "[profile.x]\nseal = \"v1\"\npublish = [\"nodes/%d/#\"]\nsubscribe = [\"s\"]\nsession_topic = \"s\"\n"

    @Test("has the defaults of an uplink, and a client id of its own")
    func defaults() throws {
        let text = Self.head + "address = \"mqtt://localhost\"\nsubscribe = [\"nodes/%g/#\"]\n" + Self.profile
        let configuration = try GatewayConfiguration.parse(text)
        #expect(configuration.listeners.isEmpty)
        let attached = try #require(configuration.attached.first)
        #expect(attached.line == 3)
        #expect(attached.name == "localhost:1883")
        #expect(attached.broker.clientID == "attic-attached")
        #expect(!attached.broker.cleanSession)
        #expect(attached.broker.keepAlive == .seconds(60))
        #expect(attached.subscribe.map(\.description) == ["nodes/attic/#"])
        #expect(attached.commands == attached.subscribe)
        #expect(attached.prefix == nil)
        #expect(attached.rules.anonymous == .allowed)
        #expect(configuration.warnings.map(\.description).filter { $0.contains("listener") } == [])
    }

    @Test("takes everything that it has")
    func all() throws {
        let text =
            Self.head + """
                address = ["mqtts://one:1", "mqtts://two"]
                subscribe = ["nodes/#", "more/+/data"]
                commands = ["nodes/+/cmd"]
                prefix = "opened/"
                client_id = "a"
                username = "u"
                password_file = "p"
                ca = "c"
                certificate = "d"
                key = "e"
                keep_alive = "5s"
                connect_timeout = "1s"
                server_name = "one"
                tls_min = "1.3"
                tls_max = "1.3"

                """ + Self.profile
        let attached = try #require(try GatewayConfiguration.parse(text).attached.first)
        #expect(attached.commands.map(\.description) == ["nodes/+/cmd"])
        #expect(attached.prefix == "opened/")
        #expect(attached.broker.username == "u")
        #expect(attached.broker.files.map(\.path) == ["c", "d", "e", "p"])
        #expect(try GatewayConfiguration.parse(text).files.count == 4)
    }

    @Test("tells what is wrong, by line", arguments: wrong)
    func isWrong(file: BadFile) { #expect(file.found == file.findings) }

    @Test("warns of what was not meant", arguments: doubtful)
    func isDoubtful(file: BadFile) throws {
        let warnings = try GatewayConfiguration.parse(file.text, file: "F").warnings.map(\.description)
        #expect(warnings.filter { $0.contains("listener") } == file.findings)
    }

    private static let wrong: [BadFile] = [
        BadFile(
            "nothing",
            head,
            "3: listener[1].address: missing; write \"mqtt://localhost:1883\"",
            "3: listener[1].subscribe: missing; write [\"nodes/#\"]"
        ),
        BadFile(
            "keys of doors",
            head + "bind = \"0.0.0.0:1\"\nanonymous = true\naddress = \"mqtt://h\"\nsubscribe = [\"a\"]\n",
            "5: listener[1].bind: a listener with protocol \"attach\" is a client of the broker at address: "
                + "nobody connects here",
            "6: listener[1].anonymous: a listener with protocol \"attach\" is a client of the broker at address: "
                + "nobody connects here"
        ),
        BadFile(
            "its keys at a door",
            "[gateway]\nname = \"attic\"\n[[listener]]\nprotocol = \"mqtt\"\nbind = \"[::]:0\"\nanonymous = true\n"
                + "subscribe = [\"a\"]\nprefix = \"b/\"\n",
            "7: listener[1].subscribe: is for a listener with protocol = \"attach\", which is a client of a broker",
            "8: listener[1].prefix: is for a listener with protocol \"coap\", \"coaps\" or \"attach\""
        ),
        BadFile(
            "unknown keys and TLS without TLS",
            head + "address = \"mqtt://h\"\nsubscribe = [\"a\"]\nca = \"c\"\nprefiks = \"b\"\n",
            "7: listener[1].ca: mqtt:// has no TLS, so that this would not be used; write mqtts:// in address",
            "8: listener[1].prefiks: unknown key; did you mean \"prefix\"?"
        ),
        BadFile(
            "prefixes that are none",
            head + "address = \"mqtt://h\"\nsubscribe = [\"a\"]\nprefix = \"+/\"\n",
            "7: listener[1].prefix: expected the beginning of a topic up to a slash, such as \"opened/\""
        ),
        BadFile(
            "a loop",
            head + "address = \"mqtt://h\"\nsubscribe = [\"a\", \"#\"]\nprefix = \"opened/\"\n",
            "7: listener[1].prefix: a loop: what goes back to \"opened/a\" would come in again by subscribe, "
                + "which has \"#\""
        ),
        BadFile(
            "topics of each broker's own, and no topics",
            head + "address = \"mqtt://h\"\nsubscribe = [\"$SYS/#\"]\ncommands = [\"$share/a/b\"]\n",
            "6: listener[1].subscribe: \"$SYS/#\": topics that begin with $ are each broker's own",
            "7: listener[1].commands: \"$share/a/b\": topics that begin with $ are each broker's own"
        ),
        BadFile(
            "the same broker twice",
            head + "address = \"mqtt://h\"\nsubscribe = [\"a\"]\n"
                + "[[listener]]\nprotocol = \"attach\"\naddress = \"mqtt://h:1883\"\nsubscribe = [\"b\"]\n",
            "9: listener[2].address: the gateway is attached to h:1883 already on line 3"
        ),
    ]

    private static let doubtful: [BadFile] = [
        BadFile(
            "nothing to take",
            head + "address = \"mqtt://h\"\nsubscribe = [\"nodes/#\", \"other/#\"]\n" + profile,
            "F:6: warning: listener[1].subscribe[2]: no profile may publish there: "
                + "everything that comes from there will be refused"
        ),
        BadFile(
            "in the clear",
            head + "address = \"mqtt://h\"\nsubscribe = [\"nodes/#\"]\nprefix = \"opened/\"\n" + profile,
            "F:7: warning: listener[1].prefix: opened messages cross the network in the clear here: "
                + "only for a network that is trusted, otherwise write mqtts:// in address"
        ),
        BadFile(
            "an uplink to the same broker",
            head + "address = \"mqtt://h\"\nsubscribe = [\"nodes/#\"]\nclient_id = \"attic\"\n" + profile
                + "[uplink.u]\naddress = \"mqtt://h\"\n[[route]]\ndirection = \"out\"\nfrom = \"nodes/%d/#\"\n"
                + "to = \"nodes/x/%d/#\"\nuplink = \"u\"\n",
            "F:6: warning: listener[1].subscribe: a loop: the route of line 15 sends to the same broker, "
                + "where \"nodes/#\" takes it from",
            "F:7: warning: listener[1].client_id: it has the same client id as u at the same broker, "
                + "and they would throw each other out; name another one here"
        ),
    ]
}
