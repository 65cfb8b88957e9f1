import NIOCore
import NIOPosix
package import OpenSSL

/// One address of an outside broker.
package struct UplinkAddress: Sendable {
    /// Name or literal address to connect to.
    package var host: String
    /// TCP port.
    package var port: Int
    /// `nil` for plain TCP.
    package var tls: TLSContext?
    /// The name that the broker's certificate must show and that SNI asks for; the host unless set.
    package var serverName: String

    /// One of gateway.conf's `address` list.
    package init(host: String, port: Int, tls: TLSContext?, serverName: String? = nil) {
        self.host = host
        self.port = port
        self.tls = tls
        self.serverName = serverName ?? host
    }

    /// As in gateway.conf.
    package var description: String {
        let host = self.host.contains(":") ? "[\(self.host)]" : self.host
        return "\(self.tls == nil ? "mqtt" : "mqtts")://\(host):\(self.port)"
    }
}

/// Errors of sockets and of TLS as an operator would say them.
package enum TransportWords {
    /// One clause without a full stop.
    package static func describe(_ error: any Error) -> String {
        switch error {
        case let error as TLSError:
            return "\(error)"
        case let error as NIOConnectionError:
            if let dns = error.dnsAError ?? error.dnsAAAAError, error.connectionErrors.isEmpty {
                return Self.describe(dns)
            }
            var seen: [String] = []
            for failure in error.connectionErrors {
                let words = Self.describe(failure.error)
                if !seen.contains(words) { seen.append(words) }
            }
            return seen.isEmpty ? "\(error)" : seen.joined(separator: ", then ")
        case let error as SocketAddressError.UnknownHost:
            return "the name \(error.host) can't be resolved (\(error.errorDescription))"
        case let error as IOError:
            return Self.describe(error)
        case ChannelError.connectTimeout(let time):
            return "no answer to the connection attempt within \(Duration(time))"
        case ChannelError.eof, ChannelError.inputClosed, ChannelError.ioOnClosedChannel, ChannelError.alreadyClosed:
            return "the peer closed the connection"
        default:
            return "\(error)"
        }
    }

    /// Only the system's words: NIO puts the name of the call in front and the number behind.
    private static func describe(_ error: IOError) -> String {
        let words = String(cString: strerror(error.errnoCode))
        return words.prefix(1).lowercased() + words.dropFirst()
    }
}
