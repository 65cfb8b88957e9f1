import NIOCore
import Sealing
import Testing

@Suite struct SessionIDTests {
    @Test("is 32 lowercase hex characters, and another each time")
    func form() throws {
        var seen: Set<SessionID> = []
        for _ in 0..<40 {
            let bench = try Bench([Node()], .init(window: 2))
            for sessionID in bench.first {
                let text = String(buffer: sessionID.payload)
                #expect(text.utf8.count == 32)
                #expect(text.utf8.allSatisfy { Set("0123456789abcdef".utf8).contains($0) })
                #expect(seen.insert(sessionID).inserted)
            }
        }
    }

    @Test("shows nothing of itself in logs and dumps")
    func redacted() throws {
        let sessionID = try Bench([Node()]).newest
        let text = String(buffer: sessionID.payload)
        var dumped = ""
        dump(sessionID, to: &dumped)
        for shown in ["\(sessionID)", String(reflecting: sessionID), "\([sessionID])", dumped] {
            #expect(!shown.contains(text.prefix(4)))
            #expect(!shown.contains("SIMD"))
        }
    }

    @Test("writes itself behind what a buffer holds")
    func writing() throws {
        let sessionID = try Bench([Node()]).newest
        var buffer = ByteBuffer(string: "x")
        sessionID.write(to: &buffer)
        #expect(String(buffer: buffer) == "x" + String(buffer: sessionID.payload))
    }
}
