import NIOCore
import Sealing
import Testing

@Suite struct V1ReceiverTests {
    let node = Node()

    @Test("opens a message under the session ID it issued, and issues the next", arguments: [V1Form.hex, .raw])
    func opens(form: V1Form) throws {
        let bench = try Bench([self.node])
        #expect(bench.first.count == 1 && bench.receiver.validSessionIDs == bench.first)
        for text in ["21.5", "", "22.0\0\0"] {
            let sessionID = try bench.newest
            let verdict = bench.receive(try self.node.seal(text, sessionID, form: form), claimed: "kitchen")
            #expect(verdict.summary == "opened kitchen \(text) issued 1")
            #expect(verdict.issued == bench.receiver.validSessionIDs)
            #expect(try bench.newest != sessionID)
        }
    }

    @Test("needs no claim, and a wrong or unknown claim does no harm", arguments: [nil, "kitchen", "cellar", "nobody"])
    func claims(claimed: String?) throws {
        let bench = try Bench([Node("cellar"), self.node])
        let verdict = bench.receive(try self.node.seal("1", bench.newest), claimed: claimed)
        #expect(verdict.summary == "opened kitchen 1 issued 1")
    }

    @Test("acknowledges a retransmission again, respelt or not, and forwards it once")
    func retransmission() throws {
        let bench = try Bench([self.node])
        let sessionID = try bench.newest
        let iv = [UInt8](repeating: 0x2C, count: 16)
        let payload = try self.node.seal("1", sessionID, iv: iv)
        #expect(bench.receive(payload).summary == "opened kitchen 1 issued 1")
        let successor = try bench.newest
        let text = String(buffer: payload)
        let spellings = [
            text, text.dropLast(40).uppercased() + text.suffix(40), text.replacing(",", with: ", "),
            text.replacing(",", with: ",\r\n"), String(buffer: payload),
        ]
        for spelling in spellings {
            #expect(bench.receive(ByteBuffer(string: spelling)).summary == "repeated kitchen")
        }
        // The same message in raw form is no other message.
        let raw = try self.node.seal("1", sessionID, iv: iv, form: .raw)
        #expect(bench.receive(raw).summary == "repeated kitchen")
        #expect(bench.receiver.validSessionIDs == [successor])
    }

