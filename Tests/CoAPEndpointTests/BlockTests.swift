import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Blocks (RFC 7959)")
struct BlockTests {
    private static let text = String((0..<2000).map { Character(UnicodeScalar(UInt8(0x61 + $0 % 26))) })

    /// Value bytes of a block option.
    static func block(_ number: UInt32, _ hasMore: Bool, _ exponent: UInt8) -> [UInt8] {
        let value = CoAPBlock(number: number, hasMore: hasMore, sizeExponent: exponent).value
        return value < 256 ? [UInt8(value)] : [UInt8(value >> 8), UInt8(value & 0xFF)]
    }

    /// Sends a body in blocks; the last answer.
    @discardableResult
    private func upload(
        _ body: String,
        to site: Site,
        exponent: UInt8 = 2,
        from peer: CoAPPeer = Site.secure,
        firstID: UInt16 = 100,
        tag: [UInt8]? = nil,
        _ more: [(CoAPOptionNumber, [UInt8])] = []
    ) -> CoAPMessage? {
        let size = 16 << Int(exponent)
        let count = max((body.utf8.count + size - 1) / size, 1)
        var last: CoAPMessage?
        for index in 0..<count {
            let part = String(body.dropFirst(index * size).prefix(size))
            var options = more + [(.block1, Self.block(UInt32(index), index < count - 1, exponent))]
            if let tag { options.append((.requestTag, tag)) }
            let id = firstID + UInt16(index)
            last = site.receive(request(.put, "large", id: id, options, body: part), from: peer).first
            guard last?.code == (index < count - 1 ? .continue : .changed) else { return last }
        }
        return last
    }

    private static func storing() -> Site {
        let site = Site()
        site.resource = { _ in response(.changed) }
        return site
    }

    @Test("a body comes whole, each block acknowledged by its number", arguments: [0, 2, 5] as [UInt8])
    func upload(exponent: UInt8) throws {
        let site = Self.storing()
        let last = try #require(self.upload(Self.text, to: site, exponent: exponent))
        #expect(last.code == .changed)
        let count = UInt32((2000 + (16 << Int(exponent)) - 1) / (16 << Int(exponent)))
        #expect(last.block(.block1) == CoAPBlock(number: count - 1, hasMore: false, sizeExponent: exponent))
        let requests = site.takeRequests()
        #expect(requests.map { String(buffer: $0.payload) } == [Self.text])
    }

    @Test("a block that comes again, as another message, is taken once")
    func blockAgain() {
        let site = Self.storing()
        func put(_ number: UInt32, _ hasMore: Bool, _ id: UInt16, _ body: Character) -> CoAPCode? {
            let message = request(
                .put,
                "l",
                id: id,
                [(.block1, Self.block(number, hasMore, 0))],
                body: String(repeating: body, count: 16)
            )
            return site.receive(message, from: Site.secure).first?.code
        }
        #expect(put(0, true, 1, "a") == .continue)
        #expect(put(1, true, 2, "b") == .continue)
        #expect(put(1, true, 3, "b") == .continue)
        #expect(put(2, false, 4, "c") == .changed)
        #expect(site.takeRequests().map(\.payload.readableBytes) == [48])
    }

