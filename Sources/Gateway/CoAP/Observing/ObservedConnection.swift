import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore

/// One resource that the gateway observes, as the ``Client`` behind it sees it: a connection that is told of nothing but that a
/// notification is dealt with, which is all that a node understands. Bound to the gateway's loop.
final class ObservedConnection: ClientConnection {
    /// Messages that are not on disk yet. A node that does not wait for acknowledgements could make any number.
    private static let maxOpen = 256

    /// A representation until its messages, more than one of a SenML pack, are dealt with.
    private final class Delivery {
        let representation: ObservedRepresentation
        var remaining = 0
        var isDeclined = false
        var isBeingRead = true

        init(_ representation: ObservedRepresentation) { self.representation = representation }

        var isDone: Bool { self.remaining == 0 && !self.isBeingRead }
    }

    let version = MQTTVersion.v311
    let device: DeviceID
    /// As in gateway.conf. Whose failures count together, too.
    let peerText: String
    private unowned let observer: NodeObserver
    /// By the packet identifiers that stand for its messages.
    private var open: [UInt16: Delivery] = [:]
    private var lastPacketID: UInt16 = 0
    /// The one that is being handed in.
    private var current: Delivery?

    init(_ configuration: ObserveConfiguration, observer: NodeObserver) {
        self.device = configuration.device
        self.peerText = configuration.text
        self.observer = observer
    }

    // MARK: One representation

    /// Does `body`, which hands in the messages of one representation.
    ///
    /// - Returns: False: too many are open, and nothing was done.
    func handIn(_ representation: ObservedRepresentation, _ body: () -> Void) -> Bool {
        guard self.open.count < Self.maxOpen else { return false }
        let delivery = Delivery(representation)
        self.current = delivery
        body()
        self.current = nil
        delivery.isBeingRead = false
        if delivery.isDone { self.finish(delivery) }
        return true
    }

    /// Content-Format of the representation that is being handed in.
    var contentFormat: CoAPContentFormat? { self.current?.representation.contentFormat }

    /// A packet identifier for one message of the representation that is being handed in.
    func makePacketID() -> UInt16 {
        repeat {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        } while self.open[self.lastPacketID] != nil
        if let current = self.current {
            current.remaining += 1
            self.open[self.lastPacketID] = current
        }
        return self.lastPacketID
    }

    /// The message can't be kept now: the node sends it again, if it is one that waits for an acknowledgement.
    func decline(_ packetID: UInt16) {
        self.open[packetID]?.isDeclined = true
        self.settle(packetID)
    }

    private func settle(_ packetID: UInt16) {
        guard let delivery = self.open.removeValue(forKey: packetID) else { return }
        delivery.remaining -= 1
        if delivery.isDone { self.finish(delivery) }
    }

    private func finish(_ delivery: Delivery) {
        guard let receipt = delivery.representation.receipt else { return }
        if delivery.isDeclined { self.observer.decline(receipt) } else { self.observer.acknowledge(receipt) }
    }

    /// The message is turned away. What the node can't mend is acknowledged: it would send it four times more, and then take
    /// the gateway from its observers.
    func refuse(_ packetID: UInt16, _ refusal: Refusal) {
        switch refusal {
        case .rate, .throttled, .spoolFull: self.decline(packetID)
        default: self.settle(packetID)
        }
    }

    // MARK: ClientConnection

    func acknowledge(_ packetID: UInt16, with type: MQTTPacketType, code: ReasonCode, reason: String?) {
        self.settle(packetID)
    }

    /// Nothing: there is none to close.
    func close(_ code: ReasonCode, reason: String) {}

    /// Nothing: what is over the rate is declined instead.
    func pauseReading(for time: TimeAmount) {}

    /// Nothing: what finds the gateway busy is declined.
    func resumeReading() {}
}
