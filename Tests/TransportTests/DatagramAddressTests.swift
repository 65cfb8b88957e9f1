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
        let back = numbers.socketAddress(isIPv6: address.protocol == .inet6)
        #expect(back == address)
        #expect(DatagramAddress(numbers.peer(listener: 1, session: 2)) == numbers)
        #expect(DatagramAddress(numbers.dtls) == numbers)
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
        #expect(try numbers("10.0.0.1").socketAddress(isIPv6: true).ipAddress == "::ffff:10.0.0.1")
    }
}
