import Broker

/// The sessions' part of a transaction, and of the start. Begins and ends no transaction of its own.
final class SessionWriter {
    /// The highest of the common counter's numbers that was on disk at the start; 0: there was none.
    private(set) var highestNumber: Int64 = 0

    private let connection: OpaquePointer
    private let faults: FaultSwitch
    private let sessions: SessionTable
    private let queue: QueueTable
    private let messages: MessageTable
    private var ledger = SessionLedger()
    /// Messages that no session waited for, at the start.
    private var orphans: [Int64] = []

    init(on connection: OpaquePointer, faults: FaultSwitch) throws(SQLiteFailure) {
        self.connection = connection
        self.faults = faults
        self.sessions = try SessionTable(on: connection)
        self.queue = try QueueTable(on: connection)
        self.messages = try MessageTable(on: connection)
        try self.count()
        self.orphans = self.ledger.unneeded
        self.ledger.committed()
    }

    /// Fills the ledger. Numbers that nobody can have given are not believed.
    private func count() throws(SQLiteFailure) {
        func note(_ number: Int64) {
            if SpoolKey.sequences.contains(number) { self.highestNumber = max(self.highestNumber, number) }
        }
        let numbers = try PreparedStatement("SELECT number FROM session", on: self.connection)
        while try numbers.step() {
            self.ledger.addSession(numbers.integer(0))
            note(numbers.integer(0))
        }
        try MessageTable.sizes(on: self.connection) { number, bytes in
            self.ledger.addMessage(number, bytes: bytes)
            note(number)
        }
        try self.queue.entries(from: .min) { entry in
            self.ledger.addRow(session: entry.place.session, message: entry.message)
            note(entry.place.order)
        }
    }

    /// Topics and payloads of all messages.
    var heldBytes: Int { self.ledger.bytes }

    /// Whether ``removeOrphans()`` has work.
    var hasOrphans: Bool { !self.orphans.isEmpty }

    /// To be called when the transaction has been committed.
    func committed() { self.ledger.committed() }

    /// To be called when the transaction has been rolled back.
    func rolledBack() { self.ledger.rolledBack() }

    // MARK: - Inside a transaction

    /// - Parameter arrived: The messages of the batches.
    func apply(_ plan: SessionPlan, _ arrived: [Int64: StoredMessage]) throws(SQLiteFailure) {
        // What goes is first, so that there is room.
        let ended = plan.ended.filter(self.ledger.hasSession)
        if !ended.isEmpty { try self.end(Set(ended), rows: ended.map(self.ledger.rows(ofSession:)).reduce(0, +)) }
        for item in plan.dequeued where self.ledger.rows(ofSession: item.place.session) > 0 {
            try self.dequeue(item.place, message: item.message)
        }
        for record in plan.opened {
            try self.faults.pass(.session)
            try self.sessions.insert(record)
            self.ledger.addSession(record.number)
        }
        for item in plan.updated where self.ledger.hasSession(item.session) {
            try self.faults.pass(.session)
            try self.sessions.update(item.session, to: item.to)
        }
        for item in plan.subscriptions where self.ledger.hasSession(item.session) {
            try self.faults.pass(.session)
            if let record = item.to {
                try self.sessions.subscribe(item.session, record)
            } else {
                try self.sessions.unsubscribe(item.session, filter: item.filter)
            }
        }
        for item in plan.held where self.ledger.hasSession(item.session) {
            try self.faults.pass(.session)
            if item.isHeld {
                try self.sessions.hold(item.session, packetID: item.packetID)
            } else {
                try self.sessions.free(item.session, packetID: Int64(item.packetID))
            }
        }
        for item in plan.wills where self.ledger.hasSession(item.session) {
            try self.faults.pass(.session)
            try self.sessions.setWill(of: item.session, to: item.to)
        }
        for record in plan.enqueued where self.ledger.hasSession(record.session) {
            try self.enqueue(record, arrived)
        }
        for item in plan.progressed where self.ledger.rows(ofSession: item.place.session) > 0 {
            try self.faults.pass(.session)
            try self.queue.update(item.place, to: item.to)
        }
        try self.removeUnneeded()
    }

    private func enqueue(_ record: QueuedMessageRecord, _ arrived: [Int64: StoredMessage]) throws(SQLiteFailure) {
        if !self.ledger.hasMessage(record.message) {
            guard let message = arrived[record.message] else { return }
            try self.faults.pass(.message)
            try self.messages.insert(message)
            self.ledger.addMessage(message.number, bytes: message.countedBytes)
        }
        try self.faults.pass(.session)
        guard try self.queue.insert(record) else { return }
        self.ledger.addRow(session: record.session, message: record.message)
    }

    private func dequeue(_ place: SessionPlan.Place, message: Int64) throws(SQLiteFailure) {
        try self.faults.pass(.session)
        guard try self.queue.delete(place) else { return }
        self.ledger.removeRow(session: place.session, message: message)
    }

    /// Deletes all of some sessions.
    ///
    /// - Parameter rows: What they have in the queue; nil: it is not known.
    private func end(_ ended: Set<Int64>, rows: Int?) throws(SQLiteFailure) {
        if rows != 0 {
            // Nothing of a session is older than the session; if it is, the whole queue is looked through.
            var entries = try self.entries(of: ended, from: rows == nil ? .min : ended.min() ?? .min)
            if let rows, entries.count < rows { entries = try self.entries(of: ended, from: .min) }
            for entry in entries { try self.dequeue(entry.place, message: entry.message) }
        }
        for session in ended.sorted() {
            try self.faults.pass(.session)
            try self.sessions.delete(session)
            self.ledger.removeSession(session)
        }
    }

    private func entries(of ended: Set<Int64>, from position: Int64) throws(SQLiteFailure) -> [QueueTable.Entry] {
        var entries: [QueueTable.Entry] = []
        try self.queue.entries(from: position) { entry in
            if ended.contains(entry.place.session) { entries.append(entry) }
        }
        return entries
    }

    private func removeUnneeded() throws(SQLiteFailure) {
        for number in self.ledger.unneeded { try self.remove(message: number) }
    }

    private func remove(message number: Int64) throws(SQLiteFailure) {
        try self.faults.pass(.message)
        try self.messages.delete(number)
        self.ledger.removeMessage(number)
    }

    // MARK: - The start

    /// Inside a transaction: deletes the messages that no session waited for when the database was opened.
    func removeOrphans() throws(SQLiteFailure) {
        for number in self.orphans { try self.remove(message: number) }
    }

    /// Everything there is.
    func read() throws(SQLiteFailure) -> SessionReading { try SessionReading(on: self.connection) }

    /// Inside a transaction: deletes what was left out in reading.
    func remove(_ bad: SessionReading.BadRows) throws(SQLiteFailure) {
        if !bad.sessions.isEmpty { try self.end(bad.sessions, rows: nil) }
        for item in bad.subscriptions { try self.sessions.unsubscribe(item.session, filter: item.filter) }
        for item in bad.held { try self.sessions.free(item.session, packetID: item.packetID) }
        for session in bad.wills { try self.sessions.setWill(of: session, to: nil) }
        for entry in bad.queue { try self.dequeue(entry.place, message: entry.message) }
        for number in bad.messages { try self.remove(message: number) }
        try self.removeUnneeded()
    }
}
