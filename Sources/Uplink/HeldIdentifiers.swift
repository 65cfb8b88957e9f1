internal import NIOCore

/// QoS 2 from the broker: which of its packet identifiers are in use, from PUBLISH to PUBCOMP, so that no message is taken
/// twice `[MQTT-4.3.3-10]`.
struct HeldIdentifiers {
    private enum Phase {
        /// The owner is storing the message of the receipt with this index.
        case storing(index: UInt64)
        /// It is stored: PUBREC may go out. `isOwned`: the owner knows of it.
        case held(isOwned: Bool)
        /// PUBREL came; the owner is forgetting it.
        case releasing
    }

    private struct State {
        var phase: Phase
        /// Whether the PUBLISH came on the present connection, and counts against our Receive Maximum.
        var isCounted: Bool
        /// A repetition on the present connection that waits for the first one to be stored.
        var waiting: UplinkReceipt?
        /// Whether the PUBREL came on the present connection.
        var isAsked = false
    }

    /// What to do about a PUBLISH.
    enum Arrival { case new, repeated, waiting }

    /// What to do about a PUBREL.
    enum Release {
        case unknown
        /// Nobody but this client knows of it.
        case complete
        case tell
        /// The owner was told on this connection.
        case told
        /// The broker can't have had a PUBREC.
        case premature
    }

    private var states: [UInt16: State] = [:]
    /// Of those, how many count against our Receive Maximum.
    private(set) var counted = 0

    /// All, in no order.
    var packetIDs: [UInt16] { self.states.compactMap { if case .held(isOwned: false) = $1.phase { nil } else { $0 } } }

    /// An earlier run had it.
    mutating func restore(_ packetID: UInt16) {
        self.states[packetID] = State(phase: .held(isOwned: true), isCounted: false)
    }

    /// What a PUBLISH with this identifier is; changes nothing.
    func arrival(of packetID: UInt16) -> Arrival {
        guard let state = self.states[packetID] else { return .new }
        if case .storing = state.phase { return .waiting }
        return .repeated
    }

    /// A new message, which its owner gets with this receipt; or drops, if there is none.
    mutating func insert(_ packetID: UInt16, _ receipt: UplinkReceipt?) {
        let phase: Phase = receipt.map { .storing(index: $0.index) } ?? .held(isOwned: false)
        self.states[packetID] = State(phase: phase, isCounted: true)
        self.counted += 1
    }

    /// A repetition of a message that is not stored yet: this receipt is answered for with it.
    ///
    /// - Returns: `false` if another repetition waits already; as it came before, this one may be answered for at once.
    mutating func wait(_ packetID: UInt16, with receipt: UplinkReceipt) -> Bool {
        guard self.states[packetID]?.waiting == nil else { return false }
        self.states[packetID]?.waiting = receipt
        return true
    }

    /// The owner has stored the message of this receipt, maybe of an earlier connection.
    ///
    /// - Returns: The receipt of a repetition, which is answered for too.
    mutating func stored(_ receipt: UplinkReceipt) -> UplinkReceipt? {
        guard case .storing(receipt.index)? = self.states[receipt.packetID]?.phase else { return nil }
        self.states[receipt.packetID]?.phase = .held(isOwned: true)
        return self.states[receipt.packetID]?.waiting.take()
    }

    /// The owner could not store it: it is to come again.
    ///
    /// - Returns: Whether a repetition waits for it.
    mutating func abandon(_ receipt: UplinkReceipt) -> Bool {
        let packetID = receipt.packetID
        guard let state = self.states[packetID], case .storing(receipt.index) = state.phase else { return false }
        if state.isCounted { self.counted -= 1 }
        self.states[packetID] = nil
        return state.waiting != nil
    }

    /// A PUBREL came.
    mutating func release(_ packetID: UInt16) -> Release {
        guard let state = self.states[packetID] else { return .unknown }
        switch state.phase {
        case .storing: return .premature
        case .held(isOwned: false):
            self.remove(packetID)
            return .complete
        case .held(isOwned: true):
            self.states[packetID]?.phase = .releasing
            self.states[packetID]?.isAsked = true
            return .tell
        case .releasing:
            guard !state.isAsked else { return .told }
            // The writing may have failed, and the connection been closed for that.
            self.states[packetID]?.isAsked = true
            return .tell
        }
    }

    /// The owner has forgotten it.
    ///
    /// - Returns: Whether the broker waits for the PUBCOMP.
    mutating func complete(_ packetID: UInt16) -> Bool {
        guard let state = self.states[packetID], case .releasing = state.phase else { return false }
        self.remove(packetID)
        return state.isAsked
    }

    /// The connection is gone.
    mutating func connectionEnded() {
        self.counted = 0
        for packetID in self.states.keys {
            self.states[packetID]?.isCounted = false
            self.states[packetID]?.isAsked = false
            self.states[packetID]?.waiting = nil
        }
    }

    /// None is in use.
    var isEmpty: Bool { self.states.isEmpty }

    /// The session is lost.
    mutating func removeAll() {
        self.states.removeAll()
        self.counted = 0
    }

    private mutating func remove(_ packetID: UInt16) {
        if self.states.removeValue(forKey: packetID)?.isCounted == true { self.counted -= 1 }
    }
}
