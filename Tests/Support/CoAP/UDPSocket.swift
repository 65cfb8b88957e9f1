import Foundation

/// A UDP socket of a loopback address that sends and receives bytes, for nodes that no proper client would be. Blocks the
/// calling thread, each call for at most its limit.
package final class UDPSocket: Sendable {
    /// The system did not do what was asked.
    package struct Failure: Error, CustomStringConvertible {
        /// What was asked, and the system's words.
        package let description: String

        init(_ what: String) { self.description = "\(what): \(String(cString: strerror(errno)))" }
    }

    /// An IPv4 address of 127.0.0.0/8 and a port.
    package struct Address: Hashable, Sendable {
        /// 127.0.0.1 in the order of the host: `0x7F00_0001`.
        package var host: UInt32
        package var port: UInt16

        package init(host: UInt32 = 0x7F00_0001, port: UInt16) {
            self.host = host
            self.port = port
        }

        var system: sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = self.host.bigEndian
            address.sin_port = self.port.bigEndian
            return address
        }

        init(_ address: sockaddr_in) {
            self.host = UInt32(bigEndian: address.sin_addr.s_addr)
            self.port = UInt16(bigEndian: address.sin_port)
        }
    }

    /// For `poll`.
    package let descriptor: Int32
    /// Where it sends to; it receives from there only. `nil`: from everywhere.
    package let peer: Address?

    /// - Parameters:
    ///   - peer: The port of 127.0.0.1 that it talks to; `nil` for a server's socket.
    ///   - host: Its own address, any of 127.0.0.0/8.
    ///   - port: Its own port; 0: the system's choice.
    ///   - patience: How long it waits for its port.
    package init(
        to peer: Int? = nil,
        host: UInt32 = 0x7F00_0001,
        port: UInt16 = 0,
        patience: Duration = .patience
    ) throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        self.peer = peer.map { Address(port: UInt16($0)) }
        guard self.descriptor >= 0 else { throw Failure("socket") }
        let own = Address(host: host, port: port).system
        // For a moment the socket that had the port may still be in a child that is just being started.
        let deadline = ContinuousClock.now + patience
        while Self.with(own, { bind(self.descriptor, $0, $1) }) != 0 {
            guard port != 0, errno == EADDRINUSE, ContinuousClock.now < deadline else {
                throw Failure("bind to port \(port)")
            }
            sched_yield()
        }
        guard let peer = self.peer else { return }
        guard Self.with(peer.system, { connect(self.descriptor, $0, $1) }) == 0 else { throw Failure("connect") }
    }

    deinit { close(self.descriptor) }

    /// A port for somebody who comes again and again from the same one; the system gives it to nobody meanwhile.
    package static func freePort() throws -> UInt16 {
        while true {
            let port = UInt16(try FreePort.next())
            if (try? UDPSocket(port: port, patience: .zero)) != nil { return port }
        }
    }

    /// Its own port.
    package var port: UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(self.descriptor, $0, &length) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Sends one datagram to its peer.
    package func send(_ bytes: [UInt8]) throws {
        // A port that refused an earlier one is told with this one, which was not sent then.
        for _ in 0..<3 {
            if Glibc.send(self.descriptor, bytes, bytes.count, 0) == bytes.count { return }
            guard errno == ECONNREFUSED else { break }
        }
        throw Failure("send \(bytes.count) bytes")
    }

    /// Sends one datagram anywhere.
    package func send(_ bytes: [UInt8], to address: Address) throws {
        let sent = Self.with(address.system) { sendto(self.descriptor, bytes, bytes.count, 0, $0, $1) }
        guard sent == bytes.count else { throw Failure("send \(bytes.count) bytes") }
    }

    /// The next datagram; `nil` if none comes.
    package func receive(within limit: Duration = .patience) throws -> [UInt8]? {
        try self.receiveFrom(within: limit)?.bytes
    }

    /// The next datagram and where it comes from; `nil` if none comes.
    package func receiveFrom(within limit: Duration = .patience) throws -> (bytes: [UInt8], from: Address)? {
        let deadline = ContinuousClock.now + limit
        while true {
            let left = max(.zero, deadline - .now)
            let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
            var entry = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&entry, 1, Int32(clamping: left == .zero ? 0 : milliseconds + 1))
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else { return nil }
            if let received = self.receiveNow() { return received }
            // A port that refused: whoever was there is gone, or not there yet.
        }
    }

    /// What has come; `nil` if there is nothing.
    package func receiveNow() -> (bytes: [UInt8], from: Address)? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(self.descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT), $0, &length)
            }
        }
        guard count >= 0 else { return nil }
        return (Array(buffer[..<count]), Address(address))
    }

    private static func with<Result>(
        _ address: sockaddr_in,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
