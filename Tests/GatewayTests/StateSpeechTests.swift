import MQTTCodec
import NIOCore
import Testing

@testable import Gateway

@Suite("What an outside broker is told of the gateway")
struct StateSpeechTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    private func speech() throws -> StateSpeech { StateSpeech(topic: try TopicName("sealgate/attic/bridge/state")) }

    @Test("is left out when two connections in a row ended on it, and tried again when it was not that")
    func closedOn() throws {
        var speech = try self.speech()
        speech.said(now: Self.start)
        let answer1 = speech.closed(now: Self.start + .seconds(1))
        #expect(!answer1)
        #expect(speech.current != nil)
        speech.said(now: Self.start)
        let answer2 = speech.closed(now: Self.start + .seconds(1))
        #expect(answer2)
        #expect(speech.current == nil)
        let answer3 = speech.closed(now: Self.start + .seconds(5))
        #expect(!answer3)
        #expect(speech.current != nil)
    }

    @Test("is left out when its will may be why the broker refuses the connection")
    func refused() throws {
        var speech = try self.speech()
        let answer4 = speech.refused()
        #expect(!answer4)
        let answer5 = speech.refused()
        #expect(answer5)
        #expect(speech.current == nil)
    }

    @Test("is not to blame for a connection that lived, or on which it was acknowledged")
    func innocent() throws {
        var speech = try self.speech()
        for _ in 0..<5 {
            speech.said(now: Self.start)
            let answer6 = speech.closed(now: Self.start + .seconds(10))
            #expect(!answer6)
            speech.said(now: Self.start)
            speech.acknowledged()
            let answer7 = speech.closed(now: Self.start + .seconds(1))
            #expect(!answer7)
            let answer8 = speech.closed(now: Self.start + .seconds(1))
            #expect(!answer8)
        }
        #expect(speech.current != nil)
    }

    @Test("nothing is said without a topic")
    func none() {
        var speech = StateSpeech(topic: nil)
        let answers = (speech.refused(), speech.refused())
        #expect(answers == (false, false) && speech.current == nil)
    }
}