    @Test("after a challenge the last block, with the Echo, is enough; all may come, too", arguments: [true, false])
    func challenged(isLastOnly: Bool) throws {
        let site = Site { $0.maxBodiesBytes = 64 }
        func put(_ number: UInt32, _ hasMore: Bool, _ id: UInt16, _ echo: [UInt8]? = nil) -> CoAPMessage? {
            var options: [(CoAPOptionNumber, [UInt8])] = [(.block1, Self.block(number, hasMore, 0))]
            if let echo { options.append((.echo, echo)) }
            let body = String(repeating: Character(UnicodeScalar(UInt8(0x61 + number))), count: 16)
            return site.receive(request(.put, "l", id: id, options, body: body), from: Site.other).first
        }
        #expect(put(0, true, 1)?.code == .continue)
        #expect(put(1, true, 2)?.code == .continue)
        #expect(put(2, false, 3) == nil)
        site.challenge(try #require(site.takeRequests().first).id)
        let challenge = try #require(site.take(for: Site.other).first)
        #expect(challenge.code == .unauthorized)
        let echo = Array(try #require(challenge.options.first(.echo)).readableBytesView)
        if !isLastOnly {
            #expect(put(0, true, 4, echo)?.code == .continue)
            #expect(put(1, true, 5, echo)?.code == .continue)
        }
        #expect(put(2, false, 6, echo) == nil)
        let whole = try #require(site.takeRequests().first)
        #expect(String(buffer: whole.payload) == ["a", "b", "c"].map { String(repeating: $0, count: 16) }.joined())
        #expect(whole.bringsEcho)
        #expect((whole.age == nil) == isLastOnly, "anybody could have sent the others")
        // Nothing is left of it, even if it is challenged once more.
        site.challenge(whole.id)
        _ = site.take()
        #expect(put(2, false, 7, echo)?.code == .requestEntityIncomplete)
    }

    @Test("a gap, a jump back and an end without a beginning are 4.08, a new beginning begins anew")
    func order() {
        let site = Self.storing()
        var id: UInt16 = 0
        func put(_ number: UInt32, _ hasMore: Bool) -> CoAPCode? {
            id += 1
            let message = request(
                .put,
                "l",
                id: id,
                [(.block1, Self.block(number, hasMore, 0))],
                body: String(repeating: "x", count: 16)
            )
            return site.receive(message, from: Site.secure).first?.code
        }
        #expect(put(1, true) == .requestEntityIncomplete)
        #expect(put(0, true) == .continue)
        #expect(put(2, true) == .requestEntityIncomplete)
        #expect(put(1, true) == .requestEntityIncomplete, "what was there is given up")
        #expect(put(0, true) == .continue)
        #expect(put(1, true) == .continue)
        #expect(put(0, true) == .continue)
        #expect(put(1, false) == .changed)
        #expect(site.takeRequests().map(\.payload.readableBytes) == [32])
    }

    @Test("too large a body is 4.13 with the size that would be taken: by Size1 at once, else when it is too much")
    func tooLarge() throws {
        let site = Site { $0.maxBodyBytes = 100 }
        site.resource = { _ in response(.changed) }
        let early = request(
            .put,
            "l",
            [(.size1, [101]), (.block1, Self.block(0, true, 0))],
            body: String(repeating: "x", count: 16)
        )
        let first = try #require(site.receive(early, from: Site.secure).first)
        #expect(first.code == .requestEntityTooLarge)
        #expect(first.number(.size1) == 100)
        let late = try #require(self.upload(Self.text, to: site))
        #expect(late.code == .requestEntityTooLarge)
        #expect(late.number(.size1) == 100)
        let whole = request(.put, "l", id: 9, body: String(repeating: "x", count: 101))
        #expect(site.receive(whole, from: Site.secure).map(\.code) == [.requestEntityTooLarge])
        #expect(site.takeRequests().isEmpty)
        #expect(self.upload(String(Self.text.prefix(100)), to: site, firstID: 300)?.code == .changed)
    }

    @Test("bodies of two Request-Tags, two peers, two paths don't mix (RFC 9175 §3)")
    func keys() {
        let site = Self.storing()
        let size = 16
        func put(_ number: UInt32, _ path: String, _ tag: UInt8, _ peer: CoAPPeer, _ letter: String, _ id: UInt16) {
            let options: [(CoAPOptionNumber, [UInt8])] = [
                (.block1, Self.block(number, number == 0, 0)), (.requestTag, [tag]),
            ]
            site.receive(
                request(.put, path, id: id, options, body: String(repeating: letter, count: size)),
                from: peer
            )
        }
        let other = CoAPPeer(ipv4: 9, port: 9, session: 9)
        for (number, id) in [(0, 10), (1, 20)] as [(UInt32, UInt16)] {
            put(number, "l", 1, Site.secure, "a", id)
            put(number, "l", 2, Site.secure, "b", id + 1)
            put(number, "l", 1, other, "c", id + 2)
            put(number, "m", 1, Site.secure, "d", id + 3)
        }
        let bodies = site.takeRequests().map { String(buffer: $0.payload) }
        #expect(bodies == ["a", "b", "c", "d"].map { String(repeating: $0, count: 32) })
    }

    @Test("bodies are bounded in number for each peer and in all, and in time")
    func bounds() {
        let site = Site {
            $0.maxBodiesPerPeer = 2
            $0.maxBodies = 5
            $0.bodyLifetime = .seconds(10)
        }
        site.resource = { _ in response(.changed) }
        func begin(_ tag: UInt8, _ peer: CoAPPeer) {
            let options: [(CoAPOptionNumber, [UInt8])] = [(.block1, Self.block(0, true, 0)), (.requestTag, [tag])]
            site.receive(
                request(.put, "l", id: UInt16(tag), options, body: String(repeating: "x", count: 16)),
                from: peer
            )
        }
        for tag in 0..<3 as Range<UInt8> { begin(tag, Site.secure) }
        #expect(site.server.counters.bodiesGivenUp == 1)
        for number in 1...10 as ClosedRange<UInt32> {
            begin(0, CoAPPeer(ipv4: number, port: 1))
            site.pass(.milliseconds(1))
        }
        #expect(site.server.counters.bodiesGivenUp == 8, "made-up addresses push each other out")
        let end = request(.put, "l", id: 50, [(.block1, Self.block(1, false, 0)), (.requestTag, [2])], body: "end")
        #expect(site.receive(end, from: Site.secure).map(\.code) == [.changed], "and not the one that is proven")
        site.pass(.seconds(10))
        #expect(site.server.counters.bodiesGivenUp == 12)
        #expect(site.server.nextDeadline == nil)
    }

    @Test("the bytes of all bodies are bounded")
    func bytes() {
        let site = Site {
            $0.maxBodiesBytes = 4096
            $0.maxBodiesPerPeer = 100
        }
        site.resource = { _ in response(.changed) }
        for tag in 0..<10 as Range<UInt8> {
            let options: [(CoAPOptionNumber, [UInt8])] = [(.block1, Self.block(0, true, 6)), (.requestTag, [tag])]
            let message = request(
                .put,
                "l",
                id: UInt16(tag),
                options,
                body: String(repeating: "x", count: 1024)
            )
            #expect(site.receive(message, from: Site.secure).map(\.code) == [.continue])
        }
        #expect(site.server.counters.bodiesGivenUp == 6)
    }

    // MARK: Responses

    /// Fetches all blocks from `first` on; the body.
    private func download(
        _ site: Site,
        first: CoAPMessage?,
        method: CoAPCode = .get,
        id: UInt16 = 500
    ) throws -> String {
        var message = try #require(first)
        var body = message.text
        var id = id
        while let block = message.block(.block2), block.hasMore {
            id += 1
            let offset = body.utf8.count
            let next = CoAPBlock(
                number: UInt32(offset / block.size),
                hasMore: false,
                sizeExponent: block.sizeExponent
            )
            let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, Self.block(next.number, false, next.sizeExponent))]
            message = try #require(site.receive(request(method, "large", id: id, options), from: Site.secure).first)
            #expect(message.block(.block2)?.number == next.number)
            #expect(message.options.first(.eTag) != nil)
            body += message.text
        }
        return body
    }

