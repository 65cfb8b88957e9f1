import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Transport

/// Whoever is behind messages that come by CoAP from one endpoint under one identity, as the ``Client`` and the core see it: a
/// connection whose acknowledgements are responses.
///
/// Speaks as MQTT 5.0 does, so that each refusal has its answer. Bound to the gateway's loop.
final class CoAPSender: ClientConnection {
    /// Seconds in Max-Age of responses that mean "later".
    static let retryAfter: UInt32 = 5
    /// For how long an Echo value shows that a message is fresh (RFC 9175 §2.3: T).
    private static let freshness = TimeAmount.seconds(30)

    let version = MQTTVersion.v5
    let peer: CoAPPeer
    private unowned let site: CoAPSite
    private(set) lazy var address = self.site.address(of: self.peer)
    private(set) lazy var network = self.address.network
    /// Messages that are not acknowledged yet, by the packet identifiers that stand for them.
    private var open: [UInt16: CoAPPosting] = [:]
    private var lastPacketID: UInt16 = 0
    /// The request that is being handed in.
    private var current: CoAPPosting?

    init(_ peer: CoAPPeer, site: CoAPSite) {
        self.peer = peer
        self.site = site
    }

    /// Whether one more seal may be tried. Everybody can fail in the name of an address that is not proven, so no failures count
    /// there: a seal that verifies proves enough.
    func mayTrySeal(_ failures: FailureBudget, budget: String, now: NIODeadline) -> Bool {
        self.isAddressProven ? failures.hasRoom(budget, now: now) : self.site.mayTrySeal(now: now)
    }

    /// For the log: an address that is not proven is nobody's, so it does not tell refusals apart.
    var logAddress: String { self.isAddressProven ? self.peerText : Self.unprovenAddress }

    static let unprovenAddress = "an address that is not proven"

    /// The rate of all guests of the listener: anybody can come from as many addresses as he likes.
    func guestPace(_ rate: Rate) -> SenderPace { self.site.guestPace(rate) }

    // MARK: One request

    /// Does `body`, which hands in the messages of one request, and answers what is dealt with at once.
    func handIn(_ posting: CoAPPosting, _ body: () -> Void) {
        self.current = posting
        body()
        self.current = nil
        posting.isBeingRead = false
        if posting.isDone { self.site.finish(posting) }
    }

    /// A packet identifier for one message of the request that is being handed in.
    func makePacketID() -> UInt16 {
        repeat {
            self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        } while self.open[
            self.lastPacketID
        ] != nil
        if let current = self.current {
            current.remaining += 1
            self.open[self.lastPacketID] = current
        }
        return self.lastPacketID
    }

    /// Content-Format of the request that is being handed in.
    var contentFormat: CoAPContentFormat? { self.current?.request.read.contentFormat }

    /// Whether the message that is being handed in was sent lately for certain.
    var isFresh: Bool {
        self.current.map { Self.isFresh($0.request) } ?? false
    }

    static func isFresh(_ request: CoAPRequest) -> Bool {
        request.context != 0 || request.peer.isSecure || request.age.map { $0 <= Self.freshness } ?? false
    }

    /// Whether this very request shows that its sender receives at its address, or proves itself another way. That the peer has shown
    /// it before says nothing: anybody can write that address on a datagram.
    var isAddressProven: Bool {
        guard let request = self.current?.request else { return false }
        return request.context != 0 || request.peer.isSecure || request.bringsEcho
    }

    /// Has the request come again with an Echo value.
    func challenge(_ packetID: UInt16) {
        self.current?.needsChallenge = true
        self.settle(packetID)
    }

    // MARK: ClientConnection

    var peerText: String { self.address.text }

    func acknowledge(_ packetID: UInt16, with type: MQTTPacketType, code: ReasonCode, reason: String?) {
        if code.isFailure { self.open[packetID]?.refuse(.error(.badRequest)) }
        self.settle(packetID)
    }

    /// A message is turned away. What is not proven gets one answer, whatever was wrong with it: it tells a forger nothing.
    ///
    /// - Parameter words: What is wrong with a message whose sender could mend it.
    func refuse(_ packetID: UInt16, _ refusal: Refusal, _ words: @autoclosure () -> String) {
        let response: CoAPResponse =
            switch refusal {
            case .policy: .error(.forbidden)
            case .tooLarge: .error(.requestEntityTooLarge)
            case .commandSession, .topic, .payload: .error(.badRequest, words())
            case .rate: CoAPResponse(.tooManyRequests, maxAge: 1)
            case .throttled: CoAPResponse(.tooManyRequests, maxAge: Self.retryAfter)
            case .spoolFull, .retained: CoAPResponse(.serviceUnavailable, maxAge: Self.retryAfter)
            case .notProven, .badSeal, .replay, .sealRequired, .identityMismatch, .revoked, .handshake, .protocolError:
                .error(.unauthorized)
            }
        // At an address that anybody could have written there, the budget is everybody's: who is there for certain has his own.
        if refusal == .throttled, !self.isAddressProven {
            self.current?.needsChallenge = true
        } else {
            self.open[packetID]?.refuse(response)
        }
        self.settle(packetID)
    }

    /// The message could not be kept.
    func fail(_ packetID: UInt16) {
        self.open[packetID]?.refuse(CoAPResponse(.serviceUnavailable, maxAge: Self.retryAfter))
        self.settle(packetID)
    }

    private func settle(_ packetID: UInt16) {
        guard let posting = self.open.removeValue(forKey: packetID) else { return }
        posting.remaining -= 1
        if posting.isDone { self.site.finish(posting) }
    }

    /// The device behind it is gone or has other keys.
    func close(_ code: ReasonCode, reason: String) {
        self.site.close(self.peer)
    }

    /// Nothing: who is over its rate is told so instead.
    func pauseReading(for time: TimeAmount) {}

    /// Nothing: a request that finds the gateway busy is told so.
    func resumeReading() {}
}

extension CoAPPosting {
    fileprivate func refuse(_ response: CoAPResponse) {
        if self.refusal == nil { self.refusal = response }
    }
}
