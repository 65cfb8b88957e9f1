import CoAPCodec
import NIOCore
import TestSupport
import Testing

/// What small nodes really send, byte for byte, at the gateway; and that it is outside.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPQuirkyNodesTests {
    /// `nodes/lamp/t` as options behind Uri-Path, which begins at a delta of 11.
    private static let path = "b2 7073 05 6e6f646573 04 6c616d70 01 74"

    @Test(
        "CoAP-simple-library: its own port is fixed, Message IDs unseeded, no token, an address as Uri-Host, an empty segment, two bytes of Content-Format"
    )
    func coapSimple() async throws {
        let site = try await CoAPSite.start()
        // PUT coap://192.168.1.9//ps/nodes/lamp/t, text/plain as 0000.
        let head = "40035a5a 3b3139322e3136382e312e39 80 02 7073 05 6e6f646573 04 6c616d70 01 74 12 0000 ff"
        let port = try UDPSocket.freePort()
        for boot in 0..<3 {
            let node = try CoAPNode(port: try site.port, own: port)
            // Retransmissions it has none of; the next boot's first reading has the same ID, from the same port.
            #expect(try node.exchange(head + "32312e3\(boot)") == "60445a5a", "a response in the ACK, and nothing else")
        }
        #expect(try await site.outside.messages(3).map(\.payload) == ["21.0", "21.1", "21.2"])
        // It takes no datagram over 128 bytes.
        let node = try CoAPNode(port: try site.port, own: port)
        let refused = try #require(try node.exchange("40035a5b 3b3139322e3136382e312e39 80 02 7073 01 78 ff 31"))
        #expect(refused.hasPrefix("608") && refused.count <= 256)
    }

    @Test("NodeMCU: token node, Message IDs from 0 after each boot, four repetitions, one port")
    func nodeMCU() async throws {
        let site = try await CoAPSite.start()
        let free = try UDPSocket.freePort()
        for boot in 0..<3 {
            let node = try CoAPNode(port: try site.port, own: free)
            for reading in 0..<3 {
                let post = "4402000\(reading) 6e6f6465 \(Self.path) ff 3\(boot)2e3\(reading)"
                for _ in 0..<4 {
                    try node.send(post)
                    // On a busy machine the response may come apart, and what is repeated then is acknowledged only.
                    var answer = try node.receive()
                    while let response = answer, response.type == .confirmable {
                        try node.send(CoAPMessage.empty(.acknowledgement, messageID: response.messageID))
                        answer = try node.receive()
                    }
                    #expect(answer?.type == .acknowledgement && answer?.messageID == UInt16(reading))
                    #expect(answer?.code == .changed || answer?.code == .empty)
                }
            }
            withExtendedLifetime(node) {}
        }
        let expected = (0..<3).flatMap { boot in (0..<3).map { "\(boot).\($0)" } }
        #expect(try await site.outside.messages(9).map(\.payload) == expected)
        try site.serves()
        #expect(try await site.outside.messages(10).count == 10)
    }

    @Test("microCoAPy: Message IDs at random, empty token, not confirmable")
    func microCoAPy() async throws {
        let site = try await CoAPSite.start()
        let node = try CoAPNode(port: try site.port)
        for (number, id) in ["9f3a", "0001", "ffff", "9f3b"].enumerated() {
            let answer = try node.exchange("5002\(id) \(Self.path) ff 3\(number)")
            #expect(answer?.hasPrefix("5044") == true)
        }
        #expect(try await site.outside.messages(4).map(\.payload) == ["0", "1", "2", "3"])
    }

    @Test("nodes behind one address, and one whose port changes between two readings")
    func ports() async throws {
        let site = try await CoAPSite.start()
        for number in 0..<8 {
            let node = try CoAPNode(port: try site.port)
            #expect(try node.exchange("44020000 6e6f6465 \(Self.path) ff 3\(number)") == "644400006e6f6465")
        }
        #expect(try await site.outside.messages(8).map(\.payload) == (0..<8).map(String.init))
    }

    @Test("a node that wants no response gets none, and its reading is outside")
    func noResponse() async throws {
        let site = try await CoAPSite.start()
        let node = try CoAPNode(port: try site.port)
        // No-Response 26: neither 2.xx, 4.xx nor 5.xx. Delta of 247 from Uri-Path.
        try node.send("50020001 \(Self.path) d1 ea 1a ff 31")
        try await site.outside.message(payload: "1")
        #expect(try node.isSilent())
    }
}