    @Test("knows at least the last 8 messages of each device again, or twice the window", arguments: [1, 3, 6])
    func remembered(window: Int) throws {
        let other = Node("cellar", nodeID: "7")
        let bench = try Bench([self.node, other], .init(window: window))
        let count = max(8, 2 * window)
        #expect(bench.receiver.rememberedMessages == count)
        let payloads = try (0...count).map { index in
            let payload = try self.node.seal("\(index)", bench.newest)
            #expect(bench.receive(payload).summary == "opened kitchen \(index) issued 1")
            // Another device's messages push nothing out.
            #expect(bench.receive(try other.seal("x", bench.newest)).summary == "opened cellar x issued 1")
            return payload
        }
        for payload in payloads.dropFirst() { #expect(bench.receive(payload).summary == "repeated kitchen") }
        #expect(bench.receive(payloads[0], claimed: "kitchen").summary.hasPrefix("refused"))
    }

    @Test("refuses another message under a spent session ID, and says to the operator that it is a replay")
    func replay() throws {
        let bench = try Bench([self.node])
        let spent = try bench.newest
        #expect(bench.receive(try self.node.seal("1", spent)).acceptance != nil)
        #expect(bench.receive(try self.node.seal("2", spent)).summary == "refused staleSession issued 0")
        let current = try bench.newest
        // Fifteen more, and the session ID is still known as spent; then it is as unknown as any other.
        for index in 0..<15 { #expect(bench.receive(try self.node.seal("\(index)", bench.newest)).acceptance != nil) }
        #expect(bench.receive(try self.node.seal("3", spent)).summary == "refused staleSession issued 0")
        #expect(bench.receive(try self.node.seal("4", current)).summary == "refused staleSession issued 0")
        #expect(bench.receive(try self.node.seal("5", bench.newest)).acceptance != nil)
        #expect(bench.receive(try self.node.seal("6", spent)).summary == "refused badSeal issued 0")
    }

    @Test("calls a recording a replay when it is too old to be a retransmission")
    func recording() throws {
        let bench = try Bench([self.node])
        let recording = try self.node.seal("1", bench.newest)
        #expect(bench.receive(recording).acceptance != nil)
        for index in 0..<bench.receiver.rememberedMessages {
            #expect(bench.receive(try self.node.seal("\(index)", bench.newest)).acceptance != nil)
        }
        #expect(bench.receive(recording).summary == "refused staleSession issued 0")
    }

    @Test("a message recorded before a restart is dead after it")
    func restart() throws {
        let before = try Bench([self.node])
        let accepted = try self.node.seal("1", before.newest)
        #expect(before.receive(accepted).acceptance != nil)
        let kept = try self.node.seal("2", before.newest)
        let after = try Bench([self.node])
        #expect(after.receive(accepted).summary == "refused badSeal issued 0")
        #expect(after.receive(kept).summary == "refused badSeal issued 0")
    }

    @Test("never accepts an empty session ID, the article's published sample included")
    func emptySessionID() throws {
        let article = Node("article", keys: try V1CipherTests.publishedKeys)
        let bench = try Bench([article])
        let sample = ByteBuffer(string: V1CipherTests.published.payload)
        #expect(bench.receive(sample, claimed: "article").summary == "refused badSeal issued 0")
        let empty = try V1Cipher.seal(
            ByteBuffer(string: "1"),
            keys: article.keys,
            nodeID: Array("11242238".utf8),
            sessionID: []
        )
        #expect(bench.receive(empty).summary == "refused badSeal issued 0")
    }

    @Test("garbage leaves the session ID as it is, and the node is heard after it")
    func garbage() throws {
        let bench = try Bench([self.node])
        let sessionID = try bench.newest
        let forged = try Node().seal("1", sessionID)
        for payload in [ByteBuffer(), ByteBuffer(string: "hello"), forged, ByteBuffer(repeating: 0x2C, count: 1 << 20)]
        {
            #expect(bench.receive(payload, claimed: "kitchen").summary.hasPrefix("refused"))
        }
        #expect(bench.receiver.validSessionIDs == [sessionID])
        #expect(bench.receive(try self.node.seal("1", sessionID)).acceptance != nil)
    }

    @Test("survives whatever bytes come, of every length that means something", arguments: [1, 3])
    func anything(window: Int) throws {
        let long = Node("long", keys: self.node.keys, nodeID: "a-node-id-of-two-blocks")
        let bench = try Bench([self.node, long, Node("cellar")], .init(window: window))
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("0123456789abcdefABCDEF,,,, \n\0".utf8)
        for count in 0..<400 {
            let text = ByteBuffer(bytes: (0..<count).map { _ in alphabet.randomElement(using: &random) ?? 0 })
            var raw = ByteBuffer(bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) })
            var shaped = ByteBuffer(repeating: UInt8(ascii: ","), count: count)
            for buffer in [text, raw, shaped] {
                #expect(bench.receive(buffer, claimed: "long").acceptance == nil)
            }
            if count > 16 { raw.setInteger(UInt8(ascii: ","), at: 16) }
            for payload in [raw, shaped] {
                var ended = payload
                ended.writeString("," + String(repeating: "0f", count: 20))
                #expect(bench.receive(ended).acceptance == nil)
            }
            shaped.setBytes(repeatElement(UInt8(ascii: "a"), count: min(count, 32)), at: 0)
            shaped.writeString(String(repeating: "0f", count: 20))
            #expect(bench.receive(shaped).acceptance == nil)
        }
        #expect(bench.receive(try long.seal("1", bench.newest)).acceptance != nil)
    }

    @Test("reasons tell the operator what it was")
    func reasons() throws {
        let bench = try Bench([self.node])
        let current = try bench.newest
        #expect(bench.receive(ByteBuffer(string: "21.5")).summary == "refused malformed issued 0")
        #expect(bench.receive(try Node().seal("1", current)).summary == "refused badSeal issued 0")
        #expect(bench.receive(try Node().seal("1", current), claimed: "x").summary == "refused unknownDevice issued 0")
        let stranger = Node("?", keys: self.node.keys, nodeID: "99")
        #expect(bench.receive(try stranger.seal("1", current)).summary == "refused unknownNode issued 0")
        let long = Node("?", keys: self.node.keys, nodeID: "a-node-id-of-two-blocks")
        #expect(bench.receive(try long.seal("1", current)).summary == "refused unknownNode issued 0")
    }

    @Test("a receiver without members refuses everything, and can be started and asked like any other")
    func nobody() throws {
        let bench = try Bench([], .init(rotateOnFailure: true))
        #expect(bench.receive(try self.node.seal("1", bench.newest)).summary == "refused unknownDevice issued 0")
        #expect(bench.receive(ByteBuffer()).summary == "refused malformed issued 0")
        #expect(bench.receiver.validSessionIDs == bench.first)
    }

