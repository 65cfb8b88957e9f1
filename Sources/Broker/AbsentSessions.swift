import NIOCore

/// Sessions whose client is away, in the order in which they left: a list through the sessions themselves, so that coming
/// and going costs the same however many there are.
///
/// Its owner takes a session out before it lets go of it. Bound to the gateway's loop.
struct AbsentSessions {
    /// A session's place in the list.
    struct Place {
        /// When the session ends; nil: never.
        let ends: NIODeadline?
        fileprivate unowned var previous: Session?
        fileprivate unowned var next: Session?
    }

    /// Absent for the longest time.
    private(set) unowned var first: Session?
    private unowned var last: Session?

    /// Puts the session at the end.
    mutating func append(_ session: Session, ends: NIODeadline?) {
        guard session.absence == nil else { return }
        session.absence = Place(ends: ends, previous: self.last, next: nil)
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

    /// All of them, in order; the present one may be taken out.
    func forEach(_ body: (Session) -> Void) {
        var session = self.first
        while let present = session {
            session = present.absence?.next
            body(present)
        }
    }
}
