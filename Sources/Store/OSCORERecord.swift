package import Sealing

/// What has to be remembered of one OSCORE context. Not deleted when its device goes: the same keys may come back.
package struct OSCORERecord: Sendable, Equatable {
    package var fingerprint: OSCOREFingerprint
    /// Requests that have come, at least.
    package var window: OSCOREReplayWindow
    /// The gateway's sequence numbers below this one may have been used.
    package var reserved: UInt64
    /// Nothing but what ``window`` tells has come. Written at an orderly end only, and taken back at the next start before
    /// anything is accepted.
    package var isExact: Bool

    /// All of it.
    package init(fingerprint: OSCOREFingerprint, window: OSCOREReplayWindow, reserved: UInt64, isExact: Bool = false) {
        self.fingerprint = fingerprint
        self.window = window
        self.reserved = reserved
        self.isExact = isExact
    }
}

/// What a run of the gateway begins with.
package struct OSCOREStart: Sendable, Equatable {
    /// As the last run left them. ``OSCORERecord/reserved`` is where this run may begin; on disk it is
    /// ``OSCORESequence/step`` more already, so that numbers can be used at once.
    package var records: [OSCORERecord]
    /// The same for contexts that the store does not know.
    package var unknownReserved: UInt64

    package init(records: [OSCORERecord] = [], unknownReserved: UInt64 = 0) {
        self.records = records
        self.unknownReserved = unknownReserved
    }
}
