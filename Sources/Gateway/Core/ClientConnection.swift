import MQTTCodec
import NIOCore
import Transport

/// What a ``Client`` and the core ask of the connection behind it: a socket of a listener, or a broker that the gateway is
/// attached to.
protocol ClientConnection: AnyObject {
    /// Where it leads, as text; never an identity.
    var peerText: String { get }
    var version: MQTTVersion { get }
    /// PUBACK, or another packet about one message.
    func acknowledge(_ packetID: UInt16, with type: MQTTPacketType, code: ReasonCode, reason: String?)
    /// Ends it for a reason of the gateway's.
    func close(_ code: ReasonCode, reason: String)
    /// Stops reading for a time: the sender is over its rate.
    func pauseReading(for time: TimeAmount)
    /// The gateway can take more.
    func resumeReading()
}

extension ClientConnection {
    func acknowledge(_ packetID: UInt16, with type: MQTTPacketType, code: ReasonCode = .success) {
        self.acknowledge(packetID, with: type, code: code, reason: nil)
    }
}

extension MQTTConnection: ClientConnection {
    var peerText: String { self.address.text }
}
