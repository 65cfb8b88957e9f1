import NIOCore

/// The first record of a datagram (RFC 6347 §4.1), as far as it tells whose the datagram is.
struct DTLSRecord {
    private static let changeCipherSpec: UInt8 = 20
    private static let handshake: UInt8 = 22
    private static let types: ClosedRange<UInt8> = 20...25
    private static let headerBytes = 13
    /// Behind record header, handshake header and version.
    private static let randomAt = 27

    /// Of a handshake: a message of it that is not sealed yet, or one of its last.
    let isHandshake: Bool
    /// Of a ClientHello in the clear; `nil`: it is something else.
    let clientRandom: [UInt8]?

    /// `nil`: no record of DTLS 1.x.
    init?(_ datagram: ByteBuffer) {
        let start = datagram.readerIndex
        guard datagram.readableBytes >= Self.headerBytes,
            let type = datagram.getInteger(at: start, as: UInt8.self), Self.types.contains(type),
            datagram.getInteger(at: start + 1, as: UInt8.self) == 0xFE,
            let epoch = datagram.getInteger(at: start + 3, as: UInt16.self)
        else { return nil }
        self.isHandshake = epoch == 0 || type == Self.handshake || type == Self.changeCipherSpec
        let isHello =
            type == Self.handshake && epoch == 0
            && datagram.getInteger(at: start + Self.headerBytes, as: UInt8.self) == 1
        guard isHello else {
            self.clientRandom = nil
            return
        }
        guard let random = datagram.getBytes(at: start + Self.randomAt, length: 32) else { return nil }
        self.clientRandom = random
    }
}
