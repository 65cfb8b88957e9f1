import Devices
import MQTTCodec
import Testing

@testable import Gateway

@Suite("gateway.conf: state topics and the clock")
struct ConfigurationStateTests {
    private func parse(_ gateway: String = "", uplink: String = "", limits: String = "") throws -> GatewayConfiguration
    {
        let text = """
            [gateway]
            name = "attic"
            \(gateway)
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = true
            [limits]
            \(limits)
            [uplink.cloud]
            address = "mqtt://localhost"
            \(uplink)
            """
        return try GatewayConfiguration.parse(text, file: "F")
    }

    @Test("by default everything is below sealgate and the gateway's name")
    func defaults() throws {
        let configuration = try self.parse()
        #expect(configuration.stateTopics.bridge.description == "sealgate/attic/bridge/state")
        #expect(configuration.stateTopics.uplink("cloud").description == "sealgate/attic/uplink/cloud")
        #expect(configuration.stateTopics.reserved.text == "sealgate/%g/#")
        #expect(configuration.clock == .wait(atMost: .seconds(120)))
        #expect(configuration.limits.stateInterval == .seconds(10))
    }

    @Test("reads another base, another interval and each rule for the clock")
    func values() throws {
        let configuration = try self.parse("base = \"site/%g/100%%\"", limits: "state_interval = \"1min\"")
        #expect(configuration.stateTopics.bridge.description == "site/attic/100%/bridge/state")
        #expect(configuration.limits.stateInterval == .seconds(60))
        #expect(try self.parse("clock = \"floor\"").clock == .floor)
        #expect(try self.parse("clock = \"trust\"").clock == .trust)
        #expect(try self.parse("clock = \"wait\"\nclock_wait = \"5min\"").clock == .wait(atMost: .seconds(300)))
        #expect(try self.parse("clock_wait = \"0s\"").clock == .wait(atMost: nil))
    }

    @Test(
        "the topic outside: the gateway's own, another, or none; AWS and Azure close on topics that they do not know",
        arguments: [
            ("", "sealgate/attic/bridge/state"), ("state_topic = true", "sealgate/attic/bridge/state"),
            ("state_topic = \"sites/%g/state\"", "sites/attic/state"), ("state_topic = \"\"", nil),
            ("state_topic = false", nil), ("provider = \"aws\"", nil), ("provider = \"azure\"", nil),
            ("provider = \"rabbitmq\"", "sealgate/attic/bridge/state"),
            ("provider = \"aws\"\nstate_topic = \"sites/%g/state\"", "sites/attic/state"),
            ("provider = \"aws\"\nstate_topic = true", "sealgate/attic/bridge/state"),
        ] as [(String, String?)]
    )
    func outside(_ lines: String, _ topic: String?) throws {
        let configuration = try self.parse(uplink: lines)
        let uplink = try #require(configuration.uplinks.first)
        #expect(uplink.stateTopic(configuration.stateTopics, gateway: "attic")?.description == topic)
    }
}
