import NIOCore
import Testing

@testable import Transport

@Suite struct DatagramAddressTests {
    @Test(
        "an address is the same after it was numbers",
        arguments: [
            "127.0.0.1", "192.168.1.200", "255.255.255.255", "0.0.0.0", "224.0.1.187", "::1", "2001:db8::12:3", "::",
            "ff02::fd", "fe80::1:2:3:4",
        ]
    )
    func roundTrip(text: String) throws {
        let address = try SocketAddress(ipAddress: text, port: 5683)
        let numbers = try #require(DatagramAddress(address))
        #expect(numbers.text == text)
        #expect(numbers.port == 5683)
        #expect(DatagramAddress(numbers.peer(listener: 1, local: 0, session: 2)) == numbers)
        #expect(DatagramAddress(numbers.dtls(local: 0)) == numbers)
        #expect(PeerAddress(numbers) == PeerAddress(address))
    }

    @Test("an address of the local link has its interface with it, and on the wire it has not")
    func scope() throws {
        let plain = try #require(DatagramAddress(SocketAddress(ipAddress: "fe80::1:2:3:4", port: 1)))
        #expect(plain.scope == 0)
        let scoped = DatagramAddress(high: plain.high | 7, low: plain.low, port: 1)
        #expect(scoped.scope == 7 && scoped.wireHigh == plain.high && scoped != plain)
        #expect(scoped.text == "fe80::1:2:3:4")
        let other = DatagramAddress(high: 0x2001_0db8_0000_0007, low: 1, port: 1)
        #expect(other.scope == 0 && other.wireHigh == other.high)
    }

    @Test("own addresses have numbers, and too many have none")
    func locals() {
        var locals = LocalAddresses()
        func address(_ number: Int) -> DatagramAddress {
            DatagramAddress(high: 1, low: UInt64(number), port: UInt16(number))
        }
        #expect(locals[0] == nil && locals[1] == nil)
        for number in 1...256 { #expect(locals.number(of: address(number)) == UInt16(number)) }
        #expect(locals.number(of: address(257)) == 0)
        #expect(locals.number(of: DatagramAddress(high: 1, low: 7, port: 99)) == 7)
        #expect(locals[7]?.low == 7 && locals[7]?.port == 0)
    }

    @Test("what is of a group or of everybody is told from what is somebody's")
    func kinds() throws {
        func numbers(_ text: String) throws -> DatagramAddress {
            try #require(DatagramAddress(SocketAddress(ipAddress: text, port: 1)))
        }
        for text in ["224.0.1.187", "239.1.1.1", "255.255.255.255", "ff02::fd", "ff05::fd", "::ffff:224.0.1.187"] {
            #expect(try numbers(text).isMulticast)
        }
        for text in ["127.0.0.1", "223.255.255.255", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1"] {
            #expect(try !numbers(text).isMulticast)
        }
        #expect(try numbers("::").isUnspecified && numbers("0.0.0.0").isUnspecified)
        #expect(try !numbers("::1").isUnspecified)
        // One endpoint, by which kind of socket it ever comes.
        #expect(try numbers("::ffff:10.0.0.1") == numbers("10.0.0.1"))
    }
}
