package import MQTTCodec
package import OpenSSL

/// What a connection asks of the gateway. Called on the loop only.
package protocol MQTTConnectionDelegate: AnyObject {
    /// TCP, and TLS if the listener has it, is up.
    func opened(_ connection: MQTTConnection, peer: TLSPeer?)
    /// Decide, then call ``MQTTConnection/accept(_:_:)`` or ``MQTTConnection/refuse(_:reason:)``, before returning or later:
    /// nothing else of the client comes in between.
    func received(_ connect: Connect)
    /// Its topic is there, whatever topic alias stood for it.
    func received(_ publish: Publish)
    func received(_ subscribe: Subscribe)
    func received(_ unsubscribe: Unsubscribe)
    /// PUBACK.
    func acknowledged(packetID: UInt16, code: ReasonCode)
    /// PUBREC.
    func recorded(packetID: UInt16, code: ReasonCode)
    /// PUBCOMP.
    func completed(packetID: UInt16, code: ReasonCode)
    /// PUBREL.
    func released(packetID: UInt16)
    /// The socket takes bytes again.
    func hasRoomAgain()
    /// Whether reading should stop until ``MQTTConnection/resumeReading()``.
    var isCongested: Bool { get }
    /// The connection is gone; `will` is to be published. The only call for one whose TLS handshake never finished.
    func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?)
}
