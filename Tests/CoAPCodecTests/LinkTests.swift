import CoAPCodec
import NIOCore
import Testing

@Suite("Link format (RFC 6690)")
struct LinkTests {
    static let links = [
        CoRELink(path: "/ps", [.init("rt", "core.ps"), .init("ct", "0 40"), .init("obs")]),
        CoRELink(path: "/time", [.init("rt", "clock utc"), .init("if", "sensor"), .init("sz", "20")]),
        CoRELink(path: "/nodes/a b/ü\"<", [.init("title", "says \"hi\" \\"), .init("ct", "50")]),
    ]

    @Test("links are written one after the other, quoted and encoded where they must be")
    func writes() {
        var buffer = ByteBuffer()
        for link in Self.links { link.write(into: &buffer) }
        #expect(
            String(buffer: buffer) == """
                </ps>;rt="core.ps";ct="0 40";obs,</time>;rt="clock utc";if="sensor";sz=20,\
                </nodes/a%20b/%C3%BC%22%3C>;title="says \\"hi\\" \\\\";ct=50
                """
        )
    }

    /// Queries and the links that match, by index.
    static let queries: [(name: String, queries: [String], matches: [Int])] = [
        ("no query", [], [0, 1, 2]),
        ("TD_COAP_LINK_02: one value of rt", ["rt=core.ps"], [0]),
        ("TD_COAP_LINK_03: the beginning of one", ["rt=core*"], [0]),
        ("TD_COAP_LINK_05: interface", ["if=sensor"], [1]),
        ("TD_COAP_LINK_06: content format of a list", ["ct=40"], [0]),
        ("TD_COAP_LINK_07: one of several values", ["rt=utc"], [1]),
        ("all of them", ["rt=clock utc"], [1]),
        ("TD_COAP_LINK_08: by target", ["href=/ps"], [0]),
        ("TD_COAP_LINK_09: by the beginning of targets", ["href=/*"], [0, 1, 2]),
        ("an attribute without a value", ["obs"], [0]),
        ("an attribute without a value, asked by value", ["obs=1"], []),
        ("two parts", ["rt=*", "sz=20"], [1]),
        ("nothing that is there", ["rt=light"], []),
        ("an attribute that nobody has", ["foo=*"], []),
        ("a value without the star in it", ["rt=core"], []),
    ]

    @Test("TD_COAP_LINK: queries choose links", arguments: queries.indices)
    func filters(index: Int) {
        let (name, queries, matches) = Self.queries[index]
        var list = CoAPOptions()
        for query in queries { list.append(.uriQuery, query) }
        let filter = CoRELinkFilter(list)
        #expect(Self.links.indices.filter { filter.matches(Self.links[$0]) } == matches, "\(name)")
        #expect(filter.isEmpty == queries.isEmpty)
    }
}
