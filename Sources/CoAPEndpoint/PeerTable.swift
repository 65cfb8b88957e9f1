import NIOCore

/// The peers that something is remembered of, bounded. Whoever was not heard of for longest goes first; a peer whose address
/// is proven, or that has shown a key, only when there is no other, so that made-up addresses don't push out real ones.
struct PeerTable {
    /// Peers in the order in which they were heard of.
    private struct List {
        unowned var first: PeerState?
        unowned var last: PeerState?

        mutating func append(_ state: PeerState) {
            state.previous = self.last
            state.next = nil
            self.last?.next = state
            self.last = state
            if self.first == nil { self.first = state }
        }

        mutating func remove(_ state: PeerState) {
            if let previous = state.previous { previous.next = state.next } else { self.first = state.next }
            if let next = state.next { next.previous = state.previous } else { self.last = state.previous }
            state.previous = nil
            state.next = nil
        }
    }

    private let limit: Int
    /// How often peers were heard of.
    private var touches: UInt64 = 0
    /// In that unit.
    private let patience: UInt64
    private var states: [CoAPPeer: PeerState] = [:]
    private var proven = List()
    private var unproven = List()
    /// Those that something was under way with when one was looked for that could go.
    private var parked = List()

    init(limit: Int) {
        self.limit = limit
        self.patience = UInt64(limit / 8)
    }

    var count: Int { self.states.count }

    subscript(peer: CoAPPeer) -> PeerState? { self.states[peer] }

    /// The peer was heard of.
    ///
    /// It goes to the end of its list only if many others were heard of since it last did: the order counts when the table is
    /// full, and then nearly is enough.
    mutating func touch(_ state: PeerState) {
        self.touches &+= 1
        guard self.touches &- state.touched >= self.patience || state.place == .parked else { return }
        state.touched = self.touches
        switch state.place {
        case .proven where self.proven.last === state, .unproven where self.unproven.last === state: return
        case .proven, .unproven, .parked: self.move(state, to: state.keepsPlace ? .proven : .unproven)
        }
    }

    /// The peer is known to receive at its address.
    mutating func prove(_ state: PeerState) {
        guard !state.isProven else { return }
        state.isProven = true
        self.move(state, to: .proven)
    }

    /// A key has opened a request of the peer.
    mutating func noteOpened(_ state: PeerState) {
        guard !state.hasOpened else { return }
        state.hasOpened = true
        self.move(state, to: .proven)
    }

    /// The one to go before another can come; `nil`: there is room, or nobody can go.
    mutating func candidateToGo() -> PeerState? {
        guard self.states.count >= self.limit else { return nil }
        // Each is parked once until it is heard of again, so this is no work for those who come.
        while let state = self.unproven.first ?? self.proven.first {
            if !state.isBusy { return state }
            self.move(state, to: .parked)
        }
        // All are parked. Some may have become idle.
        for _ in 0..<32 {
            guard let state = self.parked.first else { return nil }
            if !state.isBusy { return state }
            self.move(state, to: .parked)
        }
        return nil
    }

    /// - Returns: False if there is no room.
    mutating func insert(_ state: PeerState) -> Bool {
        guard self.states.count < self.limit else { return false }
        self.states[state.peer] = state
        state.touched = self.touches
        state.place = state.keepsPlace ? .proven : .unproven
        self.append(state)
        return true
    }

    mutating func remove(_ state: PeerState) {
        guard self.states.removeValue(forKey: state.peer) != nil else { return }
        self.unlink(state)
    }

    private mutating func move(_ state: PeerState, to place: PeerState.Place) {
        self.unlink(state)
        state.place = place
        self.append(state)
    }

    /// To the end of its list.
    private mutating func append(_ state: PeerState) {
        switch state.place {
        case .proven: self.proven.append(state)
        case .unproven: self.unproven.append(state)
        case .parked: self.parked.append(state)
        }
    }

    private mutating func unlink(_ state: PeerState) {
        switch state.place {
        case .proven: self.proven.remove(state)
        case .unproven: self.unproven.remove(state)
        case .parked: self.parked.remove(state)
        }
    }
}
