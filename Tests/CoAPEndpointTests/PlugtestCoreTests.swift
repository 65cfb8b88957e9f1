import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// The ETSI plugtest cases of RFC 7252 that concern a server, at a small one with the resources of the guide.
@Suite("TD_COAP_CORE")
struct PlugtestCoreTests {
    private let site = Site()
    private let server = PlugtestServer()

    init() { self.server.attach(to: self.site) }

    private func ask(_ message: CoAPMessage) throws -> CoAPMessage {
        let answers = self.site.receive(message)
        #expect(answers.count == 1)
        return try #require(answers.first)
    }

    @Test("TD_COAP_CORE_01 to 04: GET, PUT, POST and DELETE, confirmable")
    func confirmable() throws {
        let cases: [(CoAPCode, CoAPCode)] = [
            (.get, .content), (.put, .changed), (.post, .created), (.delete, .deleted),
        ]
        for (index, (method, code)) in cases.enumerated() {
            let answer = try self.ask(request(method, "test", id: UInt16(index), body: "x"))
            #expect(answer.type == .acknowledgement && answer.code == code && answer.messageID == UInt16(index))
            #expect(answer.token == token("t"))
        }
    }

    @Test("TD_COAP_CORE_05 to 08: the same, not confirmable")
    func nonConfirmable() throws {
        let cases: [(CoAPCode, CoAPCode)] = [
            (.get, .content), (.put, .changed), (.post, .created), (.delete, .deleted),
        ]
        for (index, (method, code)) in cases.enumerated() {
            let answer = try self.ask(request(method, "test", type: .nonConfirmable, id: UInt16(index), body: "x"))
            #expect(answer.type == .nonConfirmable && answer.code == code)
            #expect(answer.token == token("t"))
        }
    }

    @Test("TD_COAP_CORE_09 and 11: a separate response, with its token")
    func separate() throws {
        #expect(self.site.receive(request(.get, "separate", token: "12345678")).isEmpty)
        self.site.pass(.seconds(1))
        #expect(self.site.take() == [empty(.acknowledgement, 1)])
        self.server.finishSeparate(self.site)
        let late = try #require(self.site.take().first)
        #expect(late.type == .confirmable && late.code == .content && late.token == token("12345678"))
        self.site.receive(empty(.acknowledgement, late.messageID))
        self.site.pass(.seconds(100))
        #expect(self.site.take().isEmpty)
    }

    @Test("TD_COAP_CORE_10 and 12: tokens of one to eight bytes, and none")
    func tokens() throws {
        for (index, text) in ["", "1", "1234567", "12345678"].enumerated() {
            let answer = try self.ask(request(.get, "test", id: UInt16(index), token: text))
            #expect(answer.code == .content && answer.token == token(text))
        }
    }

    @Test("TD_COAP_CORE_13: several Uri-Path options")
    func path() throws {
        #expect(try self.ask(request(.get, "seg1/seg2/seg3")).text == "segments")
        #expect(try self.ask(request(.get, "seg1/seg2", id: 2)).code == .notFound)
    }

    @Test("TD_COAP_CORE_14: several Uri-Query options")
    func query() throws {
        let queries = ["first=1", "second=2"].map { (CoAPOptionNumber.uriQuery, Array($0.utf8)) }
        #expect(try self.ask(request(.get, "query", queries)).text == "first=1&second=2")
    }

    @Test("TD_COAP_CORE_15: the piggybacked response is lost")
    func lossyPiggyback() throws {
        let message = request(.post, "test", body: "x")
        let first = try self.ask(message)
        self.site.pass(.seconds(2))
        #expect(try self.ask(message) == first)
        #expect(self.server.posts == 1)
    }

