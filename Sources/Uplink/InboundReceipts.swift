internal import DequeModule
internal import NIOCore

/// Names one QoS 1 message that came from the broker, to be given back when the gateway has taken charge of it.
///
/// It holds good for one connection only: a receipt that outlived its connection acknowledges nothing, although the same
/// packet identifier may be in use again.
package struct UplinkReceipt: Hashable, Sendable {
    /// The broker's packet identifier.
    package let packetID: UInt16
    /// Running number over all connections of the client.
    let index: UInt64
}

/// Messages from the broker that are not acknowledged yet. A PUBACK is held back until those before it could be written,
/// for they go out in the order of the messages `[MQTT-4.6.0-2]`.
struct InboundReceipts {
    private struct Entry {
        let packetID: UInt16
        var isDone = false
    }

    private var entries: Deque<Entry> = []
    /// Index of the first entry.
    private var firstIndex: UInt64 = 0

    var count: Int { self.entries.count }

    mutating func append(_ packetID: UInt16) -> UplinkReceipt {
        defer { self.entries.append(Entry(packetID: packetID)) }
        return UplinkReceipt(packetID: packetID, index: self.firstIndex + UInt64(self.entries.count))
    }

    /// Marks the message as taken, and writes the PUBACKs that may go out now.
    ///
    /// - Returns: Whether something was written.
    mutating func complete(_ receipt: UplinkReceipt, into output: inout ByteBuffer) -> Bool {
        guard receipt.index >= self.firstIndex else { return false }
        let place = Int(receipt.index - self.firstIndex)
        guard place < self.entries.count else { return false }
        self.entries[place].isDone = true
        var hasWritten = false
        while let first = self.entries.first, first.isDone {
            output.writeInteger(0x4002, as: UInt16.self)  // PUBACK, two bytes to come (MQTT 3.1.1 §3.4).
            output.writeInteger(first.packetID)
            self.entries.removeFirst()
            self.firstIndex += 1
            hasWritten = true
        }
        return hasWritten
    }

    /// The connection is gone; the broker sends again what was not acknowledged.
    mutating func removeAll() {
        self.firstIndex += UInt64(self.entries.count)
        self.entries.removeAll(keepingCapacity: true)
    }
}
