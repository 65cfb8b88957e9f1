import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// The ETSI plugtest cases of RFC 7641 that concern a server.
@Suite("TD_COAP_OBS")
struct PlugtestObserveTests {
    private let site = Site()
    private let server = PlugtestServer()

    init() { self.server.attach(to: self.site) }

    private func register(
        _ path: String = "obs",
        type: CoAPMessageType = .confirmable,
        id: UInt16 = 1
    ) throws -> CoAPMessage {
        let message = request(.get, path, type: type, id: id, [ObserveTests.register])
        return try #require(self.site.receive(message, from: Site.secure).first)
    }

    /// The value changes; what goes out.
    private func change(_ text: String, _ path: String = "obs") -> CoAPMessage? {
        self.server.change(path, to: text, self.site)
        return self.site.take().first
    }

    private func acknowledge(_ message: CoAPMessage?) {
        if let message { self.site.receive(empty(.acknowledgement, message.messageID), from: Site.secure) }
    }

    @Test("TD_COAP_OBS_01: observing with CON")
    func confirmable() throws {
        #expect(try self.register().number(.observe) != nil)
        for round in 1...3 {
            let message = self.change("\(round)")
            #expect(message?.type == .confirmable && message?.text == "\(round)" && message?.number(.observe) != nil)
            self.acknowledge(message)
        }
    }

    @Test("TD_COAP_OBS_02: observing with NON")
    func nonConfirmable() throws {
        #expect(try self.register(type: .nonConfirmable).number(.observe) != nil)
        for round in 1...3 {
            self.site.pass(.seconds(5))
            let message = self.change("\(round)")
            #expect(message?.type == .nonConfirmable && message?.text == "\(round)" && message?.number(.observe) != nil)
        }
    }

    @Test("TD_COAP_OBS_04: Max-Age in each, so that the client knows when to register anew")
    func maxAge() throws {
        #expect(try self.register().number(.maxAge) == 5)
        #expect(self.change("1")?.number(.maxAge) == 5)
    }

    @Test("TD_COAP_OBS_05: the client is off: it is forgotten when it acknowledges nothing")
    func clientOff() throws {
        _ = try self.register()
        #expect(self.change("1") != nil)
        self.site.pass(.seconds(100))
        _ = self.site.take()
        #expect(self.site.takeEnded() == [.unreachable])
        #expect(self.change("2") == nil)
    }

    @Test("TD_COAP_OBS_06: the client has forgotten, and resets")
    func reset() throws {
        _ = try self.register()
        let message = try #require(self.change("1"))
        self.site.receive(empty(.reset, message.messageID), from: Site.secure)
        #expect(self.change("2") == nil)
    }

    @Test("TD_COAP_OBS_07: DELETE ends it with 4.04")
    func delete() throws {
        _ = try self.register()
        self.site.receive(request(.delete, "obs", id: 2), from: Site.other)
        let message = try #require(self.site.take(for: Site.secure).first)
        #expect(message.code == .notFound && message.number(.observe) == nil)
        #expect(self.site.server.observationCount == 0)
    }

    @Test("TD_COAP_OBS_08: another content format ends it with 4.06")
    func contentFormat() throws {
        _ = try self.register()
        self.server.change("obs", to: "{}", format: .json, self.site)
        let message = try #require(self.site.take().first)
        #expect(message.code == .notAcceptable && message.number(.observe) == nil)
        #expect(self.site.server.observationCount == 0)
    }

    @Test("TD_COAP_OBS_09: a PUT is told to the observer")
    func update() throws {
        _ = try self.register()
        self.site.receive(request(.put, "obs", id: 2, body: "new"), from: Site.other)
        #expect(self.site.take(for: Site.secure).map(\.text) == ["new"])
    }

    @Test("TD_COAP_OBS_10: a plain GET with another token leaves the observation alone")
    func plainGet() throws {
        _ = try self.register()
        let answer = try #require(self.site.receive(request(.get, "obs", id: 2, token: "u"), from: Site.secure).first)
        #expect(answer.number(.observe) == nil)
        #expect(self.change("1")?.text == "1")
    }

    @Test("TD_COAP_OBS_11: acknowledgements are lost")
    func lossy() throws {
        _ = try self.register()
        let first = try #require(self.change("1"))
        self.site.pass(.seconds(3))
        #expect(self.site.take() == [first])
        self.acknowledge(first)
        let second = try #require(self.change("2"))
        self.acknowledge(second)
        self.acknowledge(second)
        self.site.pass(.seconds(100))
        #expect(self.site.take().isEmpty)
        #expect(self.site.server.observationCount == 1)
    }

    @Test("TD_COAP_OBS_12: GET with Observe 1 ends it")
    func deregister() throws {
        _ = try self.register()
        let message = request(.get, "obs", id: 2, [ObserveTests.deregister])
        let answer = try #require(self.site.receive(message, from: Site.secure).first)
        #expect(answer.code == .content && answer.number(.observe) == nil)
        #expect(self.site.takeEnded() == [.deregistered])
        #expect(self.change("1") == nil)
    }

    @Test("TD_COAP_OBS_13 and 14: a large value, that changes its size")
    func large() throws {
        let first = try self.register("obs-large")
        #expect(first.block(.block2)?.hasMore == true && first.number(.observe) != nil)
        let notification = try #require(self.change(PlugtestServer.large.uppercased() + "more", "obs-large"))
        #expect(notification.block(.block2)?.hasMore == true && notification.number(.observe) != nil)
        self.acknowledge(notification)
        let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, BlockTests.block(1, false, 6))]
        let rest = try #require(
            self.site.receive(request(.get, "obs-large", id: 3, token: "u", options), from: Site.secure).first
        )
        #expect(notification.text + rest.text == PlugtestServer.large.uppercased() + "more")
        #expect(rest.options.first(.eTag) == notification.options.first(.eTag))
        let small = try #require(self.change("small", "obs-large"))
        #expect(small.block(.block2) == nil && small.text == "small")
    }
}
