internal import CoAPCodec
internal import NIOCore

/// How a message is taken apart into what is sealed and what proxies see (RFC 8613 §4).
enum OSCOREMessage {
    /// Bytes before a plaintext, in which it becomes a message.
    static let spareBytes = 3

    /// Whether an option is for proxies, and so stays outside (class U, RFC 8613 §4.1, figure 5).
    static func isOuterOnly(_ number: CoAPOptionNumber) -> Bool {
        switch number {
        case .uriHost, .uriPort, .proxyURI, .proxyScheme, .oscore, .hopLimit: true
        default: false
        }
    }

    /// Code, options and payload as the plaintext has them (RFC 8613 §5.3), with room for `room` bytes behind.
    static func plaintext(of message: CoAPMessage, room: Int) -> ByteBuffer {
        var options = message.options
        let (hasOuter, hasObserve) = Self.survey(options)
        if hasOuter { options = options.filtered { !Self.isOuterOnly($0.number) } }
        // Observe's number is that of the Partial IV; the option only says that it is a notification (§4.1.3.5.2).
        if hasObserve, message.code.isResponse {
            options.remove(.observe)
            options.append(.observe)
        }
        let payload = message.payload.readableBytes
        var bytes = ByteBufferAllocator().buffer(capacity: 2 + options.encodedSize + payload + room)
        bytes.writeInteger(message.code.rawValue)
        options.write(into: &bytes)
        if payload > 0 {
            bytes.writeInteger(0xFF as UInt8)
            bytes.writeImmutableBuffer(message.payload)
        }
        return bytes
    }

    /// The options that a response has outside; Observe is there too, for proxies.
    ///
    /// - Parameter partialIV: Of this side's own; `nil`: none.
    static func outerOptions(of response: CoAPMessage, partialIV: UInt64?) -> CoAPOptions {
        var options = CoAPOptions()
        let (hasOuter, hasObserve) = Self.survey(response.options)
        if hasOuter || hasObserve {
            options = response.options.filtered { Self.isOuterOnly($0.number) || $0.number == .observe }
        }
        OSCOREOption.append(partialIV: partialIV, to: &options)
        return options
    }

    /// The message whose plaintext it is; `nil` if it is none.
    ///
    /// - Parameter plaintext: Behind ``spareBytes``.
    static func message(of plaintext: inout ByteBuffer, outer: CoAPMessage) -> CoAPMessage? {
        let start = plaintext.readerIndex
        guard
            let code = plaintext.getInteger(at: start + Self.spareBytes, as: UInt8.self).map(CoAPCode.init(rawValue:)),
            !code.isEmpty, !code.isReserved
        else { return nil }
        // A header in front makes it a message, which is read as strictly as any: version 1, NON, no token.
        plaintext.setInteger(0x5000_0000 | UInt32(code.rawValue) << 16, at: start)
        guard var inner = try? CoAPMessage(decoding: plaintext) else { return nil }
        inner.type = outer.type
        inner.messageID = outer.messageID
        inner.token = outer.token
        // What is only for proxies may not come sealed, and what may come sealed is not believed outside (§8.2).
        let (hasOuterInside, hasObserve) = Self.survey(inner.options)
        if hasOuterInside { inner.options = inner.options.filtered { !Self.isOuterOnly($0.number) } }
        if hasObserve, inner.code.isRequest {
            // A proxy may have taken Observe away, and then notifications would not reach the client (§4.1.3.5.1).
            let observes = [outer, inner].map { message in
                message.options.first { $0.number == .observe }.flatMap(\.uint)
            }
            if observes[0] != observes[1] { inner.options.remove(.observe) }
        }
        if Self.survey(outer.options, but: .oscore).hasOuter {
            for option in outer.options where Self.isOuterOnly(option.number) && option.number != .oscore {
                inner.options.append(option.number, option.value)
            }
        }
        return inner
    }

    /// Whether there are options for proxies, others than `exception`, and Observe.
    private static func survey(
        _ options: CoAPOptions,
        but exception: CoAPOptionNumber? = nil
    ) -> (hasOuter: Bool, hasObserve: Bool) {
        var (hasOuter, hasObserve) = (false, false)
        options.forEachRaw { number, _ in
            if number == .observe { hasObserve = true }
            if Self.isOuterOnly(number), number != exception { hasOuter = true }
        }
        return (hasOuter, hasObserve)
    }
}
