import CDatagrams
import NIOCore

/// Reads what a UDP socket has, many datagrams with one system call, past the channel of swift-nio: that one makes a text of each address
/// that it sees, and tells neither what was cut nor the host's own address. Belongs to one event loop.
final class DatagramReader {
    struct Datagram {
        let address: DatagramAddress
        /// Where it was sent to; `nil`: where there is only one address.
        let local: DatagramAddress?
        let isGroup: Bool
        /// Good for the moment.
        let bytes: UnsafeRawBufferPointer
    }

    private let descriptor: Int32
    private let maxBytes: Int
    private let buffer: UnsafeMutableRawBufferPointer
    private let entries: UnsafeMutableBufferPointer<datagrams_incoming>

    /// - Parameters:
    ///   - descriptor: Borrowed: it must outlive this.
    ///   - count: Datagrams of one read, at most 64.
    ///   - maxBytes: Of a datagram.
    init(descriptor: Int32, count: Int, maxBytes: Int) {
        self.descriptor = descriptor
        self.maxBytes = maxBytes
        self.buffer = .allocate(byteCount: count * maxBytes, alignment: 16)
        self.entries = .allocate(capacity: count)
        self.entries.initialize(repeating: datagrams_incoming())
    }

    deinit {
        self.buffer.deallocate()
        self.entries.deallocate()
    }

    /// Reads once, and hands over each datagram, or `nil` for one that was too long.
    ///
    /// - Returns: Whether there may be more.
    func read(_ body: (Datagram?) -> Void) throws(IOError) -> Bool {
        let count = datagrams_receive(
            self.descriptor,
            self.buffer.baseAddress,
            self.maxBytes,
            self.entries.baseAddress,
            Int32(self.entries.count)
        )
        guard count >= 0 else { throw IOError(errnoCode: -count, reason: "recvmmsg") }
        for index in 0..<Int(count) {
            let entry = self.entries[index]
            guard !entry.is_cut else {
                body(nil)
                continue
            }
            let hasLocal = entry.local_high != 0 || entry.local_low != 0
            let start = index * self.maxBytes
            body(
                Datagram(
                    address: DatagramAddress(high: entry.high, low: entry.low, port: entry.port, scope: entry.scope),
                    local: hasLocal ? DatagramAddress(high: entry.local_high, low: entry.local_low, port: 0) : nil,
                    isGroup: entry.is_group,
                    bytes: UnsafeRawBufferPointer(rebasing: self.buffer[start..<(start + Int(entry.count))])
                )
            )
        }
        return Int(count) == self.entries.count
    }
}
