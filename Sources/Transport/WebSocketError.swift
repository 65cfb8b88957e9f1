/// What the peer of a WebSocket did wrong; ends its connection.
package struct WebSocketError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the peer is told.
    enum Answer: Equatable, Sendable {
        /// An HTTP response: there is no WebSocket yet. `headers` come besides those that each response has.
        case response(status: Int, headers: [Header] = [])
        /// A Close frame with this status code (RFC 6455 §7.4.1).
        case close(UInt16)
    }

    /// One line of an HTTP response.
    struct Header: Equatable, Sendable {
        let name: String
        let value: String
    }

    static let protocolError: UInt16 = 1002
    static let unacceptableData: UInt16 = 1003
    static let invalidText: UInt16 = 1007
    static let messageTooLarge: UInt16 = 1009

    let answer: Answer
    /// One clause, for the operator and in the HTTP response; holds nothing that the peer sent.
    package let description: String

    /// A request that is answered with an HTTP status.
    static func refused(_ status: Int, _ description: String, _ headers: [Header] = []) -> Self {
        Self(answer: .response(status: status, headers: headers), description: description)
    }

    /// A frame that is answered with a Close frame.
    static func failed(_ code: UInt16, _ description: String) -> Self {
        Self(answer: .close(code), description: description)
    }
}
