import Devices
import MQTTCodec
import Testing

@testable import Gateway

@Suite("Stamps of messages") struct MessageStampTests {
    private func properties(_ pairs: (String, String)...) throws -> MQTTProperties {
        var properties = MQTTProperties()
        properties.userProperties = try pairs.map {
            UserProperty(name: try MQTTString($0.0), value: try MQTTString($0.1))
        }
        return properties
    }

    @Test("name the device and the gateway, behind what the node sent")
    func stamped() throws {
        let stamp = MessageStamp(gateway: "attic")
        #expect(stamp.isNeeded)
        #expect(
            stamp.apply(to: try self.properties(("unit", "lux")), device: try DeviceID("lamp"))
                == (try self.properties(("unit", "lux"), ("sealgate-device", "lamp"), ("sealgate-gateway", "attic")))
        )
        #expect(
            stamp.apply(to: MQTTProperties(), device: nil) == (try self.properties(("sealgate-gateway", "attic")))
        )
    }

    @Test("can't be forged", arguments: ["attic", nil])
    func forged(gateway: String?) throws {
        let forged = try self.properties(
            ("sealgate-device", "porch"),
            ("unit", "lux"),
            ("sealgate-gateway", "cellar"),
            ("sealgate-device", "shed")
        )
        let out = MessageStamp(gateway: gateway).apply(to: forged, device: nil)
        #expect(!out.userProperties.contains { ["porch", "cellar", "shed"].contains("\($0.value)") })
        let first = MQTTString("unit")
        #expect(out.userProperties.first?.name == first)
    }

    @Test("are not there unless asked for")
    func unstamped() throws {
        let stamp = MessageStamp(gateway: nil)
        #expect(!stamp.isNeeded)
        let own = try self.properties(("unit", "lux"))
        #expect(stamp.apply(to: own, device: try DeviceID("lamp")) == own)
    }
}
