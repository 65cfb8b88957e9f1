import Foundation

/// A UDP socket on loopback that sends and receives datagrams as bytes. Blocks the calling thread, each call for at most its limit.
package final class RawUDPClient {
    /// The other side did not do what the test says.
    package struct Unexpected: Error, CustomStringConvertible {
        /// What came instead.
        package let description: String
    }

    private let socket: Int32
    /// Of one that is not connected.
    private var destination: (address: String, port: Int)?
    /// The port that it sends from; the system chose it.
    package let localPort: Int

    /// - Parameters:
    ///   - address: Of 127.0.0.0/8: only what comes from there is received.
    ///   - limit: How long a datagram is waited for.
    package init(port: Int, address: String = "127.0.0.1", limit: Duration = .patience) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.socket = socket
        guard socket >= 0 else { throw Unexpected(description: "no socket") }
        var time = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var bound = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        guard Self.with("127.0.0.1", 0, { Glibc.bind(socket, $0, $1) }) == 0,
            Self.with(address, port, { Glibc.connect(socket, $0, $1) }) == 0,
            withUnsafeMutablePointer(
                to: &bound,
                { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) } }
            ) == 0
        else {
            let words = String(cString: strerror(errno))
            self.localPort = 0
            throw Unexpected(description: "bind or connect: \(words)")
        }
        self.localPort = Int(UInt16(bigEndian: bound.sin_port))
    }

    /// Sends to a group on the loopback interface, and receives from anywhere.
    package init(group: String, port: Int, limit: Duration = .patience) throws {
        self.socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.localPort = 0
        var time = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(self.socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var interface = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
        guard
            setsockopt(
                self.socket,
                Int32(IPPROTO_IP),
                IP_MULTICAST_IF,
                &interface,
                socklen_t(MemoryLayout<in_addr>.size)
            )
                == 0
        else { throw Unexpected(description: "IP_MULTICAST_IF: \(String(cString: strerror(errno)))") }
        self.destination = (group, port)
    }

    /// Speaks to another address from then on, from the same port.
    package func reconnect(port: Int, address: String) throws {
        guard Self.with(address, port, { Glibc.connect(self.socket, $0, $1) }) == 0 else {
            throw Unexpected(description: "connect: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(self.socket) }

    private static func with(
        _ address: String,
        _ port: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = UInt16(port).bigEndian
        inet_pton(AF_INET, address, &raw.sin_addr)
        return withUnsafePointer(to: &raw) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Sends one datagram.
    package func send(_ bytes: [UInt8]) throws {
        let count =
            if let (address, port) = self.destination {
                Int(Self.with(address, port) { Int32(sendto(self.socket, bytes, bytes.count, 0, $0, $1)) })
            } else {
                Glibc.send(self.socket, bytes, bytes.count, 0)
            }
        guard count == bytes.count else {
            throw Unexpected(description: "send: \(String(cString: strerror(errno)))")
        }
    }

    /// Sends one datagram, given in hex.
    package func send(_ hex: String) throws { try self.send(hexBytes(hex)) }

    /// The next datagram.
    package func receive() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(self.socket, &bytes, bytes.count, 0)
        guard count >= 0 else { throw Unexpected(description: "nothing came: \(String(cString: strerror(errno)))") }
        return Array(bytes[..<count])
    }

    /// The next datagram if it has come already.
    package func receiveIfThere() -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = recv(self.socket, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count >= 0 ? Array(bytes[..<count]) : nil
    }
}
