import MQTTCodec
import Testing

/// Bytes that are refused, beside the nearest that are accepted.
struct RefusalVector: Sendable, CustomTestStringConvertible {
    let name: String
    let version: MQTTVersion
    let sender: MQTTPeer?
    let accepted: String
    let refused: String
    let error: MQTTDecodeError

    init(
        _ name: String,
        _ version: MQTTVersion,
        from sender: MQTTPeer? = nil,
        accepted: String,
        refused: String,
        _ kind: MQTTDecodeError.Kind,
        _ field: String,
        _ offset: Int
    ) {
        self.name = name
        self.version = version
        self.sender = sender
        self.accepted = accepted
        self.refused = refused
        self.error = MQTTDecodeError(kind: kind, field: field, offset: offset)
    }

    var testDescription: String { "MQTT \(self.version): \(self.name)" }

    static let all = header + publish + lists + connect + v5Properties + v5

    static let typeField = "MQTT Control Packet type"
    static let connect311 = "10 10 0004'MQTT' 04 02 003C 0004'node'"
    static let subscribe311 = "82 08 0001 0003'a/b' 00"
    static let connect5 = "10 0E 0004'MQTT' 05 02 0000 00 0001'n'"
}
