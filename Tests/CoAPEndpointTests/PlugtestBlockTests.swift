import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

/// The ETSI plugtest cases of RFC 7959 that concern a server.
@Suite("TD_COAP_BLOCK")
struct PlugtestBlockTests {
    private let site = Site()
    private let server = PlugtestServer()

    init() { self.server.attach(to: self.site) }

    private func get(_ path: String, exponent: UInt8?) throws -> String {
        var body = ""
        for number in 0..<100 as Range<UInt32> {
            var options: [(CoAPOptionNumber, [UInt8])] = []
            if number > 0 || exponent != nil { options = [(.block2, BlockTests.block(number, false, exponent ?? 6))] }
            let message = request(.get, path, id: UInt16(number) + 10, options)
            let answer = try #require(self.site.receive(message, from: Site.secure).first)
            let block = try #require(answer.block(.block2))
            #expect(block.number == number)
            body += answer.text
            if !block.hasMore { return body }
        }
        return body
    }

    private func send(_ method: CoAPCode, _ path: String, _ body: String, exponent: UInt8 = 6) throws -> CoAPMessage {
        let size = 16 << Int(exponent)
        for number in 0... {
            let hasMore = (number + 1) * size < body.utf8.count
            let options: [(CoAPOptionNumber, [UInt8])] = [
                (.block1, BlockTests.block(UInt32(number), hasMore, exponent))
            ]
            let part = String(body.dropFirst(number * size).prefix(size))
            let message = request(method, path, id: UInt16(number) + 200, options, body: part)
            let answer = try #require(self.site.receive(message, from: Site.secure).first)
            #expect(answer.block(.block1)?.number == UInt32(number))
            if !hasMore { return answer }
            #expect(answer.code == .continue)
        }
        return empty(.reset, 0)
    }

    @Test("TD_COAP_BLOCK_01: GET, the client begins with a size")
    func getEarly() throws { #expect(try self.get("large", exponent: 2) == PlugtestServer.large) }

    @Test("TD_COAP_BLOCK_02: GET, the server begins with its size")
    func getLate() throws { #expect(try self.get("large", exponent: nil) == PlugtestServer.large) }

    @Test("TD_COAP_BLOCK_03: PUT")
    func put() throws {
        #expect(try self.send(.put, "large-update", PlugtestServer.large).code == .changed)
        #expect(try self.get("large-update", exponent: 6) == PlugtestServer.large)
    }

    @Test("TD_COAP_BLOCK_04: POST that creates")
    func post() throws {
        #expect(try self.send(.post, "large-create", PlugtestServer.large).code == .created)
        #expect(try self.get("large-create", exponent: 6) == PlugtestServer.large)
    }

    @Test("TD_COAP_BLOCK_05: POST with blocks both ways")
    func bothWays() throws {
        var answer = try self.send(.post, "large-post", PlugtestServer.large)
        var body = answer.text
        for number in 1..<10 as Range<UInt32> where answer.block(.block2)?.hasMore == true {
            let options: [(CoAPOptionNumber, [UInt8])] = [(.block2, BlockTests.block(number, false, 6))]
            answer = try #require(
                self.site.receive(request(.post, "large-post", id: UInt16(number), options), from: Site.secure).first
            )
            body += answer.text
        }
        #expect(body == PlugtestServer.large.uppercased())
    }

    @Test("TD_COAP_BLOCK_06: GET in blocks of 16 bytes")
    func smallest() throws { #expect(try self.get("large", exponent: 0) == PlugtestServer.large) }
}
