/// An HTTP proxy on the way to an outside broker, asked for a tunnel by CONNECT (RFC 9110 §9.3.6).
package struct HTTPProxy: Sendable {
    /// Name or literal address.
    package var host: String
    /// TCP port.
    package var port: Int
    /// The value of Proxy-Authorization, secret; nil: none is sent. Called on the event loop for each connection, so it must
    /// not block.
    package var authorization: @Sendable () -> String?

    /// A proxy.
    package init(host: String, port: Int, authorization: @escaping @Sendable () -> String? = { nil }) {
        self.host = host
        self.port = port
        self.authorization = authorization
    }

    /// As in gateway.conf.
    var description: String { "http://" + UplinkAddress.authority(self.host, self.port) }
}