    @Test("refuses an IV that the device used within its last 64 messages, and takes it after them")
    func repeatedIV() throws {
        let other = Node("cellar", nodeID: "7")
        let bench = try Bench([self.node, other])
        let iv = Array("  f9dc2766548509".utf8)
        #expect(bench.receive(try self.node.seal("1", bench.newest, iv: iv)).acceptance != nil)
        let before = try bench.newest
        #expect(bench.receive(try self.node.seal("2", before, iv: iv)).summary == "refused repeatedIV issued 0")
        #expect(try bench.newest == before)
        #expect(bench.receive(try other.seal("2", before, iv: iv)).acceptance != nil)
        for index in 0..<63 { #expect(bench.receive(try self.node.seal("\(index)", bench.newest)).acceptance != nil) }
        #expect(bench.receive(try self.node.seal("3", bench.newest, iv: iv)).summary.hasPrefix("refused repeatedIV"))
        #expect(bench.receive(try self.node.seal("4", bench.newest)).acceptance != nil)
        #expect(bench.receive(try self.node.seal("5", bench.newest, iv: iv)).acceptance != nil)
    }

    @Test("only the proven device's messages pass where the transport names one, and others use nothing up")
    func onlyFrom() throws {
        let other = Node("cellar", keys: self.node.keys, nodeID: "7")
        let bench = try Bench([self.node, other])
        let payload = try self.node.seal("1", bench.newest)
        #expect(bench.receive(payload, onlyFrom: "cellar").summary == "refused wrongDevice issued 0")
        #expect(bench.receive(payload, onlyFrom: "\u{212A}itchen").summary == "refused wrongDevice issued 0")
        #expect(bench.receive(payload, onlyFrom: "kitchen").summary == "opened kitchen 1 issued 1")
        #expect(bench.receive(payload, onlyFrom: "cellar").summary == "refused wrongDevice issued 0")
        #expect(bench.receive(payload, onlyFrom: "kitchen").summary == "repeated kitchen")
    }

    @Test("a message taken back is accepted once more, with the same bytes and no new session ID")
    func forget() throws {
        let bench = try Bench([self.node])
        let spent = try bench.newest
        let payload = try self.node.seal("1", spent)
        let acceptance = try #require(bench.receive(payload).acceptance)
        let successor = try bench.newest
        bench.receiver.forget(acceptance)
        bench.receiver.forget(acceptance)
        // Other bytes under the spent session ID stay refused.
        #expect(bench.receive(try self.node.seal("2", spent)).summary == "refused staleSession issued 0")
        let again = bench.receive(payload)
        #expect(again.summary == "opened kitchen 1 issued 0")
        #expect(bench.receiver.validSessionIDs == [successor])
        #expect(bench.receive(payload).summary == "repeated kitchen")
        // And again, if storing failed again.
        bench.receiver.forget(try #require(again.acceptance))
        #expect(bench.receive(payload).summary == "opened kitchen 1 issued 0")
    }

    @Test("a message taken back is forgotten for good after as many others as are remembered")
    func forgetting() throws {
        let bench = try Bench([self.node])
        let payload = try self.node.seal("1", bench.newest)
        bench.receiver.forget(try #require(bench.receive(payload).acceptance))
        for index in 0..<8 { #expect(bench.receive(try self.node.seal("\(index)", bench.newest)).acceptance != nil) }
        #expect(bench.receive(payload).summary.hasPrefix("refused"))
        let other = try Bench([self.node])
        other.receiver.forget(try #require(bench.receive(try self.node.seal("2", bench.newest)).acceptance))
    }

    @Test("a payload with a line end behind it is told from other bytes that are none", arguments: [V1Form.hex, .raw])
    func lineEnds(form: V1Form) throws {
        let bench = try Bench([self.node])
        let workspace = V1Workspace()
        let sealed = try self.node.seal("21.5", bench.newest, form: form)
        func with(_ end: String) -> ByteBuffer { ByteBuffer(bytes: sealed.readableBytesView + Array(end.utf8)) }
        #expect(workspace.isLine(with("\n")) && workspace.isLine(with("\r\n")))
        for end in ["", "\r", "\n\n", " \n", "x\n"] { #expect(!workspace.isLine(with(end)), "\(end.utf8.map { $0 })") }
        for text in ["", "\n", "\r\n", "21.5\n"] { #expect(!workspace.isLine(ByteBuffer(string: text))) }
    }
}
