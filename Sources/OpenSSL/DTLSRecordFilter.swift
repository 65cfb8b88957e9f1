import NIOCore

/// What of a datagram a session may see.
///
/// Anybody can write an alert in the clear, with a peer's address on it, and OpenSSL ends the handshake for it. RFC 6347
/// §4.1.2.7 allows to ignore it; a handshake that really failed ends by its time. Data in the clear does the same.
enum DTLSRecordFilter {
    private static let alert: UInt8 = 21
    private static let applicationData: UInt8 = 23
    private static let headerBytes = 13

    /// The datagram without such records, and without what follows something that is no record of DTLS 1.2; `nil` if it has
    /// nothing of that, as nearly all have, and empty if nothing is left.
    ///
    /// Of a record of another version OpenSSL throws away the header only and reads what is inside as records, so that an
    /// alert could hide there. The version of a ClientHello may be another; it comes first.
    ///
    /// - Parameter isHello: The first record is a ClientHello.
    static func withoutForgeries(_ datagram: ByteBuffer, isHello: Bool) -> ByteBuffer? {
        let first = datagram.readerIndex
        /// What stays, from the first record on that does not.
        var kept: ByteBuffer?
        var start = first
        func before() -> ByteBuffer { kept ?? datagram.getSlice(at: first, length: start - first) ?? ByteBuffer() }
        while start < datagram.writerIndex {
            guard let type = datagram.getInteger(at: start, as: UInt8.self),
                let version = datagram.getInteger(at: start + 1, as: UInt16.self),
                let epoch = datagram.getInteger(at: start + 3, as: UInt16.self),
                let length = datagram.getInteger(at: start + 11, as: UInt16.self),
                version == 0xFEFD || isHello && start == first,
                let record = datagram.getSlice(at: start, length: self.headerBytes + Int(length))
            else { return before() }
            if epoch == 0, type == self.alert || type == self.applicationData {
                kept = before()
            } else {
                kept?.writeImmutableBuffer(record)
            }
            start += record.readableBytes
        }
        return kept
    }
}
