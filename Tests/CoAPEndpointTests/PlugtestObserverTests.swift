import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// The ETSI plugtest cases of RFC 7641 from the client's side, with the gateway's own server as the node.
@Suite("TD_COAP_OBS, as the client")
struct PlugtestObserverTests {
    private let pair = ObserverPair()

    private func observe(_ path: String = "obs") -> CoAPTargetID? {
        defer { self.pair.exchange() }
        return self.pair.watch.observe(CoAPResource(path: [path]), of: ObserverPair.server)
    }

    private func change(_ text: String, _ path: String = "obs", format: CoAPContentFormat = .textPlain) {
        self.pair.node.change(path, to: text, format: format, self.pair.site)
        self.pair.exchange()
    }

    @Test("TD_COAP_OBS_01: observing with CON")
    func confirmable() {
        _ = self.observe()
        for round in 1...3 { self.change("\(round)") }
        #expect(self.pair.watch.takeTexts() == ["0", "1", "2", "3"])
        #expect(self.pair.notified == [.confirmable, .confirmable, .confirmable])
        #expect(self.pair.watch.takeEstablished() == [true])
    }

    @Test("TD_COAP_OBS_02: observing with NON")
    func nonConfirmable() {
        // The node answers as it likes; this one as it was asked, so it is asked by hand.
        let watch = self.pair.watch
        watch.observe(CoAPResource(path: ["obs"]), of: ObserverPair.server)
        self.pair.exchange(asNonConfirmable: true)
        for round in 1...3 {
            self.pair.pass(.seconds(5))
            self.change("\(round)")
        }
        #expect(watch.takeTexts() == ["0", "1", "2", "3"])
        #expect(self.pair.notified == [.nonConfirmable, .nonConfirmable, .nonConfirmable])
    }

    @Test("TD_COAP_OBS_04: after Max-Age without a notification the client registers again")
    func maxAge() {
        _ = self.observe()
        self.pair.pass(.seconds(21))
        #expect(self.pair.registrations >= 2)
        self.change("1")
        #expect(self.pair.watch.takeTexts().last == "1")
        #expect(self.pair.site.server.observationCount == 1)
    }

    @Test("TD_COAP_OBS_05: the node is off for a while, and has forgotten")
    func nodeOff() {
        _ = self.observe()
        self.pair.isCut = true
        self.pair.pass(.seconds(200))
        #expect(self.pair.watch.takeFailures().allSatisfy { $0 == .noAnswer })
        self.pair.site.forget(ObserverPair.client)
        self.pair.isCut = false
        self.pair.pass(.minutes(10))
        #expect(self.pair.site.server.observationCount == 1)
        self.change("back")
        #expect(self.pair.watch.takeTexts().last == "back")
        #expect(self.pair.watch.takeEstablished() == [true, true])
    }

    @Test("TD_COAP_OBS_06: a client that has forgotten resets")
    func forgotten() {
        _ = self.observe()
        self.pair.replaceWatch()
        self.change("1")
        #expect(self.pair.site.server.observationCount == 0)
        #expect(self.pair.site.takeEnded() == [.rejected])
        #expect(self.pair.watch.takeTexts().isEmpty)
    }

    @Test("TD_COAP_OBS_07: the resource is deleted: 4.04, and later it is there again")
    func deleted() {
        _ = self.observe()
        self.pair.site.receive(request(.delete, "obs", id: 2), from: Site.other)
        self.pair.exchange()
        #expect(self.pair.watch.takeFailures() == [.refused(.notFound)])
        self.pair.site.receive(request(.put, "obs", id: 3, body: "again"), from: Site.other)
        self.pair.pass(.seconds(6))
        #expect(self.pair.watch.takeTexts() == ["0", "again"])
    }

    @Test("TD_COAP_OBS_08: another content format: 4.06, and the client registers again")
    func contentFormat() {
        _ = self.observe()
        self.change("{}", format: .json)
        #expect(self.pair.watch.takeFailures() == [.refused(.notAcceptable)])
        self.pair.pass(.seconds(6))
        #expect(self.pair.watch.representations.last?.contentFormat == .json)
        #expect(self.pair.watch.takeTexts() == ["0", "{}"])
    }

    @Test("TD_COAP_OBS_09: a PUT of somebody else is notified")
    func update() {
        _ = self.observe()
        self.pair.site.receive(request(.put, "obs", id: 2, body: "new"), from: Site.other)
        self.pair.exchange()
        #expect(self.pair.watch.takeTexts() == ["0", "new"])
    }

    @Test("TD_COAP_OBS_11: acknowledgements are lost: each change counts once")
    func lostAcknowledgements() {
        _ = self.observe()
        self.pair.losesAcknowledgements = true
        self.change("1")
        self.pair.pass(.seconds(4))
        self.pair.losesAcknowledgements = false
        self.pair.pass(.seconds(8))
        self.change("2")
        #expect(self.pair.watch.takeTexts().filter { $0 == "1" || $0 == "2" } == ["1", "2"])
        #expect(self.pair.watch.observer.counters.duplicates >= 1)
        #expect(self.pair.site.server.observationCount == 1)
    }

    @Test("TD_COAP_OBS_12: the client deregisters with Observe 1")
    func deregister() {
        _ = self.observe()
        self.pair.watch.stop()
        self.pair.exchange()
        #expect(self.pair.site.takeEnded() == [.deregistered])
        #expect(self.pair.watch.isStopped)
    }

    @Test("TD_COAP_OBS_13 and 14: a large value, that changes its size")
    func large() {
        _ = self.observe("obs-large")
        let larger = PlugtestServer.large.uppercased() + String(repeating: "more", count: 500)
        self.change(larger, "obs-large")
        self.change("small", "obs-large")
        #expect(self.pair.watch.takeTexts() == [PlugtestServer.large, larger, "small"])
    }

    @Test("a resource that can't be observed is polled")
    func notObservable() {
        _ = self.observe("test")
        self.pair.pass(.seconds(61))
        #expect(self.pair.watch.takeTexts() == ["test", "test"])
        #expect(self.pair.watch.takeEstablished() == [false])
    }
}
