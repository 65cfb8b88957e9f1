internal import CoAPCodec
internal import NIOCore

/// How a message is taken apart into what is sealed and what proxies see (RFC 8613 §4).
enum OSCOREMessage {
    /// Whether an option is for proxies, and so stays outside (class U, RFC 8613 §4.1, figure 5).
    static func isOuterOnly(_ number: CoAPOptionNumber) -> Bool {
        switch number {
        case .uriHost, .uriPort, .proxyURI, .proxyScheme, .oscore, .hopLimit: true
        default: false
        }
    }

    /// Code, options and payload as the plaintext has them (RFC 8613 §5.3).
    static func plaintext(of message: CoAPMessage) -> [UInt8] {
        var inner = message
        inner.options = message.options.filtered { !Self.isOuterOnly($0.number) }
        // Observe's number is that of the Partial IV; the option only says that it is a notification (§4.1.3.5.2).
        if message.code.isResponse, inner.options.first(.observe) != nil {
            inner.options.remove(.observe)
            inner.options.append(.observe)
        }
        inner.token = .empty
        var bytes = Array(inner.encoded().readableBytesView)
        // Of the header only the code is sealed.
        bytes.removeSubrange(2..<4)
        bytes.removeFirst()
        return bytes
    }

    /// The message whose plaintext it is; `nil` if it is none.
    static func message(of plaintext: [UInt8], outer: CoAPMessage) -> CoAPMessage? {
        guard let code = plaintext.first.map(CoAPCode.init(rawValue:)), !code.isEmpty, !code.isReserved else {
            return nil
        }
        // A header in front makes it a message, which is read as strictly as any.
        var bytes = CoAPMessage(type: .nonConfirmable, code: code, messageID: 0).encoded()
        bytes.writeBytes(plaintext.dropFirst())
        guard var inner = try? CoAPMessage(decoding: bytes) else { return nil }
        inner.type = outer.type
        inner.messageID = outer.messageID
        inner.token = outer.token
        // What is only for proxies may not come sealed, and what may come sealed is not believed outside (§8.2).
        inner.options = inner.options.filtered { !Self.isOuterOnly($0.number) }
        if inner.code.isRequest, inner.options.first(.observe) != nil {
            // A proxy may have taken Observe away, and then notifications would not reach the client (§4.1.3.5.1).
            let observes = [outer, inner].map { message in
                message.options.first { $0.number == .observe }.flatMap(\.uint)
            }
            if observes[0] != observes[1] { inner.options.remove(.observe) }
        }
        for option in outer.options where Self.isOuterOnly(option.number) && option.number != .oscore {
            inner.options.append(option.number, option.value)
        }
        return inner
    }
}
