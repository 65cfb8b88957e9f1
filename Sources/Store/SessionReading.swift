import Broker
import NIOCore

/// All sessions as they are on disk. What nobody can have stored is left out, and harms nothing else.
struct SessionReading {
    /// Rows that are left out.
    struct BadRows {
        /// All that belongs to these goes: their own row is bad or there is none.
        var sessions: Set<Int64> = []
        var subscriptions: [(session: Int64, filter: ByteBuffer)] = []
        var queue: [QueueTable.Entry] = []
        var messages: [Int64] = []
        var held: [(session: Int64, packetID: Int64)] = []
        var wills: [Int64] = []

        var isEmpty: Bool {
            self.sessions.isEmpty && self.subscriptions.isEmpty && self.queue.isEmpty && self.messages.isEmpty
                && self.held.isEmpty && self.wills.isEmpty
        }
    }

    /// In ascending order of their numbers.
    private(set) var sessions: [StoredSession] = []
    /// Those that the sessions wait for.
    private(set) var messages: [Int64: StoredMessage] = [:]
    private(set) var bad = BadRows()
    private var indices: [Int64: Int] = [:]

    init(on connection: OpaquePointer) throws(SQLiteFailure) {
        try self.readSessions(connection)
        try self.readSubscriptions(connection)
        try self.readHeld(connection)
        try self.readWills(connection)
        try self.readQueue(connection)
    }

    /// Where the session is in ``sessions``; nil, and noted, if there is none.
    private mutating func index(of session: Int64) -> Int? {
        if let index = self.indices[session] { return index }
        self.bad.sessions.insert(session)
        return nil
    }

    private mutating func readSessions(_ connection: OpaquePointer) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT number, client_id, owner, expiry_interval, left_at FROM session ORDER BY number",
            on: connection
        )
        while try statement.step() {
            let number = statement.integer(0)
            let clientID = statement.buffer(1)
            guard SpoolKey.sequences.contains(number), clientID.readableBytes <= 65_535,
                let owner = statement.text(2).flatMap(SessionOwner.init(text:)),
                let expiryInterval = UInt32(exactly: statement.integer(3)),
                StoredTime.isPlausible(statement.optionalInteger(4))
            else {
                self.bad.sessions.insert(number)
                continue
            }
            let record = SessionRecord(
                number: number,
                clientID: clientID,
                owner: owner,
                expiryInterval: expiryInterval,
                leftAt: statement.optionalInteger(4)
            )
            self.indices[number] = self.sessions.count
            self.sessions.append(StoredSession(record: record))
        }
    }

    private mutating func readSubscriptions(_ connection: OpaquePointer) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT session, filter, options, identifier FROM subscription ORDER BY session, filter",
            on: connection
        )
        while try statement.step() {
            let session = statement.integer(0)
            guard let index = self.index(of: session) else { continue }
            let filter = statement.buffer(1)
            let record = SubscriptionRecord(
                filter: filter,
                options: statement.integer(2),
                identifier: statement.integer(3)
            )
            if let record {
                self.sessions[index].subscriptions.append(record)
            } else {
                self.bad.subscriptions.append((session, filter))
            }
        }
    }

    private mutating func readHeld(_ connection: OpaquePointer) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT session, packet_id FROM held ORDER BY session, packet_id",
            on: connection
        )
        while try statement.step() {
            let session = statement.integer(0)
            guard let index = self.index(of: session) else { continue }
            let number = statement.integer(1)
            if let packetID = UInt16(exactly: number), packetID > 0 {
                self.sessions[index].held.append(packetID)
            } else {
                self.bad.held.append((session, number))
            }
        }
    }

    private mutating func readWills(_ connection: OpaquePointer) throws(SQLiteFailure) {
        let statement = try PreparedStatement(
            "SELECT session, topic, payload, flags, properties, delay FROM will ORDER BY session",
            on: connection
        )
        while try statement.step() {
            let session = statement.integer(0)
            guard let index = self.index(of: session) else { continue }
            let flags = statement.integer(3)
            guard 0...7 ~= flags, flags & 3 <= 2, let delay = UInt32(exactly: statement.integer(5)) else {
                self.bad.wills.append(session)
                continue
            }
            self.sessions[index].will = WillRecord(
                topic: statement.buffer(1),
                payload: statement.buffer(2),
                qos: UInt8(flags & 3),
                retain: flags & WillRecord.retainFlag != 0,
                properties: statement.buffer(4),
                delay: delay
            )
        }
    }

    private mutating func readQueue(_ connection: OpaquePointer) throws(SQLiteFailure) {
        try MessageTable.all(on: connection) { number, message in
            if let message { self.messages[number] = message } else { self.bad.messages.append(number) }
        }
        var needed: Set<Int64> = []
        try QueueTable.all(on: connection) { entry, record in
            guard let index = self.index(of: entry.place.session) else { return }
            guard let record, self.messages[record.message] != nil else {
                self.bad.queue.append(entry)
                return
            }
            needed.insert(record.message)
            self.sessions[index].queue.append(record)
        }
        if needed.count < self.messages.count { self.messages = self.messages.filter { needed.contains($0.key) } }
    }
}
