package import OpenSSL

/// One address of an outside broker.
package struct UplinkAddress: Sendable {
    /// Name or literal address to connect to.
    package var host: String
    /// TCP port.
    package var port: Int
    /// `nil` for plain TCP. Asked for its context at each connection.
    package var tls: TLSContextSource?
    /// The name that the broker's certificate must show and that SNI asks for; the host unless set.
    package var serverName: String
    /// The path of the request for a WebSocket, that begins with `/` and may have a query; `nil` for MQTT on TCP or TLS
    /// itself.
    package var webSocketPath: String?
    /// What is shown in TLS in place of what ``tls`` has. Asked at each connection.
    package var credentials: TLSCredentialsSlot?

    /// One of gateway.conf's `address` list.
    package init(
        host: String,
        port: Int,
        tls: TLSContextSource?,
        serverName: String? = nil,
        webSocketPath: String? = nil
    ) {
        self.host = host
        self.port = port
        self.tls = tls
        self.serverName = serverName ?? host
        self.webSocketPath = webSocketPath
    }

    /// As in gateway.conf.
    package var description: String {
        let scheme = (self.webSocketPath == nil ? "mqtt" : "ws") + (self.tls == nil ? "" : "s")
        return "\(scheme)://\(self.authority)\(self.webSocketPath ?? "")"
    }

    /// Host and port as a URI has them (RFC 3986 §3.2).
    var authority: String { Self.authority(self.host, self.port) }

    static func authority(_ host: String, _ port: Int) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
