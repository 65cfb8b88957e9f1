import Devices
import MQTTCodec
import Testing

@Suite("Messages that would come back")
struct EchoTests {
    private func table() throws -> RouteTable {
        let out = Route(
            direction: .out,
            from: try TopicTemplate("nodes/%d/#"),
            to: try TopicTemplate("sites/%g/%d/#"),
            uplink: "cloud",
            qos: .atLeastOnce,
            line: 1
        )
        let back = Route(
            direction: .in,
            from: try TopicTemplate("sites/%g/%d/cmd/#"),
            to: try TopicTemplate("nodes/%d/cmd/#"),
            uplink: "cloud",
            qos: .atLeastOnce,
            line: 2
        )
        return try RouteTable(routes: [out, back], uplinks: ["cloud"], gateway: "attic", reserved: ReservedTopics())
    }

    @Test("a command that is published locally does not go out, since the route in would deliver it again")
    func command() throws {
        let table = try self.table()
        #expect(table.outgoing(for: try TopicName("nodes/shed/cmd/light")).isEmpty)
        #expect(table.outgoing(for: try TopicName("nodes/shed/cmd")).isEmpty)
        let reading = table.outgoing(for: try TopicName("nodes/shed/temp"))
        #expect(reading.map(\.topic.description) == ["sites/attic/shed/temp"])
        let command = table.incoming(uplink: 0, topic: try TopicName("sites/attic/shed/cmd/light"))
        #expect(command?.topic.description == "nodes/shed/cmd/light")
    }
}
