import TOMLKit
import Testing

@testable import Gateway

@Suite("Lines of TOML keys")
struct ConfigurationLineIndexTests {
    private static let document = #"""
        # a comment with [brackets] and "quotes"
        title = "x # no comment"          # line 2
        [gateway]
        name = 'lit"eral'
        multi = """
        [not.a.table]
        key = 1 \""" still in it
        """
        after = 1                          # 9
        raw = '''
        ''quotes' inside''''
        last = 1                           # 12

        [uplink.cloud]
        psk = { identity = "attic", key_file = "a}b" }   # 15
        address = [
          "one",  # 17
          # comment, "with" strings
          "two", "three",   # 19
        ]
        spool.max_bytes = "1GiB"           # 21
        "quoted.key" = 1                   # 22
        "tab\tkey" = 1                     # 23
        [ uplink . "the other" ]           # 24
        address = [ [1, [2,
          3]], { a = 1, b = [ 4,
          5] } ]
        [[listener]]                       # 28
        bind = "a"
        [[listener]]                       # 30
        bind = "b"                         # 31
        [listener.nested]                  # 32
        deep = true
        [[listener.inner]]                 # 34
        x = 1
        [[listener.inner]]                 # 36
        x = 2                              # 37
        """#

    /// `uplink/cloud/address/1`: numbers are elements, the first being 0.
    private static func path(_ text: String) -> TOMLPath {
        TOMLPath(steps: text.split(separator: "/").map { Int($0).map { .element($0) } ?? .key(String($0)) })
    }

    @Test("TOMLKit takes the document")
    func isValid() throws {
        _ = try TOMLTable(string: Self.document)
    }

    private static let present: [(path: String, line: Int)] = [
        ("title", 2), ("gateway", 3), ("gateway/name", 4), ("gateway/multi", 5),
        ("gateway/after", 9), ("gateway/raw", 10), ("gateway/last", 12),
        ("uplink/cloud", 14), ("uplink/cloud/psk", 15),
        ("uplink/cloud/psk/key_file", 15), ("uplink/cloud/address", 16),
        ("uplink/cloud/address/0", 17), ("uplink/cloud/address/1", 19),
        ("uplink/cloud/address/2", 19), ("uplink/cloud/spool/max_bytes", 21),
        ("uplink/cloud/quoted.key", 22), ("uplink/cloud/tab\tkey", 23),
        ("uplink/the other", 24), ("uplink/the other/address/0/1/1", 26),
        ("uplink/the other/address/1/b/1", 27), ("listener/0", 28),
        ("listener/1", 30), ("listener/1/bind", 31), ("listener/1/nested/deep", 33),
        ("listener/1/inner/0", 34), ("listener/1/inner/1/x", 37),
    ]

    @Test("finds keys, elements and tables", arguments: present)
    func finds(path: String, line: Int) {
        #expect(TOMLLineIndex(Self.document).line(of: Self.path(path)) == line)
    }

    private static let absent: [(path: String, line: Int)] = [
        ("missing", 1), ("gateway/missing", 3), ("uplink/cloud/psk/missing", 15),
        ("listener/1/missing", 30), ("listener/7", 28), ("gateway/name/below", 4),
    ]

    @Test("falls back to what is above a key that is not there", arguments: absent)
    func fallsBack(path: String, line: Int) {
        #expect(TOMLLineIndex(Self.document).line(of: Self.path(path)) == line)
    }

    @Test("counts lines that end in CR LF, and skips a byte order mark")
    func lineEnds() {
        let index = TOMLLineIndex("\u{FEFF}a = 1\r\n\r\n[b]\r\nc = \"\"\"\r\n\r\n\"\"\"\r\nd = 2\r\n")
        #expect(index.line(of: Self.path("a")) == 1)
        #expect(index.line(of: Self.path("b/c")) == 4)
        #expect(index.line(of: Self.path("b/d")) == 7)
    }

    @Test("sees escaped null characters in strings and keys, and none elsewhere")
    func nullEscapes() {
        let text = #"""
            a = "x\u0000y"
            b = "\U00000000"
            c = '\u0000'   # \u0000
            d = "\\u0000 \u00001"
            "e\u0000" = 1
            f = """
            \u0000"""
            """#
        #expect(TOMLLineIndex(text).nullEscapeLines == [1, 2, 4, 5, 7])
    }

    @Test(
        "ends on anything",
        arguments: [
            "", "[", "[[", "a", "a =", "a = [", "a = {", "a = \"", "a = \"\"\"", "a = '''x''", "= = =", "[]]]\n[a",
            "{}\n}\n",
            "a = [ { b = [ \"", "a = \"\\", "a = \"\\u12", ".\n..\n.a", "a = [,,,]", "a = {,,b", "\"\\", "a.b.=1",
            "\u{FEFF}",
        ]
    )
    func ends(text: String) {
        let index = TOMLLineIndex(text)
        #expect(index.line(of: Self.path("a/0/b")) >= 1)
    }

    @Test("ends on every beginning of a document")
    func endsWhenCut() {
        for count in 0...Self.document.unicodeScalars.count {
            let cut = String(String.UnicodeScalarView(Self.document.unicodeScalars.prefix(count)))
            #expect(TOMLLineIndex(cut).line(of: Self.path("uplink/cloud/address/1")) >= 1)
        }
    }

    @Test("takes keys of any depth, and values nested deeper than TOML allows")
    func depth() {
        let deepKey = Array(repeating: "a", count: 100_000).joined(separator: ".")
        #expect(TOMLLineIndex("\n\(deepKey) = 1\n[\(deepKey)]\nb = 1").line(of: Self.path("a/a/a")) == 2)
        let deepValue = String(repeating: "[", count: 100_000)
        #expect(TOMLLineIndex("b = 1\nx = \(deepValue)").line(of: Self.path("x")) == 2)
        let deepTable = String(repeating: "{a=", count: 100_000)
        #expect(TOMLLineIndex("b = 1\nx = \(deepTable)").line(of: Self.path("x")) == 2)
    }

    @Test("writes paths as one would say them, elements from 1")
    func description() {
        #expect(Self.path("listener/1/bind").description == "listener[2].bind")
        #expect(Self.path("uplink/the other/psk").description == #"uplink."the other".psk"#)
        #expect(Self.path("a\u{1B}[2Jb").description == #""a\u{1b}[2Jb""#)
        #expect(Self.path(String(repeating: "k", count: 1000)).description.count < 100)
    }
}
