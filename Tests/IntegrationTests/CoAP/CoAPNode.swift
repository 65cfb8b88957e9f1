import CoAPCodec
import NIOCore
import TestSupport

/// A node that sends what the test says, byte for byte, and takes one datagram at a time. Blocks the calling thread.
final class CoAPNode {
    let socket: UDPSocket
    private var nextID: UInt16

    /// - Parameters:
    ///   - port: The gateway's.
    ///   - own: Its own; 0: the system's choice.
    init(port: Int, own: UInt16 = 0, messageID: UInt16? = nil) throws {
        self.socket = try UDPSocket(to: port, port: own)
        self.nextID = messageID ?? .random(in: 0...UInt16.max)
    }

    /// Sends bytes in hex.
    func send(_ hex: String) throws { try self.socket.send(hexBytes(hex)) }

    /// Sends a message.
    func send(_ message: CoAPMessage) throws { try self.socket.send(Array(message.encoded().readableBytesView)) }

    /// The next datagram in hex; `nil` if none comes.
    func receiveHex(within limit: Duration = .patience) throws -> String? {
        try self.socket.receive(within: limit).map(hexText)
    }

    /// The next message; `nil` if none comes. Pings are answered.
    func receive(within limit: Duration = .patience) throws -> CoAPMessage? {
        while let bytes = try self.socket.receive(within: limit) {
            let message = try CoAPMessage(decoding: ByteBuffer(bytes: bytes))
            guard message.type == .confirmable, message.code.isEmpty else { return message }
            try self.send(.empty(.reset, messageID: message.messageID))
        }
        return nil
    }

    /// The next notification, acknowledged, with the blocks that follow its first (RFC 7959 §3.4).
    func notification(of request: CoAPMessage, _ path: String, query: [String] = []) throws -> ByteBuffer? {
        guard let first = try self.receive(), first.token == request.token else { return nil }
        if first.type == .confirmable { try self.send(.empty(.acknowledgement, messageID: first.messageID)) }
        var payload = first.payload
        var last = first
        while let block = last.number(.block2).flatMap({ CoAPBlock(value: UInt32(clamping: $0)) }), block.hasMore {
            let next = CoAPBlock(number: block.number + 1, hasMore: false, sizeExponent: block.sizeExponent)
            let rest = self.request(.get, path, query: query, token: "more") { $0.append(.block2, uint: next.value) }
            let answer = try self.ask(rest)
            guard let answer, answer.code == .content else { return nil }
            payload.writeImmutableBuffer(answer.payload)
            last = answer
        }
        return payload
    }

    /// Sends bytes, and the datagram that comes back. A response that comes apart from the acknowledgement, as on a busy machine,
    /// is made what it would have been in it.
    func exchange(_ hex: String) throws -> String? {
        try self.send(hex)
        guard let answer = try self.receiveHex() else { return nil }
        guard answer.hasPrefix("6000"), let response = try self.receiveHex() else { return answer }
        try self.send("6000" + response.dropFirst(4).prefix(4))
        return "6" + response.dropFirst().prefix(3) + answer.suffix(4) + response.dropFirst(8)
    }

    /// Whether nothing has come: what is sent afterwards is answered first.
    func isSilent() throws -> Bool {
        let ping = CoAPMessage.empty(.confirmable, messageID: self.takeID())
        try self.send(ping)
        let answer = try self.receive()
        return answer == .empty(.reset, messageID: ping.messageID)
    }

    /// A message ID that was not used.
    func takeID() -> UInt16 {
        defer { self.nextID &+= 1 }
        return self.nextID
    }

    /// A registration as an observer of `path`.
    func observation(of path: String, query: [String] = [], token: String = "node") -> CoAPMessage {
        self.request(.get, path, query: query, token: token) { $0.append(.observe, uint: 0 as UInt8) }
    }

    /// A request to `path`, whose parts are separated by slashes.
    func request(
        _ code: CoAPCode,
        _ path: String,
        _ payload: ByteBuffer = ByteBuffer(),
        query: [String] = [],
        type: CoAPMessageType = .confirmable,
        token: String = "node",
        change: (inout CoAPOptions) -> Void = { _ in }
    ) -> CoAPMessage {
        var options = CoAPOptions()
        for segment in path.split(separator: "/") { options.append(.uriPath, String(segment)) }
        for part in query { options.append(.uriQuery, part) }
        change(&options)
        return CoAPMessage(
            type: type,
            code: code,
            messageID: self.takeID(),
            token: CoAPToken(Array(token.utf8)) ?? .empty,
            options: options,
            payload: payload
        )
    }

    /// Sends a request until it is answered, with a response of its token; takes one that comes apart too. `nil`: no answer
    /// to the last of three.
    func ask(_ request: CoAPMessage, within limit: Duration = .seconds(5)) throws -> CoAPMessage? {
        for _ in 0..<3 {
            try self.send(request)
            while let answer = try self.receive(within: limit) {
                if answer.type == .confirmable {
                    try self.send(.empty(.acknowledgement, messageID: answer.messageID))
                }
                if answer.type == .reset, answer.messageID == request.messageID { return answer }
                if !answer.code.isEmpty, answer.token == request.token { return answer }
            }
        }
        return nil
    }

    /// POST of a text to the topic.
    func post(_ topic: String, _ text: String, query: [String] = []) throws -> CoAPMessage? {
        try self.ask(self.request(.post, "ps/" + topic, ByteBuffer(string: text), query: query))
    }

    /// GET.
    func get(_ path: String, query: [String] = []) throws -> CoAPMessage? {
        try self.ask(self.request(.get, path, query: query))
    }
}

extension CoAPMessage {
    /// Payload as text.
    var text: String { String(buffer: self.payload) }

    /// The value of an option as a number.
    func number(_ option: CoAPOptionNumber) -> UInt64? {
        self.options.first(option).flatMap { CoAPOption(option, $0).uint }
    }
}
