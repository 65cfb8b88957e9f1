internal import DequeModule
internal import MQTTCodec
internal import NIOCore

/// The second half of QoS 2 towards the broker: from PUBREC to PUBCOMP.
///
/// PUBRELs go out in the order in which the PUBRECs came `[MQTT-4.6.0-4]`, each when the owner has written down that it may: a
/// crash must not make the client forget that the broker has the message.
struct ReleaseWindow {
    private struct Entry {
        let packetID: UInt16
        /// Of the message; `nil` if an earlier run wrote it down.
        let sequence: Int64?
        /// Whether the PUBLISH went out on the present connection, and so counts against the broker's Receive Maximum.
        var isCounted: Bool
        /// Whether the owner has written it down.
        var isReleased: Bool
        var isCompleted = false
    }

    private var entries: Deque<Entry> = []
    /// Index of the first entry in the count over all.
    private var firstIndex = 0
    private var indices: [UInt16: Int] = [:]
    /// PUBRELs that went out on the present connection: all before this index.
    private var writtenIndex = 0

    var count: Int { self.indices.count }
    var isEmpty: Bool { self.indices.isEmpty }
    /// Whether the broker owes a PUBCOMP.
    var isOwed: Bool { self.writtenIndex > self.firstIndex }
    /// All that are not completed, in their order.
    var packetIDs: [UInt16] { self.entries.filter { !$0.isCompleted }.map(\.packetID) }

    func contains(_ packetID: UInt16) -> Bool { self.indices[packetID] != nil }

    /// A PUBREC came, or an earlier run had one.
    mutating func append(_ packetID: UInt16, sequence: Int64?, isCounted: Bool, isReleased: Bool = false) {
        guard self.indices[packetID] == nil else { return }
        self.indices[packetID] = self.firstIndex + self.entries.count
        self.entries.append(
            Entry(packetID: packetID, sequence: sequence, isCounted: isCounted, isReleased: isReleased)
        )
    }

    /// Those that the owner has not written down yet.
    var unreleased: [UplinkSession.Unreleased] {
        self.entries.compactMap { entry in
            guard !entry.isReleased, let sequence = entry.sequence else { return nil }
            return .init(sequence: sequence, packetID: entry.packetID)
        }
    }

    /// The owner has written it down: its PUBREL goes out when those before it have, if there is a connection.
    ///
    /// - Parameter output: `nil` without a connection.
    /// - Returns: Whether something was written.
    mutating func release(_ packetID: UInt16, into output: inout ByteBuffer, isConnected: Bool) -> Bool {
        guard let index = self.indices[packetID] else { return false }
        self.entries[index - self.firstIndex].isReleased = true
        return isConnected && self.writePubRels(into: &output)
    }

    /// Whether the PUBREL of this one is out.
    func isWritten(_ packetID: UInt16) -> Bool { self.indices[packetID].map { $0 < self.writtenIndex } ?? false }

    /// A PUBCOMP came.
    ///
    /// - Returns: Whether the PUBLISH counted against Receive Maximum; `nil` if no PUBREL of this identifier is out.
    mutating func complete(_ packetID: UInt16) -> Bool? {
        guard let index = self.indices[packetID], index < self.writtenIndex else { return nil }
        self.indices[packetID] = nil
        let place = index - self.firstIndex
        self.entries[place].isCompleted = true
        let isCounted = self.entries[place].isCounted
        while self.entries.first?.isCompleted == true {
            self.entries.removeFirst()
            self.firstIndex += 1
        }
        return isCounted
    }

    /// A connection begins on which the broker still has the session: every PUBREL goes out again `[MQTT-4.4.0-1]`.
    ///
    /// - Returns: Whether something was written.
    mutating func resend(into output: inout ByteBuffer) -> Bool {
        self.writtenIndex = self.firstIndex
        for place in self.entries.indices { self.entries[place].isCounted = false }
        return self.writePubRels(into: &output)
    }

    /// The session is lost.
    mutating func removeAll() {
        self.firstIndex += self.entries.count
        self.writtenIndex = self.firstIndex
        self.entries.removeAll(keepingCapacity: true)
        self.indices.removeAll(keepingCapacity: true)
    }

    private mutating func writePubRels(into output: inout ByteBuffer) -> Bool {
        var hasWritten = false
        while self.writtenIndex - self.firstIndex < self.entries.count {
            let entry = self.entries[self.writtenIndex - self.firstIndex]
            guard entry.isReleased else { break }
            if !entry.isCompleted {
                PubAck.write(.pubrel, packetID: entry.packetID, into: &output)
                hasWritten = true
            }
            self.writtenIndex += 1
        }
        return hasWritten
    }
}
