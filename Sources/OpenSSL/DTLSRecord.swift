import NIOCore

/// The first record of a datagram (RFC 6347 §4.1), as far as it tells whose the datagram is.
struct DTLSRecord {
    private static let changeCipherSpec: UInt8 = 20
    private static let handshake: UInt8 = 22
    private static let clientHello: UInt8 = 1
    private static let types: ClosedRange<UInt8> = 20...25
    private static let headerBytes = 13
    /// Behind record header, handshake header and version.
    private static let randomAt = 27

    let type: UInt8
    /// Of a handshake message in the clear.
    let handshakeType: UInt8?
    /// Of a handshake: a message of it that is not sealed yet, or one of its last.
    let isHandshake: Bool
    /// Of a ClientHello in the clear; `nil`: it is something else.
    let clientRandom: [UInt8]?
    /// Of a ClientHello: it brings a cookie, good or not.
    let hasCookie: Bool

    /// Whether one of the records is a sealed message of a handshake: of a client that is Finished.
    static func areWithFinished(_ datagram: ByteBuffer) -> Bool {
        var start = datagram.readerIndex
        while let type = datagram.getInteger(at: start, as: UInt8.self),
            let epoch = datagram.getInteger(at: start + 3, as: UInt16.self),
            let length = datagram.getInteger(at: start + 11, as: UInt16.self)
        {
            if type == Self.handshake, epoch > 0 { return true }
            start += Self.headerBytes + Int(length)
        }
        return false
    }

    /// `nil`: no record of DTLS 1.x.
    init?(_ datagram: ByteBuffer) {
        let start = datagram.readerIndex
        guard datagram.readableBytes >= Self.headerBytes,
            let type = datagram.getInteger(at: start, as: UInt8.self), Self.types.contains(type),
            datagram.getInteger(at: start + 1, as: UInt8.self) == 0xFE,
            let epoch = datagram.getInteger(at: start + 3, as: UInt16.self)
        else { return nil }
        self.isHandshake = epoch == 0 || type == Self.handshake || type == Self.changeCipherSpec
        self.type = type
        self.handshakeType =
            type == Self.handshake && epoch == 0 ? datagram.getInteger(at: start + Self.headerBytes) : nil
        guard self.handshakeType == Self.clientHello else {
            self.clientRandom = nil
            self.hasCookie = false
            return
        }
        guard let random = datagram.getBytes(at: start + Self.randomAt, length: 32) else { return nil }
        self.clientRandom = random
        let sessionIDLength = datagram.getInteger(at: start + Self.randomAt + 32, as: UInt8.self) ?? 0
        let cookieAt = start + Self.randomAt + 33 + Int(sessionIDLength)
        self.hasCookie = (datagram.getInteger(at: cookieAt, as: UInt8.self) ?? 0) > 0
    }
}
