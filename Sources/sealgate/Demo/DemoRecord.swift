import Gateway

/// What was done in the demo and what became of it: the rows of the table, and everything that went otherwise than it
/// should.
struct DemoRecord: Sendable {
    /// One kind of message of one sender.
    struct Row: Sendable {
        let who: String
        let what: String
        var sent = 0
        /// Seen where it was meant to arrive.
        var delivered = 0
        /// Acknowledged again and not forwarded again.
        var repeated = 0
        /// By reason, as the gateway counts.
        var refused: [String: Int] = [:]

        var refusedTotal: Int { self.refused.values.reduce(0, +) }
    }

    /// In the order in which they began.
    private(set) var rows: [Row] = []
    /// One clause each; none if all is well.
    private(set) var problems: [String] = []

    /// Changes the row of this sender and kind; it is made if there is none.
    mutating func change(_ who: String, _ what: String, _ body: (inout Row) -> Void) {
        let index = self.rows.firstIndex { $0.who == who && $0.what == what } ?? self.rows.count
        if index == self.rows.count { self.rows.append(Row(who: who, what: what)) }
        body(&self.rows[index])
    }

    /// Something went otherwise than it should.
    mutating func problem(_ text: String) {
        self.problems.append(text)
    }
}

extension Counters {
    /// The refusals since `earlier`, by reason.
    func refused(since earlier: Counters) -> [Refusal: Int] {
        self.refused.merging(earlier.refused) { $0 - $1 }.filter { $0.value != 0 }
    }
}
