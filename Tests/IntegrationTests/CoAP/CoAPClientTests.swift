import CoAPCodec
import Foundation
import NIOCore
import TestSupport
import Testing

/// libcoap and aiocoap as plain nodes; each message arrives at a real broker outside.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct CoAPClientTests {
    private static func body(_ count: Int) -> String {
        (0..<count / 10).map { String(format: "%09d\n", $0) }.joined()
    }

    @Test(
        "libcoap posts and puts, confirmable and not; 2.04, and the message is outside",
        arguments: CoAPClient.Program.allCases
    )
    func libcoapPublishes(program: CoAPClient.Program) async throws {
        let site = try await CoAPSite.start()
        let client = CoAPClient(program, port: try site.port)
        #expect(try await client.post("/ps/nodes/lamp/data", "post").code == "2.04")
        #expect(try await client.run("put", "/ps/nodes/lamp/data", ["-e", "put"]).code == "2.04")
        #expect(try await client.post("/ps/nodes/lamp/data", "non", ["-N"]).code == "2.04")
        let arrived = try await site.outside.messages(3)
        #expect(arrived.map(\.payload) == ["post", "put", "non"])
        #expect(Set(arrived.map(\.topic)) == ["sites/attic/lamp/data"])
        #expect(try await site.gateway.stop() == .status(0))
    }

    @Test("aiocoap posts and puts, confirmable and not")
    func aiocoapPublishes() async throws {
        let site = try await CoAPSite.start()
        let peer = try AiocoapPeer(port: try site.port)
        #expect(try await peer.post("/ps/nodes/lamp/data", "post").code == "2.04")
        #expect(try await peer.request("PUT", "/ps/nodes/lamp/data", Array("put".utf8)).code == "2.04")
        #expect(
            try await peer.request("POST", "/ps/nodes/lamp/data", Array("non".utf8), "\"non\": true").code == "2.04"
        )
        #expect(try await site.outside.messages(3).map(\.payload) == ["post", "put", "non"])
        try await peer.stop()
    }

    @Test("what was posted with retain can be got; what was not is not there; policy answers what it forbids with 4.03")
    func gets() async throws {
        let site = try await CoAPSite.start()
        let client = CoAPClient(port: try site.port)
        let peer = try AiocoapPeer(port: try site.port)
        #expect(try await client.post("/ps/nodes/lamp/temp?retain", "21.5").code == "2.04")
        let got = try await client.run("get", "/ps/nodes/lamp/temp")
        #expect(got.code == "2.05" && got.text == "21.5", "\(got)")
        #expect(try await peer.request("GET", "/ps/nodes/lamp/temp").text == "21.5")
        #expect(try await client.post("/ps/nodes/lamp/other", "1").code == "2.04")
        #expect(try await client.run("get", "/ps/nodes/lamp/other").code == "4.04")
        #expect(try await client.post("/ps/nodes/lamp/private/x", "1").code == "4.03")
        #expect(try await client.run("get", "/ps/nodes/lamp/private/x").code?.hasPrefix("4.0") == true)
        #expect(try await client.run("delete", "/ps/nodes/lamp/temp").code == "2.02")
        #expect(try await client.run("get", "/ps/nodes/lamp/temp").code == "4.04")
        try await site.gateway.logged("refused", "nodes/lamp/private/x")
    }

    @Test("both observe what a third posts, and a command from outside")
    func observes() async throws {
        let site = try await CoAPSite.start()
        let client = CoAPClient(port: try site.port)
        let peer = try AiocoapPeer(port: try site.port)
        #expect(try await client.post("/ps/nodes/lamp/cmd/light?retain", "0").code == "2.04")
        let watching = try client.start("get", "/ps/nodes/lamp/cmd/light", ["-s", "60"])
        try await watching.output.line("first value") { $0.contains("c:2.05") && $0.hasSuffix(":: '0'") }
        let observation = try peer.begin("GET", "/ps/nodes/lamp/cmd/light", [], ["\"observe\": true"])
        let first = try await peer.answer(to: observation)
        #expect(first.text == "0" && first.observe != nil)
        try await site.command("1", to: "lamp/cmd/light")
        try await watching.output.line("second value") { $0.contains("c:2.05") && $0.hasSuffix(":: '1'") }
        #expect(try await peer.answers(to: observation, 2).last?.text == "1")
        #expect(try await client.post("/ps/nodes/lamp/cmd/light", "2").code == "2.04")
        try await watching.output.line("third value") { $0.contains("c:2.05") && $0.hasSuffix(":: '2'") }
        #expect(try await peer.answers(to: observation, 3).last?.text == "2")
        // libcoap ends its observation in order at the end of its time; aiocoap resets the next notification.
        peer.cancel(observation)
        watching.signal(SIGINT)
        #expect(try await client.post("/ps/nodes/lamp/cmd/light", "3").code == "2.04")
        try site.serves()
    }

    @Test("a body of 5,000 bytes goes and comes in blocks of any size", arguments: [16, 64, 256, 1024])
    func libcoapBlocks(size: Int) async throws {
        let site = try await CoAPSite.start()
        let directory = try TemporaryDirectory()
        let body = Self.body(5_000)
        let file = try directory.write("body", body)
        let client = CoAPClient(port: try site.port)
        let put = try await client.run("put", "/ps/nodes/lamp/log?retain", ["-b", "\(size)", "-f", file])
        #expect(put.code == "2.04", "\(put)")
        let out = directory.file("out")
        let got = try await client.run("get", "/ps/nodes/lamp/log", ["-b", "\(size)", "-o", out])
        #expect(got.code == "2.05", "\(got)")
        #expect(try String(contentsOfFile: out, encoding: .utf8) == body)
        #expect(try await site.outside.messages(1).map(\.payload) == [body])
    }

    @Test("aiocoap's blocks, and an observed value that needs them; a body over the limit is 4.13")
    func aiocoapBlocks() async throws {
        let site = try await CoAPSite.start()
        let peer = try AiocoapPeer(port: try site.port)
        let body = Self.body(5_000)
        let put = try await peer.request("PUT", "/ps/nodes/lamp/log", Array(body.utf8), query: ["retain"])
        #expect(put.code == "2.04")
        #expect(try await peer.request("GET", "/ps/nodes/lamp/log").text == body)
        let observation = try peer.begin("GET", "/ps/nodes/lamp/log", [], ["\"observe\": true"])
        #expect(try await peer.answer(to: observation).text == body)
        let next = Self.body(4_000)
        #expect(try await CoAPNodeOrder.put(next, "nodes/lamp/log", site).code == "2.04")
        #expect(try await peer.answers(to: observation, 2).last?.text == next)
        #expect(try await site.outside.messages(2).map(\.payload) == [body, next])
        let tooLarge = try await peer.request("PUT", "/ps/nodes/lamp/log", Array(Self.body(100_000).utf8))
        #expect(tooLarge.code == "4.13", "\(tooLarge)")
    }

    /// A body by another client.
    private enum CoAPNodeOrder {
        static func put(_ body: String, _ topic: String, _ site: CoAPSite) async throws -> AiocoapPeer.Answer {
            let other = try AiocoapPeer(port: try site.port)
            let answer = try await other.request("PUT", "/ps/" + topic, Array(body.utf8), query: ["retain"])
            try await other.stop()
            return answer
        }
    }

    @Test("what there is can be found out; the time is told")
    func discovery() async throws {
        let site = try await CoAPSite.start()
        let client = CoAPClient(port: try site.port)
        let all = try await client.run("get", "/.well-known/core")
        #expect(all.code == "2.05" && all.text.contains("</ps/>") && all.text.contains("</time>"), "\(all)")
        let one = try await client.run("get", "/.well-known/core?href=/time")
        #expect(one.text.hasPrefix("</time>") && !one.text.contains("</ps/>"), "\(one)")
        let peer = try AiocoapPeer(port: try site.port)
        let time = try #require(Int(try await peer.request("GET", "/time").text.prefix { $0.isNumber }))
        #expect(abs(time - Int(Date().timeIntervalSince1970)) < 300)
    }

    @Test("paths that are topics by the listener's table, and another prefix")
    func paths() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.coap += [
            "prefix = \"/x\"", "paths = { \"/t\" = \"nodes/%d/temp\", \"/a/b\" = \"nodes/lamp/b\" }",
        ]
        let site = try await CoAPSite.start(configuration)
        let client = CoAPClient(port: try site.port)
        #expect(try await client.post("/t?d=lamp", "1").code == "2.04")
        #expect(try await client.post("/a/b", "2").code == "2.04")
        #expect(try await client.post("/x/nodes/lamp/c", "3").code == "2.04")
        #expect(try await client.post("/ps/nodes/lamp/c", "4").code == "4.04")
        #expect(try await client.post("/t", "5").code?.hasPrefix("4.") == true)
        let arrived = try await site.outside.messages(3)
        #expect(arrived.map(\.description) == ["temp = 1", "b = 2", "c = 3"].map { "sites/attic/lamp/" + $0 })
    }

    @Test(
        "too fast is 4.29 and too large 4.13; without room in the spool it is 5.03; each but 4.13 says when to come again"
    )
    func limits() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["rate = \"2/min\""]
        var site = try await CoAPSite.start(configuration)
        var peer = try AiocoapPeer(port: try site.port)
        var codes: [String] = []
        var last: AiocoapPeer.Answer?
        for number in 1...5 {
            last = try await peer.post("/ps/nodes/lamp/data", "\(number)")
            codes.append(last?.code ?? "-")
        }
        #expect(codes.first == "2.04" && codes.last == "4.29", "\(codes)")
        #expect((last?.maxAge ?? 0) > 0)
        #expect(try await peer.request("PUT", "/ps/nodes/lamp/data", Array(Self.body(20_000).utf8)).code == "4.13")

        configuration.plain = []
        configuration.uplink = ["spool = { max_messages = 2, when_full = \"reject\" }"]
        site = try await CoAPSite.start(configuration, hasUplink: false)
        peer = try AiocoapPeer(port: try site.port)
        for number in 1...2 { #expect(try await peer.post("/ps/nodes/lamp/data", "\(number)").code == "2.04") }
        let full = try await peer.post("/ps/nodes/lamp/data", "3")
        #expect(full.code == "5.03" && (full.maxAge ?? 0) > 0, "\(full)")
    }

    @Test("SenML is split into a message for each record where the profile says so")
    func senML() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["senml = \"values\""]
        let site = try await CoAPSite.start(configuration)
        let peer = try AiocoapPeer(port: try site.port)
        let pack = #"[{"bn":"a/","n":"t","v":21.5},{"n":"h","v":40},{"n":"s","vs":"ok"}]"#
        let posted = try await peer.request("POST", "/ps/nodes/lamp/m", Array(pack.utf8), "\"format\": 110")
        #expect(posted.code == "2.04", "\(posted)")
        let arrived = try await site.outside.messages(3)
        #expect(arrived.map(\.topic) == ["t", "h", "s"].map { "sites/attic/lamp/m/a/" + $0 })
        #expect(arrived.map(\.payload) == ["21.5", "40", "ok"])
        // The same as CBOR: {-2: "a/", 0: "t", 2: 7}.
        let cbor = hexBytes("81 A3 21 62 612F 00 61 74 02 07")
        #expect(try await peer.request("POST", "/ps/nodes/lamp/m", cbor, "\"format\": 112").code == "2.04")
        #expect(try await site.outside.messages(4).last?.description == "sites/attic/lamp/m/a/t = 7")
        #expect(try await peer.request("POST", "/ps/nodes/lamp/m", Array("[{".utf8), "\"format\": 110").code == "4.00")
    }

    @Test("fresh = true: a post is taken with an Echo that the gateway has just given, once the node has it")
    func fresh() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["fresh = true"]
        let site = try await CoAPSite.start(configuration)
        let peer = try AiocoapPeer(port: try site.port)
        let asked = try await peer.post("/ps/nodes/lamp/data", "1")
        let echo = try #require(asked.echo, "\(asked)")
        #expect(asked.code == "4.01")
        let posted = try await peer.request("POST", "/ps/nodes/lamp/data", Array("1".utf8), "\"echo\": \"\(echo)\"")
        #expect(posted.code == "2.04")
        // It is worth nothing at another address.
        let other = try AiocoapPeer(port: try site.port)
        let stolen = try await other.request("POST", "/ps/nodes/lamp/data", Array("2".utf8), "\"echo\": \"\(echo)\"")
        #expect(stolen.code == "4.01")
        #expect(try await site.outside.messages(1).map(\.payload) == ["1"])
    }

    @Test(
        "fresh = true, a body in blocks: libcoap sends each again, with the Echo",
        arguments: [3_000, 40],
        [[], ["-b", "64"]]
    )
    func freshBlocks(size: Int, more: [String]) async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["fresh = true"]
        let site = try await CoAPSite.start(configuration)
        let text = (0..<size / 10).map { "reading \($0 % 9) " }.joined()
        let file = try site.home.directory.write("large", text)
        let client = CoAPClient(port: try site.port)
        let put = try await client.run("put", "/ps/nodes/lamp/data", ["-f", file] + more)
        #expect(put.code == "2.04", "\(put)")
        #expect(try await site.outside.messages(1).map(\.payload) == [text])
    }

    @Test("fresh = true, a body in blocks: aiocoap's, with one Echo for all")
    func freshBlocksOfAiocoap() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["fresh = true"]
        let site = try await CoAPSite.start(configuration)
        let peer = try AiocoapPeer(port: try site.port)
        let body = Array(Self.body(5_000).utf8)
        let asked = try await peer.request("POST", "/ps/nodes/lamp/data", body)
        #expect(asked.code == "4.01")
        let echo = try #require(asked.echo, "\(asked)")
        let posted = try await peer.request("POST", "/ps/nodes/lamp/data", body, "\"echo\": \"\(echo)\"")
        #expect(posted.code == "2.04", "\(posted)")
        #expect(try await site.outside.messages(1).map(\.payload) == [Self.body(5_000)])
    }

    @Test("fresh = true, a body in blocks: one that somebody else sends under the node's address is not taken")
    func forgedBlock() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.plain = ["fresh = true"]
        let site = try await CoAPSite.start(configuration)
        let node = try CoAPNode(port: try site.port)
        func put(_ number: UInt8, _ hasMore: Bool, _ text: String, _ echo: ByteBuffer?) throws -> CoAPMessage? {
            let body = ByteBuffer(string: text)
            return try node.ask(
                node.request(.put, "ps/nodes/lamp/data", body) {
                    $0.append(.block1, uint: UInt32(number << 4 | (hasMore ? 8 : 0)))
                    if let echo { $0.append(.echo, echo) }
                }
            )
        }
        let echo = try #require(try put(0, true, "heat=off--------", nil)?.options.first(.echo))
        #expect(try put(0, true, "heat=off--------", echo)?.code == .continue)
        #expect(try put(0, true, "heat=on---------", nil)?.code == .unauthorized)
        #expect(try put(1, false, "end", echo)?.code == .changed)
        #expect(try await site.outside.messages(1).map(\.payload) == ["heat=off--------end"])
    }
}
