internal import NIOCore
internal import NIOWebSocket

/// The two sides of a WebSocket.
enum WebSocketRole: Sendable {
    case server
    case client
}

/// Cuts what the peer sends into pieces, by RFC 6455 §5 without extensions.
///
/// The payload of data frames is passed on as it arrives: MQTT packets have nothing to do with the borders of frames and
/// messages `[MQTT-6.0.0-2]`, so that a frame is never collected. Only headers and control frames wait until they are
/// whole: 139 bytes at most.
struct WebSocketDecoder {
    /// A part of the stream.
    enum Piece: Equatable {
        /// Bytes of MQTT, in order. On a server they share no storage with the buffer that they came from.
        case data(ByteBuffer)
        case ping(ByteBuffer)
        case pong
        /// The peer's status code; nil if its Close frame had none.
        case close(UInt16?)
    }

    /// A frame's header.
    private struct Header {
        let opcode: WebSocketOpcode
        let isFinal: Bool
        let length: Int
        /// Nil in frames of a server.
        let mask: WebSocketMaskingKey?
        /// Of the header itself.
        let size: Int
    }

    /// The longest payload of a control frame (RFC 6455 §5.5).
    static let maxControlBytes = 125

    /// The longest payload of a data frame.
    let maxFrameBytes: Int
    /// Which side this is: only a client masks its frames (RFC 6455 §5.1).
    let role: WebSocketRole
    private var mask: WebSocketMaskingKey?
    /// Bytes of the present data frame that came.
    private var received = 0
    /// Bytes of it that have yet to come.
    private var missing = 0
    /// A data frame without FIN came: continuation frames follow.
    private var isInMessage = false

    /// - Parameter maxFrameBytes: Data frames that say they are longer are refused by their header.
    init(maxFrameBytes: Int, role: WebSocketRole = .server) {
        self.maxFrameBytes = maxFrameBytes
        self.role = role
    }

    /// The next piece; nil if more bytes are needed. What is then left in `buffer` comes again, with more behind it.
    mutating func next(_ buffer: inout ByteBuffer) throws(WebSocketError) -> Piece? {
        while true {
            if self.missing > 0 {
                guard var data = buffer.readSlice(length: min(self.missing, buffer.readableBytes)),
                    data.readableBytes > 0
                else { return nil }
                if let mask = self.mask {
                    // Copies the slice, as `buffer` has the same storage: a message then holds no read buffer.
                    data.webSocketUnmask(mask, indexOffset: self.received & 3)
                }
                self.received += data.readableBytes
                self.missing -= data.readableBytes
                return .data(data)
            }
            guard let header = try self.header(buffer) else { return nil }
            if header.opcode.isControlOpcode {
                guard buffer.readableBytes >= header.size + header.length else { return nil }
                buffer.moveReaderIndex(forwardBy: header.size)
                var payload = ByteBuffer()
                if header.length > 0, let slice = buffer.readSlice(length: header.length) { payload = slice }
                if let mask = header.mask { payload.webSocketUnmask(mask) }
                switch header.opcode {
                case .connectionClose: return .close(try Self.closeCode(payload))
                case .ping: return .ping(payload)
                default: return .pong
                }
            }
            buffer.moveReaderIndex(forwardBy: header.size)
            self.isInMessage = !header.isFinal
            self.mask = header.mask
            self.received = 0
            self.missing = header.length
        }
    }

