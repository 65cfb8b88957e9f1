import CDatagrams
import NIOCore

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// What a UDP socket has to send: collected, and sent with few system calls at the end of a turn. Past the channel of swift-nio, which
/// knows no address to send from and closes the socket at most errors of a single datagram. Belongs to one event loop.
final class DatagramSender {
    /// Bytes that wait when the socket takes no more. What comes on top is lost, as UDP may, and sent again by those who want it.
    static let maxWaitingBytes = 512 << 10
    private static let maxWaiting = 8192
    /// What a busy moment took is given back when it is over.
    private static let keptCapacity = 64 << 10

    private let descriptor: Int32
    private let isIPv6: Bool
    private var bytes: [UInt8] = []
    private var waiting: [datagrams_outgoing] = []
    private(set) var sent: UInt64 = 0
    private(set) var sentBytes: UInt64 = 0
    /// For want of room, or because the system refused them.
    private(set) var lost: UInt64 = 0

    /// - Parameter descriptor: Borrowed: it must outlive this.
    init(descriptor: Int32, isIPv6: Bool) {
        self.descriptor = descriptor
        self.isIPv6 = isIPv6
    }

    var isEmpty: Bool { self.waiting.isEmpty }

    /// - Parameter local: The address to send from; `nil`: the system chooses.
    func add(_ datagram: ByteBuffer, to address: DatagramAddress, from local: DatagramAddress?) {
        let count = datagram.readableBytes
        guard self.bytes.count + count <= Self.maxWaitingBytes, self.waiting.count < Self.maxWaiting,
            self.isIPv6 || address.isIPv4
        else {
            self.lost += 1
            return
        }
        self.waiting.append(
            datagrams_outgoing(
                high: address.wireHigh,
                low: address.low,
                local_high: local?.wireHigh ?? 0,
                local_low: local?.low ?? 0,
                offset: UInt32(self.bytes.count),
                count: UInt32(count),
                scope: address.scope,
                port: address.port
            )
        )
        datagram.withUnsafeReadableBytes { self.bytes.append(contentsOf: $0) }
    }

    /// Sends what waits, as far as the socket takes it.
    ///
    /// - Returns: The error of one that was lost, for the log; `nil`: none was.
    func flush() -> IOError? {
        guard !self.waiting.isEmpty else { return nil }
        let result = datagrams_send(self.descriptor, self.isIPv6, self.bytes, self.waiting, Int32(self.waiting.count))
        let done = Int(result.done)
        self.lost += UInt64(result.lost)
        self.sent += UInt64(result.done - result.lost)
        if done == self.waiting.count {
            self.sentBytes += UInt64(self.bytes.count)
            self.bytes.removeAll(keepingCapacity: self.bytes.capacity <= Self.keptCapacity)
            self.waiting.removeAll(keepingCapacity: self.waiting.capacity <= Self.keptCapacity / 64)
        } else if done > 0 {
            let gone = self.waiting[done].offset
            self.sentBytes += UInt64(gone)
            self.bytes.removeFirst(Int(gone))
            self.waiting.removeFirst(done)
            for index in self.waiting.indices { self.waiting[index].offset -= gone }
        }
        return result.lost == 0 ? nil : IOError(errnoCode: result.error, reason: "sendmmsg")
    }
}
