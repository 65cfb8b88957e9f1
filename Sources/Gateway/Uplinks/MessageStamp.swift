import Devices
import MQTTCodec

/// Says in user properties of MQTT 5.0 who sent a message: `sealgate-device` and `sealgate-gateway`.
///
/// The names are the gateway's alone: what a node sent under them goes, stamped or not, so that whoever finds them outside may
/// believe them.
struct MessageStamp {
    private static let deviceName = Self.text("sealgate-device")
    private static let gatewayName = Self.text("sealgate-gateway")

    /// The pair that names the gateway; nil: messages are not stamped.
    private let gateway: UserProperty?

    /// - Parameter gateway: The gateway's name; nil: nothing is stamped, only taken out.
    init(gateway: String?) {
        self.gateway = gateway.map { UserProperty(name: Self.gatewayName, value: Self.text($0)) }
    }

    /// Whether a message without properties stays without.
    var isNeeded: Bool { self.gateway != nil }

    /// The properties under which a message goes out.
    ///
    /// - Parameter device: Who proved to have sent it; nil: no device.
    func apply(to properties: MQTTProperties, device: DeviceID?) -> MQTTProperties {
        var stamped = properties
        if !properties.isAbsent, properties.userProperties.contains(where: Self.isOwn) {
            stamped.userProperties = properties.userProperties.filter { !Self.isOwn($0) }
        }
        guard let gateway = self.gateway else { return stamped }
        if let device {
            let own = UserProperty(name: Self.deviceName, value: Self.text(device.text))
            stamped.userProperties.append(own)
        }
        stamped.userProperties.append(gateway)
        return stamped
    }

    private static func isOwn(_ property: UserProperty) -> Bool {
        property.name == self.deviceName || property.name == self.gatewayName
    }

    /// Ids and names are ASCII, and shorter than any limit.
    private static func text(_ text: String) -> MQTTString {
        (try? MQTTString(text)) ?? .empty
    }
}
