import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// A body is as fresh as its oldest block: whoever writes a node's address on one of them must not ride on the node's others.
@Suite("Bodies that have to be fresh (RFC 9175)")
struct FreshBlocksTests {
    private let site = Site()

    private func put(
        _ number: UInt32,
        _ hasMore: Bool,
        id: UInt16,
        _ letter: String,
        _ echo: [UInt8]? = nil,
        from peer: CoAPPeer = Site.node
    ) -> CoAPMessage? {
        var options: [(CoAPOptionNumber, [UInt8])] = [(.block1, BlockTests.block(number, hasMore, 0))]
        if let echo { options.append((.echo, echo)) }
        let body = String(repeating: letter, count: 16)
        return self.site.receive(request(.put, "l", id: id, options, body: body), from: peer).first
    }

    private func echo(of message: CoAPMessage?) throws -> [UInt8] {
        let message = try #require(message)
        #expect(message.code == .unauthorized)
        return Array(try #require(message.options.first(.echo)).readableBytesView)
    }

    /// A value for the node, of now.
    private func anEcho(id: UInt16 = 1) throws -> [UInt8] {
        self.site.receive(request(.post, "a", id: id))
        self.site.challenge(try #require(self.site.takeRequests().first).id)
        return try self.echo(of: self.site.take().first)
    }

    /// Blocks in the order in which they come; those with `!` have an Echo value.
    @Test(
        "one block without an Echo value leaves the body without an age",
        arguments: [
            ("0! 1! 2!", true), ("0 1! 2!", false), ("0! 1 2!", false), ("0! 1! 2", false), ("0! 0 1! 2!", false),
            ("0 0! 1! 2!", true), ("0! 1! 1 2!", true),
        ]
    )
    func mixed(blocks: String, hasAge: Bool) throws {
        let echo = try self.anEcho()
        for (id, block) in zip(UInt16(10)..., blocks.split(separator: " ")) {
            let number = try #require(UInt32(block.prefix(1)))
            let isFresh = block.hasSuffix("!")
            _ = self.put(number, number < 2, id: id, isFresh ? "a" : "e", isFresh ? echo : nil)
        }
        let whole = try #require(self.site.takeRequests().first)
        #expect((whole.age != nil) == hasAge)
        if hasAge { #expect(String(buffer: whole.payload) == String(repeating: "a", count: 48)) }
    }

    @Test("its age is the most that one of its blocks had when it came")
    func age() throws {
        let echo = try self.anEcho()
        self.site.pass(.seconds(20))
        #expect(self.put(0, true, id: 10, "a", echo)?.code == .continue)
        let second = try self.anEcho(id: 2)
        self.site.pass(.seconds(15))
        #expect(self.put(1, false, id: 11, "b", second) == nil)
        let whole = try #require(self.site.takeRequests().first)
        #expect(try #require(whole.age) >= .seconds(20) && whole.age.map { $0 < .seconds(21) } == true)
    }

    @Test("each block is challenged where the owner asks for that; a forged one changes nothing of what is there")
    func eachBlock() throws {
        var asked: [(number: UInt32?, bytes: Int)] = []
        self.site.server.needsEcho = { request in
            guard request.age == nil else { return false }
            asked.append((request.read.block1?.number, request.payload.readableBytes))
            return true
        }
        // As libcoap does it: each again with the value that it got for it.
        for number in 0..<3 as Range<UInt32> {
            let id = UInt16(number) * 10 + 10
            let echo = try self.echo(of: self.put(number, number < 2, id: id, "a"))
            // Others in between, of any kind.
            let forged: [(UInt32, Bool)] = [
                (0, true), (0, false), (number, number < 2), (number, number == 2), (7, true),
            ]
            for (other, block) in zip((id * 100)..., forged) {
                #expect(self.put(block.0, block.1, id: other, "e")?.code == .unauthorized)
            }
            #expect(self.put(number, number < 2, id: id + 1, "a", echo)?.code == (number < 2 ? .continue : nil))
        }
        let whole = try #require(self.site.takeRequests().first)
        #expect(String(buffer: whole.payload) == String(repeating: "a", count: 48))
        #expect(whole.age != nil)
        #expect(asked.first.map { $0 == (0, 16) } == true)
        #expect(self.site.server.counters.bodiesGivenUp == 0)
    }

    @Test("who has shown a key is not asked, nor who sends no blocks")
    func notAsked() throws {
        self.site.server.needsEcho = { _ in true }
        #expect(self.site.receive(request(.put, "l", id: 1)).isEmpty)
        #expect(self.put(0, true, id: 2, "a", from: Site.secure)?.code == .continue)
        #expect(self.site.takeRequests().count == 1)
    }
}
