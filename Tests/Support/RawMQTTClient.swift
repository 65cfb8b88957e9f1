import Foundation

/// A TCP connection that sends and receives bytes in hex: for conversations that no proper client would hold. Blocks the
/// calling thread, each call for at most its limit.
package final class RawMQTTClient {
    /// The connection did not do what the test says.
    package struct Unexpected: Error, CustomStringConvertible {
        /// What came instead.
        package let description: String
    }

    private let socket: Int32
    private let limit: Duration

    /// Takes over a socket that is connected or will be.
    private init(socket: Int32, limit: Duration) {
        self.limit = limit
        self.socket = socket
        var time = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(self.socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(self.socket, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    /// Connects to a port of 127.0.0.1.
    ///
    /// - Parameter receiveBuffer: Bytes that the system takes for it before it receives them, for a client that reads
    ///   nothing; the system's choice if nil.
    package convenience init(port: Int, limit: Duration = .patience, receiveBuffer: Int32? = nil) throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw Unexpected(description: "no socket") }
        if var size = receiveBuffer {
            setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        self.init(socket: socket, limit: limit)
        let status = Self.withLoopback(port: port) { Glibc.connect(socket, $0, $1) }
        guard status == 0 else { throw Unexpected(description: "connect: \(String(cString: strerror(errno)))") }
    }

    /// A port of 127.0.0.1 on which the test itself is the server.
    package final class Listener {
        private let socket: Int32
        /// The port that the system chose.
        package let port: Int

        /// Listens.
        package init() throws {
            self.socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var bound = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let socket = self.socket
            guard socket >= 0, RawMQTTClient.withLoopback(port: 0, { bind(socket, $0, $1) }) == 0,
                listen(socket, 16) == 0,
                withUnsafeMutablePointer(
                    to: &bound,
                    { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) } }
                ) == 0
            else { throw Unexpected(description: "listen: \(String(cString: strerror(errno)))") }
            self.port = Int(UInt16(bigEndian: bound.sin_port))
        }

        deinit {
            close(self.socket)
        }

        /// The next connection; waits for it up to `limit`.
        package func accept(within limit: Duration = .patience) throws -> RawMQTTClient {
            var event = pollfd(fd: self.socket, events: Int16(POLLIN), revents: 0)
            guard poll(&event, 1, Int32(limit.components.seconds * 1000)) == 1 else {
                throw Unexpected(description: "nobody connected within \(limit)")
            }
            let accepted = Glibc.accept(self.socket, nil, nil)
            guard accepted >= 0 else { throw Unexpected(description: "accept: \(String(cString: strerror(errno)))") }
            return RawMQTTClient(socket: accepted, limit: .seconds(10))
        }
    }

    private static func withLoopback(port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    deinit {
        close(self.socket)
    }

    /// Connects with MQTT 3.1.1, a clean session and no keep alive, and takes the CONNACK.
    package convenience init(port: Int, clientID: String) throws {
        try self.init(port: port)
        let id = Array(clientID.utf8)
        let body = hexBytes("00044d515454 04 02 0000") + [UInt8(id.count >> 8), UInt8(id.count & 0xFF)] + id
        try self.send([0x10, UInt8(body.count)] + body)
        try self.expect("20 02 00 00")
    }

    /// Sends bytes in hex.
    package func send(_ hex: String) throws {
        try self.send(hexBytes(hex))
    }

    /// Sends bytes.
    package func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(self.socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Unexpected(description: "send: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// Receives exactly these bytes next.
    package func expect(_ hex: String) throws {
        let expected = hexBytes(hex)
        let received = try self.receive(expected.count)
        guard received == expected else {
            throw Unexpected(description: "got \(hexText(received)), not \(hexText(expected))")
        }
    }

    /// Receives one packet: its first byte and what follows the length.
    package func receivePacket() throws -> (firstByte: UInt8, body: [UInt8]) {
        guard let first = try self.receive(1).first else { throw Unexpected(description: "the end of the connection") }
        var length = 0
        for shift in stride(from: 0, to: 28, by: 7) {
            guard let byte = try self.receive(1).first else { throw Unexpected(description: "the end within a length") }
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
        }
        return (first, length == 0 ? [] : try self.receive(length))
    }

    /// Receives all bytes of one packet; nil at the end of the connection.
    package func receivePacketBytes() throws -> [UInt8]? {
        var bytes = try self.receive(1)
        if bytes.isEmpty { return nil }
        var length = 0
        for shift in stride(from: 0, to: 28, by: 7) {
            guard let byte = try self.receive(1).first else { return bytes }
            bytes.append(byte)
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
        }
        return length == 0 ? bytes : bytes + (try self.receive(length))
    }

    /// Receives the end of the connection next.
    package func expectClose() throws {
        var byte: UInt8 = 0
        let count = Glibc.recv(self.socket, &byte, 1, 0)
        if count == 0 || (count < 0 && errno == ECONNRESET) { return }
        throw Unexpected(
            description: count > 0 ? "got \(hexText([byte])), not the end" : "still open after \(self.limit)"
        )
    }

    /// Whether there is something to receive, or the end of the connection, within the limit.
    package func canReceive(within limit: Duration) -> Bool {
        var event = pollfd(fd: self.socket, events: Int16(POLLIN), revents: 0)
        return poll(&event, 1, Int32(limit.milliseconds)) == 1
    }

    /// Receives exactly `count` bytes; fewer if the connection ends before.
    package func receive(_ count: Int) throws -> [UInt8] {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: count)
        while received.count < count {
            let got = Glibc.recv(self.socket, &buffer, count - received.count, 0)
            if got == 0 || (got < 0 && errno == ECONNRESET) { break }
            guard got > 0 else {
                throw Unexpected(description: "got \(hexText(received)), then \(String(cString: strerror(errno)))")
            }
            received += buffer[..<got]
        }
        return received
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000
    }
}
