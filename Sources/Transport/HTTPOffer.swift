internal import NIOCore
internal import NIOHTTP1
internal import NIOWebSocket

/// Why a proxy or a broker's web server did not open what was asked for.
package struct HTTPOpeningError: Error, Equatable, Sendable, CustomStringConvertible {
    /// One clause, for the operator; holds nothing that the peer sent but the status code.
    package let description: String
}

/// What one HTTP request asks to have opened, and what the answer to it must be.
protocol HTTPOffer {
    /// Who answers, in words.
    var peer: String { get }
    /// Made anew for each connection; may hold a secret.
    func request() -> HTTPRequestHead
    /// Returns if the answer is a yes.
    func check(_ response: HTTPResponseHead) throws(HTTPOpeningError)
}

/// A tunnel through a proxy to a broker.
struct ProxyTunnel: HTTPOffer {
    let proxy: HTTPProxy
    let target: UplinkAddress

    var peer: String { "the proxy \(self.proxy.description)" }

    func request() -> HTTPRequestHead {
        var headers: HTTPHeaders = ["Host": self.target.authority]
        if let authorization = self.proxy.authorization() {
            headers.add(name: "Proxy-Authorization", value: authorization)
        }
        return HTTPRequestHead(version: .http1_1, method: .CONNECT, uri: self.target.authority, headers: headers)
    }

    func check(_ response: HTTPResponseHead) throws(HTTPOpeningError) {
        let code = response.status.code
        let target = self.target.authority
        let words: String
        switch code {
        case 200..<300: return
        case 407 where self.proxy.authorization() == nil:
            words = "\(self.peer) asks for a user name and a password (407): set proxy_username and proxy_password_file"
        case 407: words = "\(self.peer) does not take proxy_username and its password (407)"
        case 403, 405: words = "\(self.peer) does not allow connections to \(target) (\(code))"
        case 502, 503, 504: words = "\(self.peer) can't reach \(target) (\(code))"
        default: words = "\(self.peer) opened no tunnel to \(target): it answered with status \(code)"
        }
        throw HTTPOpeningError(description: words)
    }
}

/// A WebSocket for MQTT at a broker, seen from the client (RFC 6455 §4.1, MQTT 5.0 §6).
struct WebSocketOffer: HTTPOffer {
    /// [MQTT-6.0.0-3]
    static let subprotocol = "mqtt"

    let address: UplinkAddress
    let path: String
    private let upgrader: NIOWebSocketClientUpgrader
    private let key: String

    init(_ address: UplinkAddress, path: String) {
        self.address = address
        self.path = path
        self.key = NIOWebSocketClientUpgrader.randomRequestKey()
        // Only its knowledge of the key's answer is used: the frames are not collected here.
        self.upgrader = NIOWebSocketClientUpgrader(requestKey: self.key) { channel, _ in
            channel.eventLoop.makeSucceededVoidFuture()
        }
    }

    var peer: String { "the broker" }

    func request() -> HTTPRequestHead {
        let isDefaultPort = self.address.port == (self.address.tls == nil ? 80 : 443)
        let host = isDefaultPort ? String(self.address.authority.dropLast(self.address.tls == nil ? 3 : 4)) : nil
        let headers: HTTPHeaders = [
            "Host": host ?? self.address.authority, "Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Protocol": Self.subprotocol,
        ]
        return HTTPRequestHead(version: .http1_1, method: .GET, uri: self.path, headers: headers)
    }

    func check(_ response: HTTPResponseHead) throws(HTTPOpeningError) {
        let code = response.status.code
        guard code == 101 else {
            let cure =
                switch code {
                case 301...308: "it redirects, which is not followed: name the address itself"
                case 401, 403: "it does not allow it"
                case 404: "there is none at \(self.path): check the path in address"
                case 426: "it wants another version of the protocol"
                default: "check that its port speaks WebSocket"
                }
            throw HTTPOpeningError(description: "the broker opened no WebSocket (status \(code)): \(cure)")
        }
        guard Self.has(response, "upgrade", "websocket"), Self.has(response, "connection", "upgrade"),
            self.upgrader.shouldAllowUpgrade(upgradeResponse: response),
            // What was not asked for.
            response.headers["sec-websocket-extensions"].isEmpty
        else { throw HTTPOpeningError(description: "the broker's answer to the request for a WebSocket is none") }
        // MQTT 5.0 §6: a server that knows what is meant names it.
        guard response.headers["sec-websocket-protocol"] == [Self.subprotocol] else {
            throw HTTPOpeningError(
                description: "the broker's WebSocket is not for MQTT: it did not choose the subprotocol"
            )
        }
    }

    private static func has(_ response: HTTPResponseHead, _ name: String, _ token: String) -> Bool {
        response.headers[canonicalForm: name].contains { $0.lowercased() == token }
    }
}
