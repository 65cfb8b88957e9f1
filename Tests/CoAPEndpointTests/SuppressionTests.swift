import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Groups and No-Response")
struct SuppressionTests {
    private static func answering(_ code: CoAPCode) -> Site {
        let site = Site()
        site.resource = { _ in response(code) }
        return site
    }

    @Test("No-Response: unwanted classes stay unsaid, a CON is acknowledged all the same (RFC 7967)")
    func noResponse() {
        let cases: [(value: UInt8, code: CoAPCode, isSent: Bool)] = [
            (2, .changed, false), (2, .notFound, true), (8, .notFound, false), (8, .changed, true),
            (16, .serviceUnavailable, false), (26, .changed, false), (26, .notFound, false), (0, .changed, true),
        ]
        for (value, code, isSent) in cases {
            let site = Self.answering(code)
            let option: (CoAPOptionNumber, [UInt8]) = (.noResponse, value == 0 ? [] : [value])
            let confirmable = request(.post, "a", [option])
            let expected = isSent ? code : .empty
            #expect(site.receive(confirmable).map(\.code) == [expected])
            #expect(site.receive(confirmable).map(\.code) == [expected], "came again")
            let answers = site.receive(request(.post, "a", type: .nonConfirmable, id: 2, [option]))
            #expect(answers.map(\.code) == (isSent ? [code] : []))
        }
    }

    @Test("No-Response does not swallow what a block transfer needs")
    func noResponseInBlocks() {
        let site = Self.answering(.changed)
        let option: (CoAPOptionNumber, [UInt8]) = (.noResponse, [2])
        let part = String(repeating: "x", count: 16)
        let first = request(.post, "a", id: 1, [option, (.block1, BlockTests.block(0, true, 0))], body: part)
        #expect(site.receive(first).map(\.code) == [.continue])
        let last = request(.post, "a", id: 2, [option, (.block1, BlockTests.block(1, false, 0))], body: part)
        #expect(site.receive(last).map(\.code) == [.empty])
    }

    @Test("a group is answered by NON, spread over the leisure, and never with an error")
    func multicast() throws {
        let site = Self.answering(.content)
        var waits: Set<Int64> = []
        for number in 0..<50 as Range<UInt32> {
            let begin = site.now
            let peer = CoAPPeer(ipv4: number, port: 1)
            let message = request(.get, ".well-known/core", type: .nonConfirmable)
            #expect(site.receive(message, from: peer, multicast: true).isEmpty)
            let answer = try #require(site.passToDeadline().first)
            #expect(answer.type == .nonConfirmable)
            #expect(answer.token == token("t"))
            #expect(site.now - begin <= .seconds(5))
            waits.insert((site.now - begin).nanoseconds / 1_000_000)
        }
        #expect(waits.count > 40)
        let failing = Self.answering(.notFound)
        failing.receive(request(.get, "x", type: .nonConfirmable), multicast: true)
        failing.pass(.seconds(10))
        #expect(failing.take().isEmpty)
        // Unless it is asked for (RFC 7967 §2.1).
        failing.receive(request(.get, "x", type: .nonConfirmable, id: 2, [(.noResponse, [])]), multicast: true)
        failing.pass(.seconds(10))
        #expect(failing.take().map(\.code) == [.notFound])
    }

    @Test("a CON to a group is passed over, and so is a ping (RFC 7252 §8.1)")
    func confirmableMulticast() {
        let site = Self.answering(.content)
        site.receive(request(.get, "x"), multicast: true)
        site.receive(empty(.confirmable, 1), multicast: true)
        site.pass(.seconds(10))
        #expect(site.take().isEmpty)
        #expect(site.takeRequests().isEmpty)
    }
}
