package import NIOCore

/// CONNACK: the server's answer to CONNECT (MQTT 5.0 §3.2).
public struct ConnAck: Equatable, Sendable {
    /// Whether the server had a session of this client. Never with a failure; always false in MQTT 3.1.
    public var sessionPresent: Bool
    /// In the words of MQTT 5.0, whatever the version: see ``returnCode`` for those of 3.x.
    public var reasonCode: ReasonCode
    /// MQTT 5.0 only.
    public var properties: MQTTProperties

    /// An answer to CONNECT.
    public init(
        sessionPresent: Bool = false,
        reasonCode: ReasonCode = .success,
        properties: MQTTProperties = MQTTProperties()
    ) {
        self.sessionPresent = sessionPresent
        self.reasonCode = reasonCode
        self.properties = properties
    }

    /// What is sent to a client of MQTT 3.x; nil if 3.x has no word for it, then close without a CONNACK. Encoding writes
    /// "server unavailable" where this is nil.
    public var returnCode: ConnectReturnCode? { ConnectReturnCode(self.reasonCode) }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        let flagsOffset = reader.offset
        let flags = try reader.readByte("Connect Acknowledge Flags")
        // MQTT 3.1 leaves the byte unused and says nothing about its value.
        guard flags & ~1 == 0 || reader.version == .v31 else {
            throw reader.error(.reservedBits(flags), "Connect Acknowledge Flags", at: flagsOffset)  // [MQTT-3.2.2-1]
        }
        let sessionPresent = flags & 1 != 0 && reader.version != .v31
        let codeOffset = reader.offset
        let reasonCode: ReasonCode
        var properties = MQTTProperties()
        if reader.version == .v5 {
            reasonCode = try reader.readReasonCode(of: .connack)
            properties = try MQTTProperties(reading: &reader, in: .connack)
            if properties.authenticationData != nil, properties.authenticationMethod == nil {
                throw reader.error(.missingAuthenticationMethod, "Authentication Method")
            }
        } else {
            let number = try reader.readByte("Connect Return code")
            guard let code = ConnectReturnCode(rawValue: number) else {
                throw reader.error(.invalidReasonCode(number), "Connect Return code", at: codeOffset)
            }
            reasonCode = code.reasonCode
        }
        if sessionPresent, reasonCode != .success {
            throw reader.error(.sessionPresentWithFailure, "Session Present", at: flagsOffset)
        }
        self.init(sessionPresent: sessionPresent, reasonCode: reasonCode, properties: properties)
    }
}

extension ConnAck: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.connack.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        version == .v5 ? 2 + self.properties.encodedSize : 2
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        let present = self.sessionPresent && self.reasonCode == .success && version != .v31  // [MQTT-3.2.2-6]
        buffer.writeInteger(present ? 1 : 0, as: UInt8.self)  // [MQTT-3.2.2-1]
        if version == .v5 {
            buffer.writeInteger(self.reasonCode.rawValue)  // [MQTT-3.2.2-8]
            self.properties.write(into: &buffer)
        } else {
            buffer.writeInteger((self.returnCode ?? .serverUnavailable).rawValue)
        }
    }
}
