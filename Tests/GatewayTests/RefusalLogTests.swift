import NIOCore
import Testing

@testable import Gateway

@Suite struct RefusalLogTests {
    private static let start = NIODeadline.uptimeNanoseconds(50_000_000_000)

    @Test("repetitions are told with the last of their details")
    func lastDetail() {
        let lines = LogLines()
        let log = RefusalLog(logger: lines.logger)
        for number in 1...3 {
            log.note(.payload, device: "lamp", topic: nil, from: "here", detail: "byte \(number)", now: Self.start)
        }
        #expect(lines.take() == ["refused detail=byte 1 device=lamp from=here reason=payload topic="])
        log.tick(now: Self.start + .seconds(60))
        #expect(lines.take() == ["refused again detail=byte 3 device=lamp from=here reason=payload times=2 topic="])
    }

    @Test("an aside is told, and tells no refusals apart; another detail does, where it is to")
    func aside() {
        let lines = LogLines()
        let log = RefusalLog(logger: lines.logger)
        func note(_ detail: String, _ address: Int) {
            log.note(
                .protocolError,
                device: "?",
                topic: nil,
                from: "anywhere",
                detail: detail,
                byDetail: true,
                aside: ", from \(address)",
                now: Self.start
            )
        }
        for address in 1...1000 { note("odd", address) }
        note("even", 7)
        #expect(
            lines.take() == [
                "refused detail=odd, from 1 device=? from=anywhere reason=protocol error topic=",
                "refused detail=even, from 7 device=? from=anywhere reason=protocol error topic=",
            ]
        )
        log.tick(now: Self.start + .seconds(60))
        #expect(
            lines.take() == [
                "refused again detail=odd, from 1000 device=? from=anywhere reason=protocol error times=999 topic="
            ]
        )
    }

    @Test("one address, or all who have none, fills the log with a bounded number of lines, and leaves room for others")
    func oneAddress() {
        let lines = LogLines()
        let log = RefusalLog(logger: lines.logger)
        func note(_ topic: Int, from address: String) {
            log.note(
                .policy,
                device: "?",
                topic: ByteBuffer(string: "t/\(topic)"),
                from: address,
                detail: "no",
                now: Self.start
            )
        }
        for topic in 1...1_000 { note(topic, from: "nobody") }
        #expect(lines.take().count == 64)
        note(1, from: "lamp")
        #expect(lines.take() == ["refused detail=no device=? from=lamp reason=policy topic=t/1"])
        log.tick(now: Self.start + .seconds(60))
        #expect(lines.take() == ["more refusals than are listed times=936"])
        note(1, from: "nobody")
        #expect(lines.take().count == 1)
    }
}
