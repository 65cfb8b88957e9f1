import Broker
import CoAPCodec
import CoAPEndpoint
import MQTTCodec
import NIOCore
import Transport

/// A client that observes a topic: the connection of a session of the local broker. Bound to the gateway's loop.
///
/// What may not be lost goes as one confirmable notification at a time, and is acknowledged to the session when the client
/// has acknowledged it, so that all of it arrives, in order. A body that is larger than a block is only begun by its
/// notification (RFC 7959 §3.4): it counts as delivered when the client has fetched the last block, or after a while.
final class TopicObserver: SessionConnection {
    /// How long a client has to fetch the rest of a large notification before the next one goes out.
    static let fetchTime = TimeAmount.seconds(30)

    let id: CoAPObservationID
    let session: Session
    let topic: TopicName
    let peer: CoAPPeer
    let token: CoAPToken
    let context: UInt64
    /// The device behind it, proven or claimed.
    let device: ObservingDevice?
    /// What Content-Format of all notifications says; nil: nothing.
    let format: CoAPContentFormat?
    /// Nothing has shown yet that the client receives at its address.
    var isUnconfirmed: Bool
    private var hasAskedForProof = false
    private let channel: any CoAPAnswering
    private let loop: any EventLoop
    /// Bytes of a notification that travel in one message.
    private let blockBytes: Int
    /// The message at the client, until it has acknowledged it.
    private var packetID: UInt16?
    /// It has more than one block.
    private var isLarge = false
    /// Of that message, or the one before it: the body that the client fetches the rest of.
    private(set) var body: ByteBuffer?
    /// The client has acknowledged the first block, and fetches the others until then.
    private var fetchTimer: Scheduled<Void>?

    /// - Parameter request: The one that registers it. It was answered.
    init(
        _ request: CoAPRequest,
        id: CoAPObservationID,
        session: Session,
        topic: TopicName,
        device: ObservingDevice?,
        format: CoAPContentFormat?,
        channel: any CoAPAnswering,
        loop: any EventLoop
    ) {
        self.id = id
        self.session = session
        self.topic = topic
        self.peer = request.peer
        self.token = request.token
        self.context = request.context
        self.device = device
        self.format = format
        self.isUnconfirmed = !request.isAddressProven && request.context == 0
        self.channel = channel
        self.loop = loop
        self.blockBytes = request.read.block2?.size ?? 1024
    }

    /// Whose places it takes, where nothing proves a device.
    var network: String { self.channel.address(of: self.peer).network }

    /// Something that must arrive is under way.
    var isBusy: Bool { self.packetID != nil }

    // MARK: SessionConnection

    /// Of what may be lost the newest waits behind what is under way, but nothing may come between the blocks of one body.
    var hasRoom: Bool { !self.isLarge }

    func send(_ message: Message, as delivery: Delivery) -> Bool {
        guard let shown = CoAPRepresentation(message, accept: self.format, isObserved: true) else {
            // The last word: the client asked for a format that the topic does not have any more (RFC 7641 §4.2).
            self.channel.notify(self.id, .error(.notAcceptable), isConfirmable: false)
            return false
        }
        let mustArrive = delivery.qos != .atMostOnce
        let bytes = message.payload.readableBytes
        if mustArrive {
            self.packetID = delivery.packetID
            self.isLarge = bytes > self.blockBytes
        }
        // What is cut smaller for an address that is not proven is fetched as well, but nobody waits for that.
        self.body = bytes > (self.isUnconfirmed ? 16 : self.blockBytes) ? message.payload : nil
        self.channel.notify(self.id, shown.response(withETag: false), isConfirmable: mustArrive)
        return true
    }

    /// Nothing is granted at QoS 2.
    func release(_ packetID: UInt16) {}

    // MARK: What comes of it

    /// The client has acknowledged a notification.
    func confirmed() {
        self.isUnconfirmed = false
        guard self.isLarge else { return self.acknowledge() }
        self.fetchTimer?.cancel()
        self.fetchTimer = self.loop.assumeIsolated().scheduleTask(in: Self.fetchTime) { [weak self] in
            self?.acknowledge()
        }
    }

    /// The client has fetched this block of ``body``.
    func fetched(_ block: CoAPBlock) {
        guard self.fetchTimer != nil, block.offset + block.size >= self.body?.readableBytes ?? 0 else { return }
        self.acknowledge()
    }

    /// The present value again, so that the client can show that it is there. What is under way shows it as well.
    func ask(_ message: Message?) {
        guard !self.isBusy, let shown = CoAPRepresentation(message, accept: self.format, isObserved: true) else {
            return
        }
        self.channel.notify(self.id, shown.response(withETag: false), isConfirmable: false)
    }

    /// The present value again, once: a client that acknowledges it receives at its address.
    ///
    /// - Parameter present: What the topic has now.
    func askForProof(_ present: (TopicName) -> Message?) {
        guard self.isUnconfirmed, !self.hasAskedForProof, !self.isBusy,
            let shown = CoAPRepresentation(present(self.topic), accept: self.format, isObserved: true)
        else { return }
        self.hasAskedForProof = true
        self.channel.notify(self.id, shown.response(withETag: false), isConfirmable: true)
    }

    /// The observation is over for the owner: the last notification (RFC 7641 §4.2).
    func withdraw(_ code: CoAPCode) {
        self.channel.notify(self.id, .error(code), isConfirmable: false)
    }

    /// It is over.
    func end() { self.stopFetching() }

    private func acknowledge() {
        self.stopFetching()
        guard let packetID = self.packetID else { return }
        self.packetID = nil
        self.isLarge = false
        self.session.acknowledged(packetID)
    }

    private func stopFetching() {
        self.fetchTimer?.cancel()
        self.fetchTimer = nil
    }
}
