/// The protocol versions that are spoken, as CONNECT names them. The raw value is the Protocol Level, bridge bit left out.
public enum MQTTVersion: UInt8, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// MQTT 3.1: protocol name `MQIsdp`.
    case v31 = 3
    /// MQTT 3.1.1 (OASIS Standard, 2014).
    case v311 = 4
    /// MQTT 5.0 (OASIS Standard, 2019).
    case v5 = 5

    /// Whether packets of this version carry properties.
    public var hasProperties: Bool { self == .v5 }

    /// As people write it: `3.1.1`.
    public var description: String {
        switch self {
        case .v31: "3.1"
        case .v311: "3.1.1"
        case .v5: "5.0"
        }
    }
}
