internal import NIOCore
internal import NIOHTTP1

/// What is asked of the HTTP request that opens a WebSocket (RFC 6455 §4.2.1, MQTT 5.0 §6).
struct WebSocketRequest: Sendable {
    /// What clients may offer; the second is what MQTT 3.1 had before MQTT 3.1.1 was a standard.
    private static let subprotocols = ["mqtt", "mqttv3.1"]

    /// Most items in the lists of Upgrade, Connection and Sec-WebSocket-Protocol together; honest clients send three to six.
    static let maxListItems = 8

    /// Where the WebSocket is, `/mqtt` for one.
    let path: String
    /// Values of Origin from which browsers may come; nil: all.
    let origins: [String]?

    /// The subprotocol to answer with: one that the client named `[MQTT-6.0.0-4]`.
    func accept(_ head: HTTPRequestHead) throws(WebSocketError) -> String {
        // Before anything is done with them.
        guard Self.listItems(head) <= Self.maxListItems else {
            throw .refused(400, "too many items in Upgrade, Connection or Sec-WebSocket-Protocol")
        }
        guard Self.path(of: head.uri).elementsEqual(self.path.utf8) else {
            throw .refused(404, "there is nothing at this path")
        }
        guard head.method == .GET else {
            throw .refused(405, "only GET is allowed", [.init(name: "Allow", value: "GET")])
        }
        guard head.version == .http1_1 else { throw .refused(400, "a WebSocket needs HTTP/1.1") }
        guard head.headers["transfer-encoding"].isEmpty,
            head.headers["content-length"].allSatisfy({ $0.utf8.elementsEqual("0".utf8) })
        else { throw .refused(400, "the request has a body") }
        guard Self.tokens(head, "upgrade").contains(where: { Self.isEqual($0, "websocket") }),
            Self.tokens(head, "connection").contains(where: { Self.isEqual($0, "upgrade") })
        else { throw .refused(426, "this is a WebSocket, for MQTT", [.init(name: "Upgrade", value: "websocket")]) }
        let versions = head.headers["sec-websocket-version"]
        guard versions.count == 1, versions[0].utf8.elementsEqual("13".utf8) else {
            let headers = [
                WebSocketError.Header(name: "Upgrade", value: "websocket"),
                WebSocketError.Header(name: "Sec-WebSocket-Version", value: "13"),
            ]
            throw .refused(426, "WebSocket version 13 is spoken here", headers)
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, Self.isKey(keys[0]) else { throw .refused(400, "Sec-WebSocket-Key is not 16 bytes") }
        try self.checkOrigin(head)
        let offered = head.headers[canonicalForm: "sec-websocket-protocol"]
        for own in Self.subprotocols where offered.contains(where: { $0.utf8.elementsEqual(own.utf8) }) { return own }
        // [MQTT-6.0.0-3]
        throw .refused(400, "the subprotocol \"mqtt\" was not offered")
    }

    /// Browsers always send Origin, and whatever page they show may connect to a listener; other clients send none.
    private func checkOrigin(_ head: HTTPRequestHead) throws(WebSocketError) {
        guard let origins = self.origins else { return }
        let claimed = head.headers["origin"]
        guard claimed.count <= 1,
            claimed.allSatisfy({ origin in origins.contains { $0.utf8.elementsEqual(origin.utf8) } })
        else { throw .refused(403, "pages of this origin are not allowed here") }
    }

    private static func listItems(_ head: HTTPRequestHead) -> Int {
        ["upgrade", "connection", "sec-websocket-protocol"].reduce(0) { sum, name in
            head.headers[name].reduce(sum) { $0 + 1 + $1.utf8.count { $0 == UInt8(ascii: ",") } }
        }
    }

    /// The request target without its query.
    private static func path(of uri: String) -> Substring.UTF8View {
        uri.prefix { $0 != "?" }.utf8
    }

    private static func tokens(_ head: HTTPRequestHead, _ name: String) -> [Substring] {
        head.headers[canonicalForm: name]
    }

    /// Compares ASCII without regard to case.
    private static func isEqual(_ token: Substring, _ lowercase: String) -> Bool {
        token.utf8.elementsEqual(lowercase.utf8) { (0x41...0x5A).contains($0) ? $0 | 0x20 == $1 : $0 == $1 }
    }

    /// 16 bytes in base64: 22 digits and two equals signs.
    private static func isKey(_ text: String) -> Bool {
        let bytes = text.utf8
        return bytes.count == 24 && bytes.suffix(2).elementsEqual("==".utf8)
            && bytes.dropLast(2).allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2F: true
                default: false
                }
            }
    }
}
