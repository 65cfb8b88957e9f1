import TestSupport
import Testing

/// What happens to nodes that don't get in. They give up after some time: this runs beside the other suites.
@Suite(.inTurn, .timeLimit(.minutes(5))) struct CoAPWrongKeyTests {
    /// What the server said to a client that does not get in: kind of each record, and its length.
    private func wire(_ site: CoAPSite, identity: String, key: String) async throws -> [[UInt8]] {
        let relay = try DatagramRelay(to: try site.securePort, isRecording: true)
        let suite = DTLSPeer.Program.mbedTLS(suite: "TLS-PSK-WITH-AES-128-CCM-8")
        let peer = try await DTLSPeer(suite, port: relay.port, identity: identity, key: key)
        // It gives up after some repetitions of its last flight.
        try await peer.output.line(containing: "FAILED handshake")
        var seen: [[UInt8]] = []
        for datagram in relay.passed where !datagram.isToServer && datagram.bytes.count > 13 {
            let record = [datagram.bytes[0], datagram.bytes[4], datagram.bytes[13], UInt8(datagram.bytes.count & 0xFF)]
            if !seen.contains(record) { seen.append(record) }
        }
        return seen
    }

    @Test("a wrong key and an identity that nobody has are alike on the wire, and told apart to the operator")
    func wrongKey() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.devices += SiteDevices.keyed("hall", key: Array("a key of a node!".utf8))
        let site = try await CoAPSite.start(configuration)
        async let wrong = self.wire(site, identity: "hall", key: "another key here")
        async let unknown = self.wire(site, identity: "hull", key: "another key here")
        // Said while they still try.
        try await site.gateway.logged("hall", "did not prove its key", within: .seconds(20))
        try await site.gateway.logged("hull", "no device here has this name", within: .seconds(20))
        let (wrongKey, unknownIdentity) = try await (wrong, unknown)
        #expect(wrongKey == unknownIdentity)
        #expect(!wrongKey.isEmpty)
        #expect(!site.gateway.log.lines.joined().contains("another key here"))
        try site.serves()
    }
}
