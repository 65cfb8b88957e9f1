import NIOCore
import NIOPosix
import OpenSSL

/// Errors of sockets and of TLS as an operator would say them.
package enum TransportWords {
    /// One clause without a full stop.
    package static func describe(_ error: any Error) -> String {
        switch error {
        case let error as TLSError:
            return "\(error)"
        case let error as HTTPOpeningError:
            return error.description
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