    private static func serving(_ change: (inout CoAPServerConfiguration) -> Void = { _ in }) -> Site {
        let site = Site(change)
        site.resource = { _ in response(.content, Self.text) }
        return site
    }

    @Test("a large representation comes in blocks of the server's size, or of the client's, if that is smaller")
    func download() throws {
        for (limit, asked, size) in [(6, nil, 1024), (6, 2, 64), (3, 6, 128), (4, nil, 256)] as [(UInt8, UInt8?, Int)] {
            let site = Self.serving { $0.blockSizeExponent = limit }
            let options = asked.map { [(CoAPOptionNumber.block2, Self.block(0, false, $0))] } ?? []
            let first = try #require(site.receive(request(.get, "large", options), from: Site.secure).first)
            #expect(first.block(.block2)?.size == size)
            #expect(first.payload.readableBytes == size)
            #expect(try self.download(site, first: first) == Self.text)
        }
    }

    @Test("the blocks of one representation have one ETag, those of another have another")
    func eTags() throws {
        let site = Self.serving()
        let first = try #require(site.receive(request(.get, "large"), from: Site.secure).first?.options.first(.eTag))
        let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, Self.block(1, false, 6))]
        let second = try #require(site.receive(request(.get, "large", id: 2, options), from: Site.secure).first)
        #expect(second.options.first(.eTag).map { Array($0.readableBytesView) } == Array(first.readableBytesView))
        site.resource = { _ in response(.content, Self.text + "!") }
        let changed = try #require(site.receive(request(.get, "large", id: 3, options), from: Site.secure).first)
        #expect(changed.options.first(.eTag).map { Array($0.readableBytesView) } != Array(first.readableBytesView))
    }

    @Test("Size2 is told to who asks (RFC 7959 §4)")
    func size2() throws {
        let site = Self.serving()
        let asked = try #require(site.receive(request(.get, "large", [(.size2, [])]), from: Site.secure).first)
        #expect(asked.number(.size2) == 2000)
        let not = try #require(site.receive(request(.get, "large", id: 2), from: Site.secure).first)
        #expect(not.number(.size2) == nil)
    }

    @Test("the large response to a POST is kept for its later blocks: the POST is carried out once")
    func postResponse() throws {
        let site = Self.serving()
        let first = try #require(site.receive(request(.post, "large", body: "in"), from: Site.secure).first)
        #expect(try self.download(site, first: first, method: .post) == Self.text)
        #expect(site.takeRequests().count == 1)
        // Later blocks of a response that there is not.
        let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, Self.block(1, false, 6))]
        #expect(site.receive(request(.post, "other", id: 9, options)).map(\.code) == [.requestEntityIncomplete])
        site.pass(.seconds(100))
        let late = site.receive(request(.post, "large", id: 10, options), from: Site.secure)
        #expect(late.map(\.code) == [.requestEntityIncomplete])
        #expect(site.takeRequests().isEmpty)
    }

    @Test("blocks both ways: the response to an uploaded body comes in blocks")
    func bothWays() throws {
        let site = Site()
        site.resource = { response(.changed, String(buffer: $0.payload).uppercased()) }
        let first = self.upload(Self.text, to: site)
        #expect(first?.block(.block1) != nil)
        #expect(first?.block(.block2)?.hasMore == true)
        #expect(try self.download(site, first: first, method: .put) == Self.text.uppercased())
        #expect(site.takeRequests().count == 1)
    }
}
