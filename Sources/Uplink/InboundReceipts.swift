internal import DequeModule
internal import MQTTCodec
internal import NIOCore

/// Names one QoS 1 or 2 message that came from the broker, to be given back when the gateway has taken charge of it.
///
/// Its answer goes out on the connection on which it came only: a receipt that outlived its connection answers nothing there,
/// although the same packet identifier may be in use again. At QoS 2 it still tells the client that the message is stored.
package struct UplinkReceipt: Hashable, Sendable {
    /// The broker's packet identifier.
    package let packetID: UInt16
    /// Whether the message is a QoS 2 one: the owner stores its packet identifier with it, until
    /// ``UplinkAction/released(packetID:)``.
    package let isExactlyOnce: Bool
    /// Running number over all connections of the client.
    let index: UInt64
}

/// Messages from the broker that are not answered yet. A PUBACK or PUBREC is held back until those before it could be written,
/// for they go out in the order of the messages `[MQTT-4.6.0-2]`, `[MQTT-4.6.0-3]`.
struct InboundReceipts {
    private struct Entry {
        let packetID: UInt16
        let isExactlyOnce: Bool
        var isDone = false
    }

    private var entries: Deque<Entry> = []
    /// Index of the first entry.
    private var firstIndex: UInt64 = 0
    /// QoS 1 messages whose PUBACK is not written.
    private(set) var atLeastOnce = 0

    var count: Int { self.entries.count }
    private var nextIndex: UInt64 { self.firstIndex + UInt64(self.entries.count) }

    mutating func append(_ packetID: UInt16, isExactlyOnce: Bool) -> UplinkReceipt {
        defer {
            self.entries.append(Entry(packetID: packetID, isExactlyOnce: isExactlyOnce))
            if !isExactlyOnce { self.atLeastOnce += 1 }
        }
        return UplinkReceipt(packetID: packetID, isExactlyOnce: isExactlyOnce, index: self.nextIndex)
    }

    /// Whether it is of the present connection and not answered.
    func contains(_ receipt: UplinkReceipt) -> Bool {
        receipt.index >= self.firstIndex && receipt.index < self.nextIndex
    }

    /// Marks the message as taken, and writes the answers that may go out now.
    ///
    /// - Returns: Whether something was written.
    mutating func complete(_ receipt: UplinkReceipt, into output: inout ByteBuffer) -> Bool {
        guard self.contains(receipt) else { return false }
        self.entries[Int(receipt.index - self.firstIndex)].isDone = true
        var hasWritten = false
        while let first = self.entries.first, first.isDone {
            PubAck.write(first.isExactlyOnce ? .pubrec : .puback, packetID: first.packetID, into: &output)
            self.entries.removeFirst()
            self.firstIndex += 1
            if !first.isExactlyOnce { self.atLeastOnce -= 1 }
            hasWritten = true
        }
        return hasWritten
    }

    /// The connection is gone; the broker sends again what was not answered.
    mutating func removeAll() {
        self.firstIndex += UInt64(self.entries.count)
        self.entries.removeAll(keepingCapacity: true)
        self.atLeastOnce = 0
    }
}
