import Devices
import MQTTCodec
import Testing

@testable import Gateway

@Suite("Routes and commands in gateway.conf")
struct ConfigurationRoutingTests {
    @Test("reads what a route says of what crosses")
    func routes() throws {
        let configuration = try GatewayConfiguration.parse(
            BadFile.head + BadFile.uplink + """
                [[route]]
                direction = "out"
                from = "nodes/%d/+type/#"
                to = "sites/%g/+type/%d/#"
                uplink = "cloud"
                qos = 2
                retain = "never"
                ttl = "10min"
                priority = "high"
                from_uplinks = true
                [[route]]
                direction = "in"
                from = "sites/%g/%d/cmd/+"
                to = "nodes/%d/cmd/+"
                uplink = "cloud"
                retain = "always"
                keep = "last"
                seal = false
                """,
            file: "F"
        )
        var out = Route(
            direction: .out,
            from: try TopicTemplate("nodes/%d/+type/#", hasCaptures: true),
            to: try TopicTemplate("sites/%g/+type/%d/#", hasCaptures: true),
            uplink: "cloud",
            qos: .exactlyOnce,
            line: 9
        )
        out.retain = .never
        out.ttl = .seconds(600)
        out.priority = .high
        out.fromUplinks = true
        var back = Route(
            direction: .in,
            from: try TopicTemplate("sites/%g/%d/cmd/+"),
            to: try TopicTemplate("nodes/%d/cmd/+"),
            uplink: "cloud",
            line: 19
        )
        back.retain = .always
        back.keep = .last
        back.seal = false
        #expect(configuration.routes == [out, back])
    }

    @Test("reads which commands are sealed, and finds what is none")
    func sealedCommands() throws {
        func profile(_ line: String) -> String { BadFile.head + "[profile.x]\nseal = \"v1\"\n" + line }
        let listed = try GatewayConfiguration.parse(profile("sealed_commands = [\"a/%d/+\", \"b/%d\"]"), file: "F")
        #expect(listed.profiles["x"]?.commandTopics.map(\.text) == ["a/%d/+", "b/%d"])
        let none = try GatewayConfiguration.parse(profile("sealed_commands = []"), file: "F")
        #expect(none.profiles["x"]?.commandTopics.isEmpty == true)
        let implied = try GatewayConfiguration.parse(
            profile("subscribe = [\"nodes/%d/sessionID\", \"nodes/%d/cmd/#\", \"weather\"]"),
            file: "F"
        )
        #expect(implied.profiles["x"]?.commandTopics.map(\.text) == ["nodes/%d/cmd/#"])
        let bad = BadFile("", profile("sealed_commands = [\"a/b\", \"%d/+x\"]"))
        #expect(
            bad.found == [
                "9: profile.x.sealed_commands[2]: \"%d/+x\" has a wildcard (+ or #) where none may stand",
                "9: profile.x.sealed_commands: \"a/b\" has no %d: what is sealed is for one device alone",
            ]
        )
        #expect(
            BadFile("", profile("sealed_commands = true")).found
                == ["9: profile.x.sealed_commands: expected an array of strings, found true or false"]
        )
    }

    @Test("warns of commands whose session IDs nobody may publish, and of messages of uplinks that no route takes on")
    func warnings() throws {
        func warnings(_ lines: String) throws -> [String] {
            let text =
                BadFile.head + "[profile.x]\nseal = \"v1\"\nsubscribe = [\"nodes/%d/sessionID\", \"nodes/%d/cmd/#\"]\n"
                + lines
            return try GatewayConfiguration.parse(text, file: "F").warnings.map(\.description)
        }
        #expect(
            try warnings("publish = [\"nodes/%d/temp\"]\n") == [
                "F:10: warning: profile.x.publish: nodes can't publish their session IDs for the commands on "
                    + "\"nodes/%d/cmd/#\", which then wait for ever: allow \"nodes/%d/cmd/#\", or write "
                    + "sealed_commands = [] if the nodes take commands that are not sealed"
            ]
        )
        for fine in ["publish = [\"nodes/%d/#\"]\n", "publish = [\"nodes/%d/t\"]\nsealed_commands = []\n"] {
            #expect(try warnings(fine).isEmpty)
        }
        let uplinks = """
            publish = ["nodes/%d/#"]
            [uplink.a]
            address = "mqtt://a"
            [uplink.b]
            address = "mqtt://b"
            [[route]]
            direction = "in"
            from = "x/%d"
            to = "nodes/%d/cmd"
            uplink = "a"
            [[route]]
            direction = "in"
            from = "news"
            to = "news"
            uplink = "a"
            [[route]]
            direction = "out"
            from = "news"
            to = "news"
            uplink = "b"

            """
        #expect(
            try warnings(uplinks).map { String($0.prefix(30)) } == [
                "F:23: warning: route[2].to: no", "F:27: warning: route[3].from: ",
            ]
        )
        #expect(try warnings(uplinks + "from_uplinks = true\n").count == 1)
    }
}
