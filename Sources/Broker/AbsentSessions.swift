import NIOCore

/// Persistent sessions whose client is away, in the order in which they left: a list through the sessions themselves, so
/// that coming and going costs the same however many there are.
///
/// Its owner takes a session out before it lets go of it. Bound to the gateway's loop.
struct AbsentSessions {
    /// A session's place in the list.
    struct Place {
        let since: NIODeadline
        fileprivate unowned var previous: Session?
        fileprivate unowned var next: Session?
    }

    /// Absent for the longest time.
    private(set) unowned var first: Session?
    private unowned var last: Session?

    /// Puts the session at the end; `now` is never before that of an earlier one.
    mutating func append(_ session: Session, now: NIODeadline) {
        guard session.absence == nil else { return }
        session.absence = Place(since: now, previous: self.last, next: nil)
        self.last?.absence?.next = session
        self.last = session
        if self.first == nil { self.first = session }
    }

    /// Takes the session out, if it is in.
    mutating func remove(_ session: Session) {
        guard let place = session.absence else { return }
        session.absence = nil
        if let previous = place.previous { previous.absence?.next = place.next } else { self.first = place.next }
        if let next = place.next { next.absence?.previous = place.previous } else { self.last = place.previous }
    }

    /// The one that is absent for the longest time, if that is `limit` or longer.
    func expired(after limit: TimeAmount, now: NIODeadline) -> Session? {
        guard let session = self.first, let place = session.absence, now - place.since >= limit else { return nil }
        return session
    }
}
