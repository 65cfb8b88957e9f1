package import NIOCore

/// A message (RFC 7252 §3).
package struct CoAPMessage: Equatable, Sendable {
    package var type: CoAPMessageType
    package var code: CoAPCode
    package var messageID: UInt16
    package var token: CoAPToken
    package var options: CoAPOptions
    /// A slice of what was read: keeping it keeps the datagram. Empty: there is none.
    package var payload: ByteBuffer

    package init(
        type: CoAPMessageType,
        code: CoAPCode,
        messageID: UInt16,
        token: CoAPToken = .empty,
        options: CoAPOptions = CoAPOptions(),
        payload: ByteBuffer = ByteBuffer()
    ) {
        self.type = type
        self.code = code
        self.messageID = messageID
        self.token = token
        self.options = options
        self.payload = payload
    }

    /// An Empty message: the ACK or RST of `messageID`, or a ping.
    package static func empty(_ type: CoAPMessageType, messageID: UInt16) -> CoAPMessage {
        CoAPMessage(type: type, code: .empty, messageID: messageID)
    }

    /// The same fields with the same bytes.
    package static func == (left: CoAPMessage, right: CoAPMessage) -> Bool {
        left.type == right.type && left.code == right.code && left.messageID == right.messageID
            && left.token == right.token && left.options == right.options
            && left.payload.readableBytesView.elementsEqual(right.payload.readableBytesView)
    }
}

// MARK: - Encoding

extension CoAPMessage {
    /// Version 1 in the first two bits (RFC 7252 §3).
    private static let version: UInt8 = 0x40

    /// Bytes that ``encode(into:)`` appends.
    package var encodedSize: Int {
        let payload = self.payload.readableBytes
        return 4 + self.token.count + self.options.encodedSize + (payload == 0 ? 0 : payload + 1)
    }

    /// Appends the message, in one piece and without a copy on the way.
    package func encode(into buffer: inout ByteBuffer) {
        let size = self.encodedSize
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { bytes in
            bytes[0] = Self.version | self.type.rawValue << 4 | UInt8(truncatingIfNeeded: self.token.count)
            bytes[1] = self.code.rawValue
            bytes[2] = UInt8(truncatingIfNeeded: self.messageID >> 8)
            bytes[3] = UInt8(truncatingIfNeeded: self.messageID)
            var end = 4 + self.token.write(to: bytes, at: 4)
            end += self.options.write(to: bytes, at: end)
            guard self.payload.readableBytes > 0 else { return end }
            bytes[end] = 0xFF
            end += 1
            self.payload.withUnsafeReadableBytes { payload in
                UnsafeMutableRawBufferPointer(rebasing: bytes[end...]).copyMemory(from: payload)
                end += payload.count
            }
            return end
        }
    }

    /// The message as a datagram.
    package func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        self.encode(into: &buffer)
        return buffer
    }
}

// MARK: - Decoding

extension CoAPMessage {
    /// Most options of a message that are accepted, unless other is said: 128 levels of a path and some more.
    package static let defaultMaxOptions = 160

    /// Reads one datagram, which holds one message and nothing else. Nothing is copied: options and payload are slices.
    ///
    /// - Parameters:
    ///   - maxBytes: A longer datagram is refused unread.
    ///   - maxOptions: Bounds the work that each look at the options is.
    /// - Throws: ``CoAPDecodeError``, which knows what the sender is told.
    package init(
        decoding datagram: ByteBuffer,
        maxBytes: Int = 65_535,
        maxOptions: Int = CoAPMessage.defaultMaxOptions
    ) throws(CoAPDecodeError) {
        let result: Result<Layout, CoAPDecodeError> = datagram.withUnsafeReadableBytes { bytes in
            Result { () throws(CoAPDecodeError) -> Layout in
                try Layout(bytes, maxBytes: maxBytes, maxOptions: maxOptions)
            }
        }
        let layout = try result.get()
        let start = datagram.readerIndex
        // Within the datagram, as the layout was made from it.
        let options = datagram.getSlice(at: start + layout.options.lowerBound, length: layout.options.count)
        let payload = datagram.getSlice(at: start + layout.payload.lowerBound, length: layout.payload.count)
        self.init(
            type: layout.type,
            code: layout.code,
            messageID: layout.messageID,
            token: layout.token,
            options: CoAPOptions(
                checked: options ?? ByteBuffer(),
                count: layout.optionCount,
                last: layout.lastOption
            ),
            payload: payload ?? ByteBuffer()
        )
    }

