import NIOCore

/// What of a datagram a session may see.
///
/// Anybody can write an alert in the clear, with a peer's address on it, and OpenSSL ends the handshake for it. RFC 6347
/// §4.1.2.7 allows to ignore it; a handshake that really failed ends by its time. Data in the clear does the same.
enum DTLSRecordFilter {
    private static let alert: UInt8 = 21
    private static let applicationData: UInt8 = 23
    private static let headerBytes = 13

    /// The datagram without such records, and without what follows something that is no record of DTLS 1.2; empty if
    /// nothing is left.
    ///
    /// Of a record of another version OpenSSL throws away the header only and reads what is inside as records, so that an
    /// alert could hide there. The version of a ClientHello may be another; it comes first.
    ///
    /// - Parameter isHello: The first record is a ClientHello.
    static func withoutForgeries(_ datagram: ByteBuffer, isHello: Bool) -> ByteBuffer {
        var kept: [ByteBuffer] = []
        var rest = datagram
        var isAll = true
        while rest.readableBytes > 0 {
            let start = rest.readerIndex
            guard let type = rest.getInteger(at: start, as: UInt8.self),
                let version = rest.getInteger(at: start + 1, as: UInt16.self),
                let epoch = rest.getInteger(at: start + 3, as: UInt16.self),
                let length = rest.getInteger(at: start + 11, as: UInt16.self),
                version == 0xFEFD || isHello && start == datagram.readerIndex,
                let record = rest.readSlice(length: self.headerBytes + Int(length))
            else {
                isAll = false
                break
            }
            if epoch == 0, type == self.alert || type == self.applicationData {
                isAll = false
            } else {
                kept.append(record)
            }
        }
        if isAll { return datagram }
        return kept.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }
}
