package import NIOCore

/// AUTH, a step of extended authentication; MQTT 5.0 only (§3.15).
public struct Auth: Equatable, Sendable {
    /// ``ReasonCode/success``, ``ReasonCode/continueAuthentication`` or ``ReasonCode/reauthenticate``.
    public var reasonCode: ReasonCode
    /// Has an Authentication Method unless the packet is nothing but success.
    public var properties: MQTTProperties

    /// A step of extended authentication.
    public init(reasonCode: ReasonCode = .success, properties: MQTTProperties = MQTTProperties()) {
        self.reasonCode = reasonCode
        self.properties = properties
    }

    init(reading reader: inout PacketReader) throws(MQTTDecodeError) {
        self.init()
        guard reader.remaining > 0 else { return }  // Success, and no properties (§3.15.2.1).
        let offset = reader.offset
        self.reasonCode = try reader.readReasonCode(of: .auth)  // [MQTT-3.15.2-1]
        switch (self.reasonCode, reader.sender) {
        case (.success, .client?):
            throw reader.error(.notAllowed(from: .client), "Authenticate Reason Code", at: offset)
        case (.reauthenticate, .server?):
            throw reader.error(.notAllowed(from: .server), "Authenticate Reason Code", at: offset)
        default: break
        }
        self.properties = try MQTTProperties(reading: &reader, in: .auth)
        guard self.properties.authenticationMethod != nil else {
            throw reader.error(.missingAuthenticationMethod, "Authentication Method")  // §3.15.2.2.2
        }
    }
}

extension Auth: PacketBody {
    package var firstByte: UInt8 { MQTTPacketType.auth.firstByte }

    package func bodySize(_ version: MQTTVersion) -> Int {
        if self.reasonCode == .success, self.properties.isEmpty { return 0 }
        return 1 + self.properties.encodedSize
    }

    package func writeBody(into buffer: inout ByteBuffer, _ version: MQTTVersion) {
        assert(version == .v5, "AUTH in MQTT \(version)")
        guard self.bodySize(version) > 0 else { return }
        buffer.writeInteger(self.reasonCode.rawValue)
        self.properties.write(into: &buffer)
    }
}
