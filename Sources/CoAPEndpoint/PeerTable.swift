import NIOCore

/// The peers that something is remembered of, bounded. Whoever was not heard of for longest goes first; a peer whose address
/// is proven only when there is no other, so that made-up addresses don't push out real ones.
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

        /// The first that nothing is under way with. Looks at a few only.
        var idle: PeerState? {
            var state = self.first
            for _ in 0..<16 {
                guard let present = state else { return nil }
                if !present.isBusy { return present }
                state = present.next
            }
            return nil
        }
    }

    private let limit: Int
    private var states: [CoAPPeer: PeerState] = [:]
    private var proven = List()
    private var unproven = List()

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { self.states.count }

    subscript(peer: CoAPPeer) -> PeerState? { self.states[peer] }

    /// The peer was heard of.
    mutating func touch(_ state: PeerState) {
        if state.isProven {
            guard self.proven.last !== state else { return }
            self.proven.remove(state)
            self.proven.append(state)
        } else {
            guard self.unproven.last !== state else { return }
            self.unproven.remove(state)
            self.unproven.append(state)
        }
    }

    /// The peer is known to receive at its address.
    mutating func prove(_ state: PeerState) {
        guard !state.isProven else { return }
        self.unproven.remove(state)
        state.isProven = true
        self.proven.append(state)
    }

    /// The one to go before another can come; `nil`: there is room, or nobody can go.
    func candidateToGo() -> PeerState? {
        self.states.count < self.limit ? nil : self.unproven.idle ?? self.proven.idle
    }

    /// - Returns: False if there is no room.
    mutating func insert(_ state: PeerState) -> Bool {
        guard self.states.count < self.limit else { return false }
        self.states[state.peer] = state
        if state.isProven { self.proven.append(state) } else { self.unproven.append(state) }
        return true
    }

    mutating func remove(_ state: PeerState) {
        guard self.states.removeValue(forKey: state.peer) != nil else { return }
        if state.isProven { self.proven.remove(state) } else { self.unproven.remove(state) }
    }
}
