package import CoAPCodec
import NIOCore
import OpenSSL

/// A node's side of an OSCORE context, from RFC 8613 and nothing of the gateway's: seals requests, opens responses.
package struct OSCOREPeer: Sendable {
    package let senderID: [UInt8]
    package let recipientID: [UInt8]
    package let idContext: [UInt8]?
    private let aead: AEAD
    private let algorithm: Int
    private let senderKey: [UInt8]
    private let recipientKey: [UInt8]
    private let commonIV: [UInt8]

    /// - Parameters:
    ///   - algorithm: Its number in COSE: 10 and 30 for AES-CCM with tags of 8 and 16 bytes, 1 and 3 for AES-GCM, and 24
    ///     for ChaCha20-Poly1305.
    ///   - senderID: The node's.
    ///   - recipientID: The server's.
    package init(
        secret: [UInt8],
        salt: [UInt8] = [],
        senderID: [UInt8],
        recipientID: [UInt8],
        idContext: [UInt8]? = nil,
        algorithm: Int = 10
    ) {
        let aeads: [Int: AEAD] = [
            10: .aes128CCM8, 30: .aes128CCM16, 1: .aes128GCM, 3: .aes256GCM, 24: .chaCha20Poly1305,
        ]
        guard let aead = aeads[algorithm] else { preconditionFailure("no algorithm \(algorithm)") }
        self.aead = aead
        self.algorithm = algorithm
        self.senderID = senderID
        self.recipientID = recipientID
        self.idContext = idContext
        // RFC 8613 §3.2.1.
        func derive(_ id: [UInt8], _ type: String, _ count: Int) -> [UInt8] {
            let context = idContext.map(Self.bytes) ?? [0xF6]
            let info = [0x85] + Self.bytes(id) + context + Self.head(0, algorithm)
            return HKDF.sha256(
                ikm: secret,
                salt: salt,
                info: info + Self.head(3, type.utf8.count) + Array(type.utf8) + Self.head(0, count),
                count: count
            )
        }
        self.senderKey = derive(senderID, "Key", aead.keyBytes)
        self.recipientKey = derive(recipientID, "Key", aead.keyBytes)
        self.commonIV = derive([], "IV", aead.nonceBytes)
    }

    /// The request as it goes out.
    ///
    /// - Parameters:
    ///   - kid: To be told in place of the right one.
    ///   - tellsContext: Whether the ID context goes along.
    package func seal(
        _ request: CoAPMessage,
        sequence: UInt64,
        kid: [UInt8]? = nil,
        tellsContext: Bool = true
    ) -> CoAPMessage {
        self.seal(plaintext: Self.plaintext(of: request), in: request, sequence: sequence, kid, tellsContext)
    }

    /// The same with anything inside.
    package func seal(
        plaintext: [UInt8],
        in request: CoAPMessage,
        sequence: UInt64,
        _ kid: [UInt8]? = nil,
        _ tellsContext: Bool = true
    ) -> CoAPMessage {
        let partialIV = Self.partialIV(sequence)
        let sealed = self.aead.seal(
            plaintext,
            key: self.senderKey,
            nonce: self.nonce(partialIV, self.senderID),
            aad: self.associatedData(partialIV)
        )
        var option: [UInt8] = [0x08 | UInt8(partialIV.count)]
        option += partialIV
        if tellsContext, let idContext = self.idContext {
            option[0] |= 0x10
            option += [UInt8(idContext.count)] + idContext
        }
        option += kid ?? self.senderID
        var outer = request
        outer.options = request.options.filtered { Self.isOuterOnly($0.number) || $0.number == .observe }
        outer.code = outer.options.first(.observe) == nil ? .post : .fetch
        outer.options.append(.oscore, ByteBuffer(bytes: option))
        outer.payload = ByteBuffer(bytes: sealed)
        return outer
    }

    /// What is inside a response; `nil`: it is none to that request, or not from the server.
    package func open(_ response: CoAPMessage, to sequence: UInt64) -> CoAPMessage? {
        guard let value = response.options.first(.oscore) else { return nil }
        let option = Array(value.readableBytesView)
        let own = option.isEmpty ? [] : Array(option[1...].prefix(Int(option[0] & 7)))
        let requestIV = Self.partialIV(sequence)
        let plaintext = self.aead.open(
            Array(response.payload.readableBytesView),
            key: self.recipientKey,
            nonce: own.isEmpty ? self.nonce(requestIV, self.senderID) : self.nonce(own, self.recipientID),
            aad: self.associatedData(requestIV)
        )
        guard let plaintext, !plaintext.isEmpty else { return nil }
        var bytes = ByteBuffer(bytes: [0x50, plaintext[0], 0, 0])
        bytes.writeBytes(plaintext.dropFirst())
        guard var inner = try? CoAPMessage(decoding: bytes) else { return nil }
        inner.type = response.type
        inner.messageID = response.messageID
        inner.token = response.token
        return inner
    }

    /// The server's own number in a response; `nil`: it used that of the request.
    package static func sequence(of response: CoAPMessage) -> UInt64? {
        guard let option = response.options.first(.oscore).map({ Array($0.readableBytesView) }),
            let flags = option.first
        else { return nil }
        return option[1...].prefix(Int(flags & 7)).reduce(0) { $0 << 8 | UInt64($1) }
    }

    // MARK: RFC 8613 §5

    private static func partialIV(_ sequence: UInt64) -> [UInt8] {
        let bytes = (0..<5).reversed().map { UInt8(truncatingIfNeeded: sequence >> (8 * UInt64($0))) }
        let short = Array(bytes.drop { $0 == 0 })
        return short.isEmpty ? [0] : short
    }

    private func nonce(_ partialIV: [UInt8], _ id: [UInt8]) -> [UInt8] {
        let room = self.aead.nonceBytes - 6
        let padded =
            [UInt8(id.count)] + [UInt8](repeating: 0, count: room - id.count) + id
            + [UInt8](repeating: 0, count: 5 - partialIV.count) + partialIV
        return zip(padded, self.commonIV).map(^)
    }

    private func associatedData(_ requestIV: [UInt8]) -> [UInt8] {
        let external =
            [0x85, 0x01, 0x81] + Self.head(0, self.algorithm) + Self.bytes(self.senderID) + Self.bytes(requestIV) + [
                0x40
            ]
        return [0x83, 0x68] + Array("Encrypt0".utf8) + [0x40] + Self.bytes(external)
    }

    private static func plaintext(of message: CoAPMessage) -> [UInt8] {
        var bytes = ByteBuffer()
        bytes.writeInteger(message.code.rawValue)
        message.options.filtered { !Self.isOuterOnly($0.number) }.write(into: &bytes)
        if message.payload.readableBytes > 0 {
            bytes.writeInteger(0xFF as UInt8)
            bytes.writeImmutableBuffer(message.payload)
        }
        return Array(bytes.readableBytesView)
    }

    private static func isOuterOnly(_ number: CoAPOptionNumber) -> Bool {
        [.uriHost, .uriPort, .proxyURI, .proxyScheme].contains(number)
    }

    private static func bytes(_ bytes: [UInt8]) -> [UInt8] { self.head(2, bytes.count) + bytes }

    private static func head(_ type: UInt8, _ value: Int) -> [UInt8] {
        value < 24 ? [type << 5 | UInt8(value)] : [type << 5 | 24, UInt8(value)]
    }
}