    /// The header at the reader index, checked; nil if it is not whole.
    private func header(_ buffer: ByteBuffer) throws(WebSocketError) -> Header? {
        let start = buffer.readerIndex
        guard let first = buffer.getInteger(at: start, as: UInt8.self) else { return nil }
        let isFinal = first & 0x80 != 0
        guard first & 0x70 == 0 else {
            throw .failed(WebSocketError.protocolError, "a frame has reserved bits, and no extension was agreed on")
        }
        guard let opcode = WebSocketOpcode(encodedWebSocketOpcode: first & 0x0F) else { return nil }
        switch opcode {
        case .binary where self.isInMessage:
            throw .failed(WebSocketError.protocolError, "a message began before the one before it was whole")
        case .continuation where !self.isInMessage:
            throw .failed(WebSocketError.protocolError, "a continuation frame that continues nothing")
        case .connectionClose, .ping, .pong:
            guard isFinal else { throw .failed(WebSocketError.protocolError, "a control frame in fragments") }
        case .binary, .continuation: break
        case .text:
            // [MQTT-6.0.0-1]
            throw .failed(WebSocketError.unacceptableData, "a text frame: MQTT is sent in binary frames")
        default: throw .failed(WebSocketError.protocolError, "a frame of an unknown kind")
        }
        guard let second = buffer.getInteger(at: start + 1, as: UInt8.self) else { return nil }
        guard (second & 0x80 != 0) == (self.role == .server) else {
            let fault = self.role == .server ? "not masked" : "masked, of a server"
            throw .failed(WebSocketError.protocolError, "a frame that is \(fault)")
        }
        let (length, size) = (Int(second & 0x7F), 2)
        if opcode.isControlOpcode, length > Self.maxControlBytes {
            throw .failed(WebSocketError.protocolError, "a control frame of more than 125 bytes")
        }
        switch length {
        case 126:
            guard let long = buffer.getInteger(at: start + size, as: UInt16.self) else { return nil }
            guard long > 125 else { throw Self.lengthNotMinimal }
            return try self.header(buffer, opcode, isFinal, length: UInt64(long), size: size + 2)
        case 127:
            guard let long = buffer.getInteger(at: start + size, as: UInt64.self) else { return nil }
            guard long > UInt64(UInt16.max) else { throw Self.lengthNotMinimal }
            return try self.header(buffer, opcode, isFinal, length: long, size: size + 8)
        default:
            return try self.header(buffer, opcode, isFinal, length: UInt64(length), size: size)
        }
    }

    private func header(
        _ buffer: ByteBuffer,
        _ opcode: WebSocketOpcode,
        _ isFinal: Bool,
        length: UInt64,
        size: Int
    ) throws(WebSocketError) -> Header? {
        guard length <= UInt64(self.maxFrameBytes) || opcode.isControlOpcode else {
            throw .failed(WebSocketError.messageTooLarge, "a frame of \(length) bytes; \(self.maxFrameBytes) are taken")
        }
        guard self.role == .server else {
            return Header(opcode: opcode, isFinal: isFinal, length: Int(length), mask: nil, size: size)
        }
        guard let key = buffer.getSlice(at: buffer.readerIndex + size, length: 4),
            let mask = WebSocketMaskingKey(key.readableBytesView)
        else { return nil }
        return Header(
            opcode: opcode,
            isFinal: isFinal,
            length: Int(length),
            mask: mask,
            size: size + 4
        )
    }

    /// RFC 6455 §5.2: the minimal number of bytes must be used.
    private static let lengthNotMinimal = WebSocketError.failed(
        WebSocketError.protocolError,
        "a frame's length in more bytes than it needs"
    )

    /// RFC 6455 §5.5.1, §7.4.
    private static func closeCode(_ payload: ByteBuffer) throws(WebSocketError) -> UInt16? {
        guard payload.readableBytes > 0 else { return nil }
        guard let code = payload.getInteger(at: payload.readerIndex, as: UInt16.self) else {
            throw .failed(WebSocketError.protocolError, "half a status code in a Close frame")
        }
        switch code {
        case 1000...1003, 1007...1011, 3000...4999: break
        default: throw .failed(WebSocketError.protocolError, "a status code that no Close frame may have")
        }
        guard String(validating: payload.readableBytesView.dropFirst(2), as: UTF8.self) != nil else {
            throw .failed(WebSocketError.invalidText, "the reason in a Close frame is not UTF-8")
        }
        return code
    }
}
