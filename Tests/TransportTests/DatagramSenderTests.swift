import CDatagrams
import NIOCore
import TestSupport
import Testing

@testable import Transport

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

@Suite(.ownThread, .timeLimit(.minutes(5))) struct DatagramSenderTests {
    /// A bound UDP socket.
    private final class Bound {
        let descriptor: Int32
        let port: Int

        init(_ host: String) throws {
            let address = try SocketAddress(ipAddress: host, port: 0)
            self.descriptor = address.withSockAddr { datagrams_bind($0, $1, 1 << 20) }
            guard self.descriptor >= 0 else { throw IOError(errnoCode: -self.descriptor, reason: "bind") }
            var bytes = [UInt8](repeating: 0, count: 28)
            var count = socklen_t(bytes.count)
            let descriptor = self.descriptor
            bytes.withUnsafeMutableBytes { raw in
                if let name = raw.bindMemory(to: sockaddr.self).baseAddress { getsockname(descriptor, name, &count) }
            }
            self.port = Int(bytes[2]) << 8 | Int(bytes[3])
        }

        deinit { close(self.descriptor) }
    }

    private func address(_ host: String, _ port: Int) throws -> DatagramAddress {
        try #require(DatagramAddress(SocketAddress(ipAddress: host, port: port)))
    }

    @Test("datagrams that the system refuses are lost, counted and told, and those before and behind leave")
    func refused() throws {
        let bound = try Bound("127.0.0.1")
        let client = try RawUDPClient(port: bound.port)
        let good = try self.address("127.0.0.1", client.localPort)
        let sender = DatagramSender(descriptor: bound.descriptor, isIPv6: false)
        sender.add(ByteBuffer(string: "first"), to: good, from: nil)
        // To all, which a socket may not by itself; away from a socket of loopback; too long for any datagram.
        sender.add(ByteBuffer(string: "x"), to: try self.address("255.255.255.255", 9), from: nil)
        sender.add(ByteBuffer(string: "x"), to: try self.address("203.0.113.1", 9), from: nil)
        sender.add(ByteBuffer(repeating: 1, count: 66_000), to: good, from: nil)
        sender.add(ByteBuffer(string: "second"), to: good, from: nil)
        // Of another family.
        sender.add(ByteBuffer(string: "x"), to: try self.address("2001:db8::1", 9), from: nil)
        #expect(sender.flush() != nil)
        #expect(sender.isEmpty && sender.sent == 2 && sender.lost == 4)
        #expect(try client.receive() == Array("first".utf8))
        #expect(try client.receive() == Array("second".utf8))
        #expect(sender.flush() == nil)
    }

    @Test("an own address that the host has no more is not insisted on")
    func goneAddress() throws {
        let bound = try Bound("0.0.0.0")
        let client = try RawUDPClient(port: bound.port)
        let sender = DatagramSender(descriptor: bound.descriptor, isIPv6: false)
        let good = try self.address("127.0.0.1", client.localPort)
        sender.add(ByteBuffer(string: "here"), to: good, from: try self.address("203.0.113.7", 0))
        #expect(sender.flush() == nil)
        #expect(try client.receive() == Array("here".utf8))
    }

    @Test("hundreds leave in order, and what is over the limit is lost")
    func many() throws {
        let bound = try Bound("127.0.0.1")
        let client = try RawUDPClient(port: bound.port)
        let sender = DatagramSender(descriptor: bound.descriptor, isIPv6: false)
        let good = try self.address("127.0.0.1", client.localPort)
        for number in 0..<150 { sender.add(ByteBuffer(string: "\(number)"), to: good, from: nil) }
        #expect(sender.flush() == nil)
        for number in 0..<150 { #expect(try client.receive() == Array("\(number)".utf8)) }
        for _ in 0..<600 { sender.add(ByteBuffer(repeating: 1, count: 1024), to: good, from: nil) }
        #expect(sender.lost == 600 - UInt64(DatagramSender.maxWaitingBytes / 1024))
    }

    @Test("what is read says where it came from and where it was sent to, and what was cut")
    func reading() throws {
        let bound = try Bound("0.0.0.0")
        let reader = DatagramReader(descriptor: bound.descriptor, count: 4, maxBytes: 100)
        let client = try RawUDPClient(port: bound.port, address: "127.0.0.3")
        for count in [0, 1, 100, 101, 5] { try client.send([UInt8](repeating: 7, count: count)) }
        var seen: [Int?] = []
        func read() throws -> Bool {
            try reader.read { datagram in
                seen.append(datagram?.bytes.count)
                guard let datagram else { return }
                #expect(datagram.address.text == "127.0.0.1" && Int(datagram.address.port) == client.localPort)
                #expect(datagram.local?.text == "127.0.0.3" && !datagram.isGroup)
                #expect(datagram.bytes.allSatisfy { $0 == 7 })
            }
        }
        #expect(try read() == true)
        #expect(try read() == false)
        #expect(try read() == false)
        #expect(seen == [0, 1, 100, nil, 5])
    }

    @Test("a socket of IPv6 knows both families, and the address of its own that was asked")
    func dualStack() throws {
        let bound = try Bound("::")
        let reader = DatagramReader(descriptor: bound.descriptor, count: 4, maxBytes: 100)
        let sender = DatagramSender(descriptor: bound.descriptor, isIPv6: true)
        let old = try RawUDPClient(port: bound.port, address: "127.0.0.4")
        try old.send([1])
        // From itself to itself over IPv6.
        sender.add(ByteBuffer(bytes: [2]), to: try self.address("::1", bound.port), from: try self.address("::1", 0))
        #expect(sender.flush() == nil)
        var seen: [String] = []
        _ = try reader.read { datagram in
            seen.append("\(datagram?.address.text ?? "") \(datagram?.local?.text ?? "")")
            if let datagram { sender.add(ByteBuffer(bytes: [3]), to: datagram.address, from: datagram.local) }
        }
        #expect(seen == ["127.0.0.1 127.0.0.4", "::1 ::1"])
        #expect(sender.flush() == nil)
        #expect(try old.receive() == [3])
    }
}
