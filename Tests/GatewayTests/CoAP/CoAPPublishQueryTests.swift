import CoAPCodec
import MQTTCodec
import NIOCore
import Testing

@testable import Gateway

@Suite("Query of a request that publishes")
struct CoAPPublishQueryTests {
    private func read(_ parts: [String]) -> CoAPPublishQuery {
        var options = CoAPOptions()
        for part in parts { options.append(.uriQuery, part) }
        return CoAPPublishQuery(options)
    }

    @Test("says nothing: at least once, not retained, of nobody")
    func empty() {
        let query = self.read([])
        #expect(query.qos == .atLeastOnce)
        #expect(!query.retain && !query.wantsSessionID)
        #expect(query.lifetime == nil && query.claimed == nil && query.commandSessionID == nil && query.problem == nil)
    }

    @Test("takes every part that it knows, and passes over all others")
    func all() {
        let query = self.read([
            "retain", "qos=0", "ttl=60", "d=kitchen", "sid=0011", "csid=abc", "x=1", "v", "retainx=9",
        ])
        #expect(query.qos == .atMostOnce)
        #expect(query.retain && query.wantsSessionID)
        #expect(query.lifetime == 60)
        #expect(query.claimed == "kitchen")
        #expect(query.commandSessionID == ByteBuffer(string: "abc"))
        #expect(query.problem == nil)
    }

    @Test(
        "words of retain",
        arguments: [("retain=1", true), ("retain=true", true), ("retain=0", false), ("retain=false", false)]
    )
    func retain(part: String, expected: Bool) {
        #expect(self.read([part]).retain == expected)
    }

    @Test(
        "what can't be read is a problem",
        arguments: [
            "qos=2", "qos=", "qos", "qos=01x", "ttl=", "ttl=-1", "ttl=1.5", "ttl=99999999999", "ttl=999999999",
            "retain=yes",
            "retain=",
        ]
    )
    func problems(part: String) {
        #expect(self.read([part]).problem != nil)
    }

    @Test("bytes that are no text change nothing")
    func hostile() {
        var options = CoAPOptions()
        for bytes: [UInt8] in [[], [0x3D], [0xFF], [0x64, 0x3D, 0xFF], [0x00], Array(repeating: 0x3D, count: 255)] {
            options.append(.uriQuery, ByteBuffer(bytes: bytes))
        }
        let query = CoAPPublishQuery(options)
        #expect(query.problem == nil)
        #expect(query.claimed == "\u{FFFD}")
    }
}
