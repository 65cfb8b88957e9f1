import Sealing
import Store

/// What the store has to remember: replay windows and sequence numbers (RFC 8613 §7.5, Appendix B.1).
extension OSCOREDesk {
    /// A request under this context changes something: its replay window goes into the commit that is being filled, once
    /// for each, as it is when that leaves.
    func noteAccepted(_ context: UInt64) {
        if let context = self.live[context] { self.mark(context, isUrgent: false) }
    }

    func mark(_ context: LiveOSCOREContext, isUrgent: Bool) {
        guard !self.isClosed else { return }
        if !context.isDirty {
            context.isDirty = true
            self.dirty.append(context)
        } else if !isUrgent {
            return
        }
        self.changed(isUrgent)
    }

    /// The rows that have changed, as they are now.
    func takeChanges() -> [OSCORERecord] {
        guard !self.dirty.isEmpty else { return [] }
        let dirty = self.dirty
        self.dirty.removeAll(keepingCapacity: dirty.count <= 1024)
        return dirty.compactMap { context in
            context.isDirty = false
            // Its device may be gone meanwhile, or be back under another number.
            guard let state = self.state(of: context.fingerprint) else { return nil }
            if state.sequence.wantsReservation != nil { context.isReserving = true }
            return OSCORERecord(
                fingerprint: context.fingerprint,
                window: state.window,
                reserved: state.sequence.wantsReservation ?? state.sequence.reserved
            )
        }
    }

    /// What became of rows that ``takeChanges()`` gave. What could not be written is given again, as it is then.
    func settled(_ records: [OSCORERecord], isWritten: Bool) {
        for record in records where !record.isExact {
            guard let context = self.numbers[record.fingerprint.family].flatMap({ self.live[$0] }) else {
                if isWritten { self.parked[record.fingerprint.family]?.state.sequence.didReserve(record.reserved) }
                continue
            }
            context.isReserving = false
            if isWritten {
                context.receiver.state.sequence.didReserve(record.reserved)
            } else {
                self.mark(context, isUrgent: false)
            }
        }
    }

    /// For an orderly end: all rows, with windows that can be believed at the next start and without numbers that are not
    /// used. Nothing is opened or sealed under an own number from here on.
    func writeDown() -> [OSCORERecord] {
        guard !self.isClosed else { return [] }
        self.isClosed = true
        self.dirty = []
        let parked = self.parked.map { (OSCOREFingerprint(family: $0, keys: $1.keys), $1.state) }
        let states = parked + self.live.values.map { ($0.fingerprint, $0.receiver.state) }
        return states.compactMap { fingerprint, state in
            guard let window = state.exactWindow else { return nil }
            return OSCORERecord(
                fingerprint: fingerprint,
                window: window,
                reserved: state.sequence.next,
                isExact: true
            )
        }
    }
}
