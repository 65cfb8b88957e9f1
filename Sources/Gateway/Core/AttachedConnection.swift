import MQTTCodec
import NIOCore
import Uplink

/// One connection to an attached broker, as the ``Client`` behind it sees it.
///
/// Each has its own: what a commit acknowledges after the connection is gone must not acknowledge another message that has
/// the same packet identifier on the next one.
final class AttachedConnection: ClientConnection {
    let peerText: String
    let version = MQTTVersion.v311
    /// Nil when the connection is over.
    private weak var broker: AttachedBroker?
    private var receipts: [UInt16: UplinkReceipt] = [:]

    init(to broker: AttachedBroker) {
        self.broker = broker
        self.peerText = broker.address
    }

    /// The connection is gone.
    var isOver: Bool { self.broker == nil }

    /// Keeps the receipt of a message that waits for its acknowledgement.
    ///
    /// - Returns: False if the broker used a packet identifier that is in use `[MQTT-2.2.1-4]`.
    func took(_ receipt: UplinkReceipt) -> Bool {
        self.receipts.updateValue(receipt, forKey: receipt.packetID) == nil
    }

    /// The connection is over: the broker sends again what it was not told of.
    ///
    /// - Returns: The receipts of messages that nobody is going to answer for.
    func end() -> [UplinkReceipt] {
        self.broker = nil
        defer { self.receipts.removeAll() }
        return Array(self.receipts.values)
    }

    /// Sends an accepted message back, opened.
    func sendBack(topic: TopicName, payload: ByteBuffer) {
        self.broker?.sendBack(topic: topic, payload: payload)
    }

    // MARK: ClientConnection

    /// A broker is told nothing but that a message is dealt with: it could do nothing with a refusal.
    func acknowledge(_ packetID: UInt16, with type: MQTTPacketType, code: ReasonCode, reason: String?) {
        guard let receipt = self.receipts.removeValue(forKey: packetID) else { return }
        self.broker?.acknowledge(receipt)
    }

    func close(_ code: ReasonCode, reason: String) {
        self.broker?.reconnect(reason: reason)
    }

    /// Nothing: one device over its rate would hold up all others. Its messages are dropped instead.
    func pauseReading(for time: TimeAmount) {}

    func resumeReading() {
        self.broker?.readOn()
    }
}
