import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

@testable import Transport

/// Which address a datagram was sent to, and which one the answer comes from. 127.0.0.0/8 makes every machine one of many addresses.
@Suite("CoAP over UDP: addresses", .ownThread, .timeLimit(.minutes(5))) struct CoAPAddressTests {
    @Test("the answer comes from the address that was asked, of any number", arguments: ["0.0.0.0", "::"])
    func multiHomed(host: String) async throws {
        let site = try await CoAPSocketSite.start(host: host)
        for (index, address) in ["127.0.0.1", "127.0.0.2", "127.1.2.3"].enumerated() {
            // Connected: what comes from another address is not received.
            let client = try RawUDPClient(port: site.port, address: address)
            for id in 1...2 as ClosedRange<UInt16> {
                try client.send(CoAPBytes.request("echo", id: id, payload: address))
                #expect(String(buffer: try client.receiveMessage().payload) == address)
            }
            try client.send(CoAPBytes.request("later", id: 3, payload: "later"))
            try await eventually { site.log.lines.count == 3 * (index + 1) }
            try await site.answerHeld()
            #expect(String(buffer: try client.receiveMessage().payload) == "later")
        }
        #expect(site.log.lines.allSatisfy { $0.hasSuffix("from 127.0.0.1") })
        try await site.stop()
    }

    @Test("one port that speaks to two addresses is two endpoints (RFC 7252 §4.4)")
    func endpoints() async throws {
        let site = try await CoAPSocketSite.start(host: "0.0.0.0")
        let client = try site.client()
        for address in ["127.0.0.1", "127.0.0.2"] {
            try client.reconnect(port: site.port, address: address)
            try client.send(CoAPBytes.request("echo", id: 1, payload: "same"))
            _ = try client.receive()
        }
        #expect(site.log.lines.count == 2)
        try await site.stop()
    }

    @Test("DTLS, too, is answered from the address that was asked")
    func dtls() async throws {
        let site = try await CoAPSocketSite.start(host: "0.0.0.0", dtls: true)
        let client = try DTLSSocketClient(port: site.port, address: "127.0.0.2")
        try client.connect()
        #expect(String(buffer: try client.ask("echo", id: 1, payload: "hello").payload) == "hello")
        try await site.stop()
    }

    @Test("a request to All CoAP Nodes is answered from an own address, after a while", arguments: ["0.0.0.0", "::"])
    func multicast(host: String) async throws {
        let site = try await CoAPSocketSite.start(host: host) {
            $0.multicast = true
            $0.server.leisure = .milliseconds(5)
        }
        let client = try RawUDPClient(group: "224.0.1.187", port: site.port)
        // Confirmable may not be (RFC 7252 §8.1), and garbage gets no reset.
        try client.send(CoAPBytes.request("echo", id: 1, payload: "no"))
        try client.send("40000011")
        try client.send(CoAPBytes.request("echo", .nonConfirmable, id: 2, payload: "group"))
        let answer = try client.receiveMessage()
        #expect(answer.type == .nonConfirmable && String(buffer: answer.payload) == "group")
        #expect(site.log.lines.count == 1 && site.log.lines.first?.hasPrefix("group request /echo") == true)
        try await site.stop()
    }

    @Test("where multicast is not wanted, and with DTLS, what is sent to a group is dropped", arguments: [false, true])
    func noMulticast(isSecure: Bool) async throws {
        // Another listener makes the host a member of the group.
        let member = try await CoAPSocketSite.start(host: "0.0.0.0") { $0.multicast = true }
        let site = try await CoAPSocketSite.start(host: "0.0.0.0", dtls: isSecure) { $0.multicast = isSecure }
        let client = try RawUDPClient(group: "224.0.1.187", port: site.port)
        try client.send(CoAPBytes.request("echo", .nonConfirmable, id: 1, payload: "group"))
        try await eventually {
            try await site.run { channel, _ in channel.datagrams.unwantedMulticasts } == 1
        }
        #expect(site.log.lines.isEmpty)
        try await site.stop()
        try await member.stop()
    }

    @Test("IPv6: the answer comes from the address that was asked")
    func ipv6() async throws {
        let site = try await CoAPSocketSite.start(host: "::1")
        #expect(site.channel.localAddress?.protocol == .inet6)
        try await site.stop()
    }
}
