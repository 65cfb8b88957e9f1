internal import NIOCore

/// The session IDs of one session topic: those in use, oldest first, and the last few that no longer are.
struct V1SessionLedger {
    private let window: Int
    private let lifetime: TimeAmount?

    /// Unused session IDs, oldest first.
    private(set) var valid: [SessionID] = []
    private var issuedAt: [NIODeadline] = []

    /// Session IDs that were used, expired or rotated away lately. Known only so that the operator can be told of a
    /// replay; filled with random ones at first, so that a refusal takes as long before the first message as after it.
    private(set) var spent: [SessionID] = []

    init(window: Int, lifetime: TimeAmount?) {
        self.window = window
        self.lifetime = lifetime
    }

    /// How many spent ones are remembered: more than messages are, so that the log can call a recording what it is. Past
    /// that it is one more seal that does not verify.
    static func spentCount(window: Int) -> Int { max(16, 3 * window) }

    /// Issues until the window is full, and returns the new ones.
    mutating func fill(from workspace: V1Workspace, now: NIODeadline) -> [SessionID] {
        while self.spent.count < Self.spentCount(window: self.window) {
            self.spent.append(workspace.newSessionID())
        }
        let first = self.valid.count
        while self.valid.count < self.window {
            self.valid.append(workspace.newSessionID())
            self.issuedAt.append(now)
        }
        return Array(self.valid[first...])
    }

    /// Takes away a session ID by its place in ``valid``. ``fill(from:now:)`` must follow.
    mutating func spend(at index: Int) {
        let sessionID = self.valid.remove(at: index)
        self.issuedAt.remove(at: index)
        self.spent.removeFirst()
        self.spent.append(sessionID)
    }

    /// Takes away all. ``fill(from:now:)`` must follow.
    mutating func spendAll() {
        while !self.valid.isEmpty { self.spend(at: 0) }
    }

    /// Takes away those older than the lifetime, and says whether there were any. ``fill(from:now:)`` must follow.
    mutating func expire(now: NIODeadline) -> Bool {
        guard let deadline = self.nextExpiry, deadline <= now else { return false }
        while let deadline = self.nextExpiry, deadline <= now { self.spend(at: 0) }
        return true
    }

    /// When the oldest expires.
    var nextExpiry: NIODeadline? {
        guard let lifetime = self.lifetime, let oldest = self.issuedAt.first else { return nil }
        return oldest + lifetime
    }
}
