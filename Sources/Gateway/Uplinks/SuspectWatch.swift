/// Finds the message that an outside broker ends the connection on, so that it goes to the dead letters instead of keeping the
/// link down for ever.
///
/// A broker with limits of its own may close without a word, on a message that comes first at every connection. So after two
/// connections in a row that ended with the same oldest message unacknowledged, and nothing acknowledged, one message at a
/// time is under way: the connection that ends then names the message.
struct SuspectWatch {
    /// What to do about the end of a connection.
    enum Verdict: Equatable {
        case none
        /// This message was alone under way when so many connections in a row ended.
        case dead(sequence: Int64, times: Int)
    }

    /// Messages in a row that may be judged without one acknowledgement: past it the broker closes on everything, and no
    /// message is to blame.
    static let maxJudged = 10

    /// Ends of connections with one message that condemn it.
    let limit: Int
    /// One message at a time is to be under way.
    private(set) var isCautious = false
    private var suspect: (sequence: Int64, times: Int)?
    private var judged = 0
    /// Acknowledgements until the caution ends.
    private var trials = 0
    private var wasAcknowledged = false

    /// - Parameter limit: 1 or more.
    init(limit: Int) {
        self.limit = limit
    }

    /// Whether the broker ended so many connections on one message after another that it can't be the messages.
    var blamesTheBroker: Bool { self.judged >= Self.maxJudged }

    /// The broker accepted a connection.
    mutating func connected() {
        self.wasAcknowledged = false
    }

    /// The broker acknowledged something else than a message of a node: it does not end the connection on everything.
    mutating func brokerWorks() {
        self.judged = 0
    }

    /// The broker acknowledged a message, or refused it by a reason code.
    mutating func acknowledged() {
        self.judged = 0
        guard !self.wasAcknowledged || self.isCautious else { return }
        self.wasAcknowledged = true
        self.suspect = nil
        guard self.isCautious else { return }
        self.trials -= 1
        if self.trials <= 0 { self.isCautious = false }
    }

    /// The connection ended, or acknowledged nothing for too long.
    ///
    /// - Parameters:
    ///   - oldest: The oldest message that is not acknowledged.
    ///   - inFlight: Messages that are not.
    mutating func closed(oldest: Int64?, inFlight: Int) -> Verdict {
        guard let oldest else { return .none }
        if let suspect = self.suspect, suspect.sequence == oldest {
            self.suspect = (oldest, suspect.times + 1)
        } else {
            self.suspect = (oldest, 1)
        }
        guard let times = self.suspect?.times else { return .none }
        if self.isCautious {
            guard times > self.limit, !self.blamesTheBroker else { return .none }
            self.judged += 1
            self.suspect = nil
            self.trials -= 1
            if self.trials <= 0 { self.isCautious = false }
            return .dead(sequence: oldest, times: times)
        }
        if !self.wasAcknowledged, times >= 2 {
            self.isCautious = true
            self.trials = max(inFlight, 1)
            // The connections so far may have ended on any of those under way.
            self.suspect = (oldest, 1)
        }
        return .none
    }
}
