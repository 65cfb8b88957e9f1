import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

/// What small nodes really send, byte for byte, and what they need back.
@Suite("Quirks of small nodes")
struct QuirkyNodesTests {
    /// A gateway that publishes what is posted, and remembers topics and values.
    private final class Gateway {
        let site = Site()
        private(set) var published: [String] = []

        init() {
            self.site.resource = { [weak self] request in
                guard let topic = try? CoAPPath.topic(of: request.options) else { return response(.badRequest) }
                let format = request.read.contentFormat?.rawValue
                self?.published.append(
                    "\(String(buffer: topic))=\(String(buffer: request.payload)) \(format.map { "\($0)" } ?? "-")"
                )
                return response(.changed)
            }
        }

        /// The answer's bytes in hex.
        func send(_ hex: String, from peer: CoAPPeer = Site.node) -> [String] {
            self.site.feed(ByteBuffer(bytes: hexBytes(hex)), from: peer)
            return self.site.takeBytes().map { hexText(Array($0.readableBytesView)) }
        }
    }

    @Test(
        "CoAP-simple-library: no token, Uri-Host an address, an empty segment, Content-Format in two bytes, port 5683"
    )
    func coapSimple() {
        let gateway = Gateway()
        // PUT coap://192.168.1.9//ps/t, text/plain as 0000, "21.5"; Message ID of an unseeded rand().
        let put = "40035a5a 3b3139322e3136382e312e39 80 027073 0174 12 0000 ff 32312e35"
        #expect(gateway.send(put) == ["60445a5a"], "an ACK with the response inside: nothing else is understood")
        // The next boot: the same Message ID, another value.
        let next = put.replacing("32312e35", with: "32312e36")
        #expect(gateway.send(next) == ["60445a5a"])
        #expect(gateway.published == ["ps/t=21.5 0", "ps/t=21.6 0"])
        // It takes no answer of more than 128 bytes, and none that is not an ACK.
        #expect(gateway.send("40015a5b b27073 03616161").first?.hasPrefix("60") == true)
    }

    @Test("NodeMCU: token node, Message IDs from 0 after each boot, four repetitions")
    func nodeMCU() {
        let gateway = Gateway()
        for boot in 0..<3 {
            for reading in 0..<3 {
                let id = String(reading, radix: 16)
                let post = "4402000\(id) 6e6f6465 b27073 0174 ff 3\(boot)2e3\(reading)"
                for _ in 0..<4 { #expect(gateway.send(post) == ["6444000\(id)6e6f6465"]) }
            }
        }
        let expected = (0..<3).flatMap { boot in (0..<3).map { "ps/t=\(boot).\($0) -" } }
        #expect(gateway.published == expected)
    }

    @Test("microCoAPy: Message IDs at random, empty token, NON")
    func microCoAPy() {
        let gateway = Gateway()
        for id in ["9f3a", "0001", "ffff", "9f3b"] {
            let answers = gateway.send("5002\(id) b27073 0174 ff 31")
            #expect(answers.count == 1 && answers.first?.hasPrefix("5044") == true)
        }
        #expect(gateway.published.count == 4)
    }

    @Test("several nodes behind one address, each with its port, and a node whose port changes")
    func ports() {
        let gateway = Gateway()
        let post = "44020000 6e6f6465 b27073 0174 ff 31"
        for port in 40_000..<40_010 as Range<UInt16> {
            #expect(gateway.send(post, from: CoAPPeer(ipv4: 1, port: port)) == ["644400006e6f6465"])
        }
        #expect(gateway.published.count == 10)
    }

    @Test("a libcoap client's POST: Uri-Port, Uri-Host by name, a Request-Tag, Size1")
    func libcoap() {
        let gateway = Gateway()
        var options = CoAPOptions()
        options.append(.uriHost, "gw")
        options.append(.uriPort, uint: 5683 as UInt16)
        options.append(.uriPath, "ps")
        options.append(.uriPath, "t")
        options.append(.contentFormat, uint: 50 as UInt8)
        options.append(.block1, uint: 0x06 as UInt8)
        options.append(.size1, uint: 2 as UInt8)
        options.append(.requestTag, "tag-six")
        let built = CoAPMessage(
            type: .confirmable,
            code: .post,
            messageID: 0xA1B2,
            token: token("1"),
            options: options,
            payload: ByteBuffer(string: "{}")
        )
        let answers = gateway.send(hexText(Array(built.encoded().readableBytesView)))
        #expect(answers.first?.hasPrefix("6144a1b231") == true)
        #expect(gateway.published == ["ps/t={} 50"])
    }
}
