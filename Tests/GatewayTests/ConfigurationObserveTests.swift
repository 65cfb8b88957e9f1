import Devices
import MQTTCodec
import Testing

@testable import Gateway

@Suite("[[observe]] in gateway.conf")
struct ConfigurationObserveTests {
    private static let profile = "[profile.x]\nplaintext = true\npublish = [\"nodes/%d/#\"]\n"
    /// What follows starts on line 10.
    private static let head = BadFile.head + Self.profile

    private static func table(_ resource: String, _ more: String = "") -> String {
        "[[observe]]\nresource = \"\(resource)\"\ndevice = \"kitchen\"\ntopic = \"nodes/%d/temp\"\n\(more)"
    }

    @Test("reads a table, with its defaults")
    func table() throws {
        let text = Self.head + Self.table("coap://10.0.0.7/temp") + Self.table("coap://n:99", "retain = true\n")
        let configuration = try GatewayConfiguration.parse(text)
        #expect(configuration.warnings.isEmpty)
        let first = try #require(configuration.observed.first)
        #expect(first.line == 10 && first.text == "coap://10.0.0.7/temp")
        #expect(first.address == NetworkAddress(host: "10.0.0.7", port: 5683) && !first.hasName)
        #expect(first.path == ["temp"] && first.queries.isEmpty)
        #expect(first.device.text == "kitchen" && first.topic.description == "nodes/kitchen/temp" && !first.retain)
        let second = try #require(configuration.observed.last)
        #expect(second.address == NetworkAddress(host: "n", port: 99) && second.hasName && second.retain)
        #expect(second.path.isEmpty)
    }

    @Test(
        "takes a URI apart (RFC 7252 §6.4)",
        arguments: [
            ("coap://h", [], []), ("coap://h/", [], []), ("COAP://h/a/b", ["a", "b"], []),
            ("coap://h/a//b/", ["a", "", "b", ""], []), ("coap://h?q", [], ["q"]),
            ("coap://h/a?u=C&n&", ["a"], ["u=C", "n", ""]), ("coap://h/a%2Fb/%c3%a9?x%26y", ["a/b", "é"], ["x&y"]),
            ("coap://[fe80::1%eth0]:1/a", ["a"], []),
        ] as [(String, [String], [String])]
    )
    func addresses(_ text: String, _ path: [String], _ queries: [String]) throws {
        let address = try ResourceAddress(text)
        #expect(address.path == path && address.queries == queries)
        #expect(address.address.port == (text.contains(":1/") ? 1 : 5683))
        #expect(address.hasName == !text.contains("["))
    }

    @Test("what is said of bad ones", arguments: bad)
    func findings(file: BadFile) { #expect(file.found == file.findings) }

    @Test("warns of a topic where the device may not publish")
    func topic() throws {
        let text = Self.head + Self.table("coap://10.0.0.7/temp").replacing("nodes/%d/temp", with: "nodes/cellar/temp")
        #expect(
            try GatewayConfiguration.parse(text, file: "F").warnings.map(\.description).map { String($0.dropFirst(2)) }
                == [
                    "13: warning: observe[1].topic: no profile lets device kitchen publish there: everything from this resource "
                        + "will be refused"
                ]
        )
    }

    private static func bad(_ name: String, _ resource: String, _ message: String) -> BadFile {
        BadFile(name, Self.head + Self.table(resource), "11: observe[1].resource: \(message)")
    }

    private static let bad: [BadFile] = [
        BadFile(
            "an empty table",
            Self.head + "[[observe]]\n",
            "10: observe[1].resource: missing; write \"coap://10.0.0.7/temp\"",
            "10: observe[1].device: missing; write \"kitchen\"",
            "10: observe[1].topic: missing; write \"nodes/%d/temp\""
        ),
        BadFile(
            "wrong values",
            Self.head + "[[observe]]\nresource = 1\ndevice = \"a/b\"\ntopic = \"nodes/+/temp\"\nretain = 1\nqos = 1\n",
            "11: observe[1].resource: expected a string, found a whole number",
            "12: observe[1].device: the id has the character /, which is not one of A-Z a-z 0-9 . _ -",
            "14: observe[1].retain: expected true or false, found a whole number",
            "15: observe[1].qos: unknown key"
        ),
        BadFile(
            "a wildcard, and a topic of the gateway's own",
            Self.head + Self.table("coap://a/1").replacing("nodes/%d/temp", with: "nodes/%d/#")
                + Self.table("coap://a/2").replacing("nodes/%d/temp", with: "$SYS/a"),
            "13: observe[1].topic: \"nodes/%d/#\" has a wildcard: messages are published on one topic",
            "17: observe[2].topic: starts with $: such topics are the gateway's own"
        ),
        BadFile(
            "the same resource twice",
            Self.head + Self.table("coap://a/1") + Self.table("coap://a:5683/1"),
            "15: observe[2].resource: it is observed already on line 10"
        ),
        Self.bad("no URI", "10.0.0.7/temp", "\"10.0.0.7/temp\" is no URI; write \"coap://10.0.0.7/temp\""),
        Self.bad("DTLS", "coaps://a/b", "\"coaps://a/b\": nodes are asked over plain CoAP only; write \"coap://\""),
        Self.bad("another scheme", "http://a/b", "\"http://a/b\" does not begin with coap://"),
        Self.bad(
            "a fragment",
            "coap://a/b#c",
            "\"coap://a/b#c\" has a fragment, which no node is told; write # as %23"
        ),
        Self.bad("port 0", "coap://a:0/b", "\"coap://a:0/b\": no node has port 0"),
        Self.bad(
            "a group",
            "coap://224.0.1.187/b",
            "\"coap://224.0.1.187/b\": a resource is one node's, and 224.0.1.187 is nobody's own"
        ),
        Self.bad(
            "a group of IPv6",
            "coap://[ff02::fd]/b",
            "\"coap://[ff02::fd]/b\": a resource is one node's, and ff02::fd is nobody's own"
        ),
        Self.bad("a dot segment", "coap://a/../b", "\"coap://a/../b\" has a segment . or .."),
        Self.bad(
            "a bad escape",
            "coap://a/%4",
            "\"coap://a/%4\": after a % come two hexadecimal digits, and all is UTF-8"
        ),
        Self.bad(
            "ill-formed UTF-8",
            "coap://a/%ff",
            "\"coap://a/%ff\": after a % come two hexadecimal digits, and all is UTF-8"
        ),
        Self.bad(
            "a long segment",
            "coap://a/" + String(repeating: "b", count: 256),
            "has a part of 256 bytes, over 255"
        ),
    ]
}
