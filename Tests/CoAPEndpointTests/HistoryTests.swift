import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// What may be forgotten when somebody sends in the name of others.
@Suite("What a CoAP server forgets first")
struct HistoryTests {
    private static func peer(_ number: Int, session: UInt32 = 0) -> CoAPPeer {
        CoAPPeer(ipv4: 0x0A01_0000 + UInt32(number), port: 5683, session: session)
    }

    /// GETs are answered, `x` is nowhere, everything else is carried out.
    private func site(
        protection: (any CoAPProtection)? = nil,
        _ change: (inout CoAPServerConfiguration) -> Void = { _ in }
    ) -> Site {
        let site = Site(protection: protection, change)
        site.resource = { request in
            let path = request.options.first(.uriPath).map { String(buffer: $0) }
            return response(request.method == .get ? .content : path == "x" ? .notFound : .changed)
        }
        return site
    }

    /// Whether the very same is known, and answered from memory.
    private func isKnown(_ message: CoAPMessage, _ site: Site, from peer: CoAPPeer = Site.node) -> Bool {
        _ = site.takeRequests()
        let answers = site.receive(message, from: peer)
        return answers.map(\.code) == [.changed] && site.takeRequests().isEmpty
    }

    @Test("requests in a node's name that change nothing push out none that was carried out", arguments: [true, false])
    func nothingDone(isGet: Bool) {
        let site = self.site()
        let post = request(.post, "a", id: 7, body: "once")
        site.receive(post)
        for id in 1000..<1200 as Range<UInt16> {
            site.receive(request(isGet ? .get : .post, "x", type: .nonConfirmable, id: id))
        }
        #expect(site.server.remembered.requests == 64)
        #expect(self.isKnown(post, site))
    }

    @Test("nor do first blocks of bodies that never end, and replies that are long")
    func long() {
        let site = self.site { $0.maxReplyBytesPerPeer = 500 }
        let post = request(.post, "a", id: 7, body: "once")
        site.receive(post, from: Site.secure)
        site.resource = { _ in response(.content, String(repeating: "x", count: 100)) }
        for id in 1000..<1100 as Range<UInt16> {
            site.receive(request(.get, "x", id: id), from: Site.secure)
            let block = (CoAPOptionNumber.block1, BlockTests.block(0, true, 0))
            let body = String(repeating: "x", count: 16)
            site.receive(request(.post, "\(id)", id: id, [block], body: body), from: Site.secure)
        }
        #expect(site.server.remembered.replyBytes <= 520)
        #expect(self.isKnown(post, site, from: Site.secure))
    }

    @Test("plain requests push out none that OSCORE opened, whatever they do: it would be refused as a replay")
    func opened() {
        let protection = ProtectionTests.Inverting()
        let site = self.site(protection: protection)
        let post = ProtectionTests.Inverting.seal(request(.post, "a", id: 7, body: "once"))
        site.receive(post)
        for id in 1000..<1200 as Range<UInt16> { site.receive(request(.post, "a", type: .nonConfirmable, id: id)) }
        #expect(site.server.remembered.requests == 65)
        #expect(self.isKnown(post, site))
        #expect(protection.opened == 1)
        // Those have a bound, too.
        for id in 1000..<1200 as Range<UInt16> {
            site.receive(ProtectionTests.Inverting.seal(request(.post, "a", id: id)))
        }
        #expect(site.server.remembered.requests == 128)
    }

    @Test("what is only challenged, as a replay may be, and what can't be opened has no share of its own")
    func challenged() {
        let protection = ProtectionTests.Inverting()
        let site = self.site(protection: protection)
        let post = ProtectionTests.Inverting.seal(request(.post, "a", id: 7, body: "once"))
        site.receive(post)
        protection.challenges = true
        for id in 1000..<1200 as Range<UInt16> {
            site.receive(ProtectionTests.Inverting.seal(request(.post, "a", id: id)))
        }
        #expect(site.server.remembered.requests == 65)
        #expect(self.isKnown(post, site))
    }

    /// A post of each, and then more than the history holds from addresses that are made up.
    @Test("requests from made-up addresses push out none of an address that is proven, nor one that OSCORE opened")
    func madeUp() throws {
        let site = self.site(protection: ProtectionTests.Inverting()) {
            $0.maxHistory = 200
            $0.maxPeers = 50
        }
        let post = request(.post, "a", id: 7, body: "once")
        let sealed = ProtectionTests.Inverting.seal(post)
        // Before its address is proven.
        site.receive(post)
        site.receive(sealed, from: Site.other)
        site.observable = true
        site.receive(request(.get, "a", id: 8, [ObserveTests.register]))
        for ping in site.take(for: Site.node) where ping.code.isEmpty { site.receive(empty(.reset, ping.messageID)) }
        site.notify(try #require(site.observations.first), response(.content, "1"))
        site.receive(empty(.acknowledgement, try #require(site.take().first).messageID))
        site.endObservation(try #require(site.observations.first))
        site.observable = false
        for number in 1...100 {
            for id in 0..<10 as Range<UInt16> {
                site.receive(request(id % 2 == 0 ? .get : .post, "a", id: id), from: Self.peer(number))
            }
        }
        #expect(site.server.remembered.requests <= 200)
        #expect(site.server.peerCount == 50)
        #expect(self.isKnown(post, site))
        #expect(self.isKnown(sealed, site, from: Site.other))
    }

    @Test("of all peers together what was carried out for a made-up address outlives what nobody asked twice for")
    func ranks() {
        let site = self.site { $0.maxHistory = 100 }
        let post = request(.post, "a", id: 7, body: "once")
        site.receive(post)
        for number in 1...1000 { site.receive(request(.get, "a"), from: Self.peer(number)) }
        #expect(site.server.remembered.requests == 100)
        #expect(self.isKnown(post, site))
    }

    @Test("peers with keys leave some room to the others")
    func room() {
        let site = self.site { $0.maxHistory = 100 }
        for number in 1...200 { site.receive(request(.post, "a"), from: Self.peer(number, session: 1)) }
        let post = request(.post, "a", id: 7, body: "once")
        site.receive(post)
        for number in 201...400 { site.receive(request(.post, "a"), from: Self.peer(number, session: 1)) }
        #expect(site.server.remembered.requests == 100)
        #expect(self.isKnown(post, site))
    }
}