    @Test("TD_COAP_CORE_16: the acknowledgement and the separate response are lost")
    func lossySeparate() throws {
        let message = request(.get, "separate")
        #expect(self.site.receive(message).isEmpty)
        self.site.pass(.milliseconds(500))
        #expect(self.site.take() == [empty(.acknowledgement, 1)])
        #expect(self.site.receive(message) == [empty(.acknowledgement, 1)])
        self.server.finishSeparate(self.site)
        let late = try #require(self.site.take().first)
        #expect(self.site.receive(message) == [empty(.acknowledgement, 1)])
        self.site.pass(.seconds(3))
        #expect(self.site.take() == [late])
        self.site.receive(empty(.acknowledgement, late.messageID))
        self.site.pass(.seconds(100))
        #expect(self.site.take().isEmpty)
    }

    @Test("TD_COAP_CORE_17: a separate response to a NON")
    func separateNonConfirmable() throws {
        #expect(self.site.receive(request(.get, "separate", type: .nonConfirmable)).isEmpty)
        self.site.pass(.seconds(10))
        #expect(self.site.take().isEmpty, "a NON is not acknowledged")
        self.server.finishSeparate(self.site)
        #expect(self.site.take().map(\.type) == [.nonConfirmable])
    }

    @Test("TD_COAP_CORE_18 and 19: Location-Path and Location-Query of what was made")
    func location() throws {
        let answer = try self.ask(request(.post, "location", body: "x"))
        #expect(answer.code == .created)
        #expect(answer.options.values(.locationPath).map { String(buffer: $0) } == ["location1", "location2"])
        #expect(answer.options.values(.locationQuery).map { String(buffer: $0) } == ["first=1"])
    }

    @Test("TD_COAP_CORE_20: Accept chooses the format, and one that is not there is 4.06")
    func accept() throws {
        let text = try self.ask(request(.get, "multi-format", [(.accept, [])]))
        #expect(text.number(.contentFormat) == 0)
        let xml = try self.ask(request(.get, "multi-format", id: 2, [(.accept, [41])]))
        #expect(xml.number(.contentFormat) == 41)
        #expect(try self.ask(request(.get, "multi-format", id: 3, [(.accept, [0xFD, 0xE8])])).code == .notAcceptable)
    }

    @Test("TD_COAP_CORE_21: ETag, 2.03 while nothing has changed")
    func eTag() throws {
        let first = try self.ask(request(.get, "validate"))
        let eTag = Array(try #require(first.options.first(.eTag)).readableBytesView)
        let second = try self.ask(request(.get, "validate", id: 2, [(.eTag, [9, 9]), (.eTag, eTag)]))
        #expect(second.code == .valid)
        #expect(second.payload.readableBytes == 0)
        #expect(second.options.first(.eTag).map { Array($0.readableBytesView) } == eTag)
        #expect(second.options.first(.contentFormat) == nil)
        _ = try self.ask(request(.put, "validate", id: 3, body: "new"))
        #expect(try self.ask(request(.get, "validate", id: 4, [(.eTag, eTag)])).text == "new")
    }

    @Test("TD_COAP_CORE_22: If-Match, 4.12 when it has changed")
    func ifMatch() throws {
        let eTag = Array(try #require(try self.ask(request(.get, "validate")).options.first(.eTag)).readableBytesView)
        #expect(try self.ask(request(.put, "validate", id: 2, [(.ifMatch, eTag)], body: "a")).code == .changed)
        #expect(
            try self.ask(request(.put, "validate", id: 3, [(.ifMatch, eTag)], body: "b")).code == .preconditionFailed
        )
        #expect(try self.ask(request(.put, "validate", id: 4, [(.ifMatch, [])], body: "c")).code == .changed)
        #expect(try self.ask(request(.put, "create1", id: 5, [(.ifMatch, [])], body: "c")).code == .preconditionFailed)
    }

    @Test("TD_COAP_CORE_23: If-None-Match, 4.12 when it is there already")
    func ifNoneMatch() throws {
        #expect(try self.ask(request(.put, "create1", [(.ifNoneMatch, [])], body: "a")).code == .created)
        #expect(
            try self.ask(request(.put, "create1", id: 2, [(.ifNoneMatch, [])], body: "b")).code == .preconditionFailed
        )
    }

    @Test("TD_COAP_CORE_31: ping")
    func ping() throws {
        #expect(try self.ask(empty(.confirmable, 77)) == empty(.reset, 77))
    }
}
