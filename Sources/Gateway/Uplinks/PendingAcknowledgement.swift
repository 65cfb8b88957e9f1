import Broker
import MQTTCodec

/// A publisher's acknowledgement that waits for outside brokers, in the queue of its client's.
///
/// Acknowledgements leave in the order of the messages `[MQTT-4.6.0-2]`, so one that is due waits for those before it. Bound to the
/// gateway's loop.
final class PendingAcknowledgement {
    /// Gone when its connection is: nobody waits then.
    private(set) weak var client: Client?
    let session: Session?
    let packetID: UInt16
    var code = ReasonCode.success
    /// Called if the message could not be kept.
    private var undo: (() -> Void)?
    /// Parties that have yet to take charge of the message.
    private var waitsFor = 1
    private var hasFailed = false

    init(client: Client, packetID: UInt16, undo: (() -> Void)?) {
        self.client = client
        self.session = client.session
        self.packetID = packetID
        self.undo = undo
    }

    /// Whether everybody has.
    var isDue: Bool { self.waitsFor == 0 }

    /// One more party has to take charge.
    func hold() {
        self.waitsFor += 1
    }

    /// One of them has.
    func settle() {
        guard !self.hasFailed else { return }
        self.waitsFor -= 1
        guard self.waitsFor == 0 else { return }
        self.undo = nil
        self.client?.acknowledgeWhatIsDue()
    }

    /// One of them could not: the client has to send the message again.
    func fail() {
        guard !self.hasFailed, self.waitsFor > 0 else { return }
        self.hasFailed = true
        self.undo.take()?()
        self.client?.storeFailed(self.packetID, self.session)
    }
}
