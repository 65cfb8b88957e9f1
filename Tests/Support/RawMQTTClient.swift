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

    /// Connects to a port of 127.0.0.1.
    package init(port: Int, limit: Duration = .seconds(10)) throws {
        self.limit = limit
        self.socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard self.socket >= 0 else { throw Unexpected(description: "no socket") }
        var time = timeval(tv_sec: Int(limit.components.seconds), tv_usec: 0)
        setsockopt(self.socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(self.socket, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(self.socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Unexpected(description: "connect: \(String(cString: strerror(errno)))") }
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

    /// Receives the end of the connection next.
    package func expectClose() throws {
        var byte: UInt8 = 0
        let count = Glibc.recv(self.socket, &byte, 1, 0)
        if count == 0 || (count < 0 && errno == ECONNRESET) { return }
        throw Unexpected(
            description: count > 0 ? "got \(hexText([byte])), not the end" : "still open after \(self.limit)"
        )
    }

    /// Receives exactly `count` bytes; fewer if the connection ends before.
    package func receive(_ count: Int) throws -> [UInt8] {
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: count)
        while received.count < count {
            let got = Glibc.recv(self.socket, &buffer, count - received.count, 0)
            if got == 0 { break }
            guard got > 0 else {
                throw Unexpected(description: "got \(hexText(received)), then \(String(cString: strerror(errno)))")
            }
            received += buffer[..<got]
        }
        return received
    }
}
