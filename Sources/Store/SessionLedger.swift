/// What is on disk of sessions, by number: which sessions, and how many rows of the queue belong to each and to each
/// message. In memory, so that the queue needs no index: that would be more pages to write in every commit.
///
/// Follows a transaction and can go back to its beginning.
struct SessionLedger {
    private struct Message {
        /// Rows of the queue that need it.
        var rows: UInt32 = 0
        /// Counted bytes, as far as they fit.
        var bytes: UInt32
    }

    private var messages: [Int64: Message] = [:]
    /// Rows of the queue, by session.
    private var sessions: [Int64: Int] = [:]
    /// Counted bytes of all messages.
    private(set) var bytes = 0
    /// What has changed in this transaction, as it was before; nil: was not there.
    private var oldMessages: [Int64: Message?] = [:]
    private var oldSessions: [Int64: Int?] = [:]
    private var oldBytes = 0
    /// Messages that came or lost a row in this transaction.
    private var suspects: Set<Int64> = []

    /// Whether the session is there.
    func hasSession(_ session: Int64) -> Bool { self.sessions[session] != nil }

    /// Rows that the session has in the queue.
    func rows(ofSession session: Int64) -> Int { self.sessions[session] ?? 0 }

    /// Whether the message is there.
    func hasMessage(_ message: Int64) -> Bool { self.messages[message] != nil }

    /// Messages that this transaction has left without rows, in ascending order.
    var unneeded: [Int64] { self.suspects.filter { self.messages[$0]?.rows == 0 }.sorted() }

    mutating func addSession(_ session: Int64) {
        self.note(session: session)
        self.sessions[session] = self.sessions[session] ?? 0
    }

    mutating func removeSession(_ session: Int64) {
        self.note(session: session)
        self.sessions[session] = nil
    }

    mutating func addMessage(_ message: Int64, bytes: Int) {
        guard self.messages[message] == nil else { return }
        self.note(message: message)
        let entry = Message(bytes: UInt32(clamping: bytes))
        self.messages[message] = entry
        self.suspects.insert(message)
        self.bytes += Int(entry.bytes)
    }

    mutating func removeMessage(_ message: Int64) {
        guard let entry = self.messages[message] else { return }
        self.note(message: message)
        self.messages[message] = nil
        self.bytes -= Int(entry.bytes)
    }

    /// A row was inserted. What belongs to no session or message that is there, is not counted for it.
    mutating func addRow(session: Int64, message: Int64) {
        if let rows = self.sessions[session] {
            self.note(session: session)
            self.sessions[session] = rows + 1
        }
        if let rows = self.messages[message]?.rows {
            self.note(message: message)
            self.messages[message]?.rows = rows + 1
        }
    }

    /// A row was deleted.
    mutating func removeRow(session: Int64, message: Int64) {
        if let rows = self.sessions[session], rows > 0 {
            self.note(session: session)
            self.sessions[session] = rows - 1
        }
        if let rows = self.messages[message]?.rows, rows > 0 {
            self.note(message: message)
            self.messages[message]?.rows = rows - 1
            self.suspects.insert(message)
        }
    }

    /// The transaction has been committed.
    mutating func committed() {
        self.oldMessages.removeAll(keepingCapacity: self.oldMessages.count < 4_096)
        self.oldSessions.removeAll(keepingCapacity: self.oldSessions.count < 4_096)
        self.suspects.removeAll(keepingCapacity: self.suspects.count < 4_096)
        self.oldBytes = self.bytes
    }

    /// The transaction has been rolled back.
    mutating func rolledBack() {
        for (number, old) in self.oldMessages { self.messages[number] = old }
        for (number, old) in self.oldSessions { self.sessions[number] = old }
        self.bytes = self.oldBytes
        self.committed()
    }

    private mutating func note(message: Int64) {
        if self.oldMessages[message] == nil { self.oldMessages.updateValue(self.messages[message], forKey: message) }
    }

    private mutating func note(session: Int64) {
        if self.oldSessions[session] == nil { self.oldSessions.updateValue(self.sessions[session], forKey: session) }
    }
}