    /// Where everything lies in a datagram.
    private struct Layout {
        let type: CoAPMessageType
        let code: CoAPCode
        let messageID: UInt16
        private(set) var token = CoAPToken.empty
        private(set) var options: Range<Int>
        private(set) var optionCount = 0
        private(set) var lastOption: UInt16 = 0
        private(set) var payload: Range<Int>

        init(_ bytes: UnsafeRawBufferPointer, maxBytes: Int, maxOptions: Int) throws(CoAPDecodeError) {
            func error(_ kind: CoAPDecodeError.Kind, _ field: String, _ offset: Int) -> CoAPDecodeError {
                CoAPDecodeError(kind: kind, field: field, offset: offset, header: Self.header(of: bytes))
            }
            guard bytes.count >= 4 else { throw error(.truncated, "header", bytes.count) }
            let version = bytes[0] >> 6
            guard version == 1 else { throw error(.unknownVersion(version), "Version", 0) }
            self.type = CoAPMessageType(rawValue: bytes[0] >> 4 & 3) ?? .reset
            self.code = CoAPCode(rawValue: bytes[1])
            self.messageID = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
            self.options = bytes.count..<bytes.count
            self.payload = bytes.count..<bytes.count
            guard bytes.count <= maxBytes else {
                throw error(.tooLarge(bytes: bytes.count, limit: maxBytes), "payload", 4)
            }
            let tokenLength = bytes[0] & 0x0F
            // Refused before anything is read by it (RIOT's GHSA-p9hp-2jxm-6rqp).
            guard tokenLength <= 8 else { throw error(.tokenTooLong(tokenLength), "Token Length", 0) }
            guard !self.code.isReserved else { throw error(.reservedCode(self.code), "Code", 1) }
            try Self.check(self.code, of: self.type, error: error)
            if self.code.isEmpty {
                guard bytes.count == 4, tokenLength == 0 else { throw error(.emptyWithContent, "Code", 1) }
                return
            }
            let optionsStart = 4 + Int(tokenLength)
            guard bytes.count >= optionsStart else { throw error(.truncated, "Token", 4) }
            self.token = CoAPToken(unchecked: UnsafeRawBufferPointer(rebasing: bytes[4..<optionsStart]))

            var cursor = OptionCursor(index: optionsStart)
            while true {  // Each round consumes a byte at least, and there are at most maxOptions of them.
                let at = cursor.index
                let step: OptionCursor.Step
                do { step = try cursor.next(in: bytes) } catch {
                    throw CoAPDecodeError(
                        kind: error.kind,
                        field: error.field,
                        offset: error.offset,
                        header: Self.header(of: bytes)
                    )
                }
                switch step {
                case .option(let number, _):
                    guard self.optionCount < maxOptions else {
                        throw error(.tooManyOptions(limit: maxOptions), "Option", at)
                    }
                    self.optionCount += 1
                    self.lastOption = number
                case .payload(let start):
                    guard start < bytes.count else { throw error(.missingPayload, "Payload Marker", at) }
                    self.options = optionsStart..<at
                    self.payload = start..<bytes.count
                    return
                case .end:
                    self.options = optionsStart..<at
                    return
                }
            }
        }

        private static func header(of bytes: UnsafeRawBufferPointer) -> CoAPDecodeError.Header? {
            guard bytes.count >= 4, bytes[0] >> 6 == 1, let type = CoAPMessageType(rawValue: bytes[0] >> 4 & 3) else {
                return nil
            }
            return CoAPDecodeError.Header(type: type, messageID: UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
        }

        /// An ACK carries a response or nothing, a RST nothing, a NON something (RFC 7252 §4.2, §4.3).
        private static func check(
            _ code: CoAPCode,
            of type: CoAPMessageType,
            error: (CoAPDecodeError.Kind, String, Int) -> CoAPDecodeError
        ) throws(CoAPDecodeError) {
            let isAllowed =
                switch type {
                case .confirmable: true
                case .nonConfirmable: !code.isEmpty
                case .acknowledgement: !code.isRequest
                case .reset: code.isEmpty
                }
            guard isAllowed else { throw error(.misplacedCode(code, type), "Code", 1) }
        }
    }
}
