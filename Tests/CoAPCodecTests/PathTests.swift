import CoAPCodec
import NIOCore
import Testing

@Suite("Paths and topics")
struct PathTests {
    /// Segments in the notation of the tables, and the topic.
    static let topics: [(segments: [String], topic: String)] = [
        (["'ps'", "'nodes'", "'kitchen'", "'temp'"], "ps/nodes/kitchen/temp"),
        (["", "'ps'", "'t'"], "ps/t"), (["'ps'", "", "'t'", ""], "ps/t"), ([], ""), ([""], ""), (["'...'"], "..."),
        (["C3BC"], "ü"), (["F09F8CA1"], "🌡"), (["'a b'", "'%2F'"], "a b/%2F"), (["EFBBBF 'a'"], "\u{FEFF}a"),
    ]

    @Test("segments are joined, empty ones dropped", arguments: topics.indices)
    func joins(index: Int) throws {
        let (segments, topic) = Self.topics[index]
        var list = options((.uriHost, "'10.0.0.1'"), (.uriQuery, "'x=1'"))
        for segment in segments { list.append(.uriPath, wire(segment)) }
        let joined = try CoAPPath.topic(of: list)
        #expect(Array(joined.readableBytesView) == Array(topic.utf8))
    }

    static let refused: [(segments: [String], error: CoAPPathError)] = [
        (["'ps'", "'a/b'"], .slash), (["'/'"], .slash), (["'ps'", "'a' 00"], .nullCharacter), (["00"], .nullCharacter),
        (["'+'"], .wildcard), (["'ps'", "'#'"], .wildcard), (["'a#'"], .wildcard), (["'.'"], .dotSegment),
        (["'ps'", "'..'", "'x'"], .dotSegment), (["FF"], .illFormedUTF8), (["C0AF"], .illFormedUTF8),
        (["EDA080"], .illFormedUTF8), (["F4908080"], .illFormedUTF8), (["C3"], .illFormedUTF8),
        (["'a' 80"], .illFormedUTF8), (["E28280", "F09F8C"], .illFormedUTF8),
    ]

    @Test("segments that no topic may have, or that would be several, are refused", arguments: refused.indices)
    func refuses(index: Int) {
        let (segments, error) = Self.refused[index]
        var list = CoAPOptions()
        for segment in segments { list.append(.uriPath, wire(segment)) }
        #expect(throws: error) { try CoAPPath.topic(of: list) }
    }

    @Test("a topic over the limit is refused, one of just so many bytes is not")
    func limit() throws {
        let list = options((.uriPath, "'abc'"), (.uriPath, "'de'"))
        let whole = try CoAPPath.topic(of: list, maxBytes: 6)
        #expect(whole.readableBytes == 6)
        #expect(throws: CoAPPathError.tooLong(limit: 5)) { try CoAPPath.topic(of: list, maxBytes: 5) }
        #expect(throws: CoAPPathError.tooLong(limit: 2)) { try CoAPPath.topic(of: list, maxBytes: 2) }
    }

    @Test("topics are written as segments and read again", arguments: ["a", "a/b/c", "ü/x", "nodes/kitchen/temp"])
    func back(topic: String) throws {
        var list = CoAPOptions()
        try CoAPPath.append(ByteBuffer(string: topic), to: &list)
        let joined = try CoAPPath.topic(of: list)
        #expect(String(buffer: joined) == topic)
        var location = CoAPOptions()
        try CoAPPath.append(ByteBuffer(string: topic), to: &location, as: .locationPath)
        #expect(location.values(.locationPath).count == list.values(.uriPath).count)
    }

    @Test("topics that no path can be are refused", arguments: ["", "a//b", "/a", "a/", "a/../b", "."])
    func notAPath(topic: String) {
        var list = CoAPOptions()
        #expect(throws: CoAPPathError.notASegment) { try CoAPPath.append(ByteBuffer(string: topic), to: &list) }
    }

    @Test("a level of 255 bytes is a segment, one of 256 is not")
    func longLevels() throws {
        var list = CoAPOptions()
        try CoAPPath.append(ByteBuffer(repeating: 0x61, count: 255), to: &list)
        #expect(throws: CoAPPathError.notASegment) {
            try CoAPPath.append(ByteBuffer(repeating: 0x61, count: 256), to: &list)
        }
    }

    @Test("parts of a query are found by name")
    func queries() {
        let list = options((.uriQuery, "'sid=a=b'"), (.uriQuery, "'obs'"), (.uriQuery, "'sid=c'"), (.uriQuery, "'x='"))
        #expect(CoAPQuery.value("sid", in: list).map { String(buffer: $0) } == "a=b")
        #expect(CoAPQuery.value("obs", in: list)?.readableBytes == 0)
        #expect(CoAPQuery.value("x", in: list)?.readableBytes == 0)
        #expect(CoAPQuery.value("si", in: list) == nil)
        #expect(CoAPQuery.value("sid=a", in: list) == nil)
    }
}
