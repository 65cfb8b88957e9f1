import MQTTCodec
import Testing

@testable import Gateway

@Suite("Passages from uplink to uplink")
struct HopCountTests {
    private func properties(_ hops: [String]) throws -> MQTTProperties {
        var properties = MQTTProperties()
        properties.contentType = MQTTString("text/plain")
        properties.userProperties = [UserProperty(name: MQTTString("a"), value: MQTTString("b"))]
        for value in hops {
            properties.userProperties.append(
                UserProperty(name: MQTTString("sealgate-hops"), value: try MQTTString(value))
            )
        }
        return properties
    }

    static let counts: [(hops: [String], next: String?)] = [
        ([], "1"), (["1"], "2"), (["3"], "4"), (["4"], nil), (["99"], nil), (["x"], nil), ([""], nil),
        (["-7"], "1"), (["1", "2"], "3"), (["1", "4"], nil), (["99999999999999999999"], nil),
    ]

    @Test(
        "are counted in the message, which ends at the fourth; whatever else it carries stays",
        arguments: Self.counts
    )
    func counted(hops: [String], next: String?) throws {
        let counted = try self.properties(hops).countingHop(limit: 4)
        #expect(counted?.userProperties.map(\.name.description) == next.map { _ in ["a", "sealgate-hops"] })
        #expect(counted?.userProperties.last?.value.description == next)
        #expect(next == nil || counted?.contentType != nil)
    }

    @Test("of a message without any properties are counted too")
    func absent() throws {
        #expect(MQTTProperties().countingHop(limit: 4)?.userProperties.first?.value.description == "1")
    }
}
