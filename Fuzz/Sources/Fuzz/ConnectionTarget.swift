import Broker
import MQTTCodec
import NIOCore

/// Any packets in any order to the server's side of a connection: nothing traps, nothing but CONNECT comes first, and what is
/// closed stays closed.
enum ConnectionTarget {
    static func check(_ input: FuzzInput) {
        var input = input
        let flags = input.byte()
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var connection = ServerConnection(now: now, maxFiltersPerPacket: flags & 1 != 0 ? 2 : 128)
        var isAccepted = false
        var isClosed = false
        var mayHaveWill = false
        while let frame = Self.nextFrame(&input) {
            now = now + .milliseconds(Int64(frame.firstByte) * 10)
            let wasConnected = connection.isConnected
            let event = connection.received(frame, now: now)
            if isClosed {
                guard case .none = event else { fatalError("\(event) after the close") }
            }
            switch event {
            case .none: break
            case .connect(let connect):
                expect(!isAccepted && frame.type == .connect, "a CONNECT where none may be")
                if flags & 2 != 0 {
                    connection.close()
                    isClosed = true
                } else {
                    connection.accept(connect, maxKeepAlive: UInt16(flags >> 2))
                    isAccepted = true
                    mayHaveWill = connect.will != nil
                    Tally.count("accepted")
                }
            case .close(let closure):
                isClosed = true
                if case .disconnected = closure { mayHaveWill = false }
                expect(!closure.description.isEmpty, "a close without a word")
                Tally.count("closed")
            case .publish, .release, .acknowledged, .subscribe, .unsubscribe, .ping:
                expect(wasConnected && isAccepted, "\(event) before CONNECT")
                Tally.count("events")
            }
            if !isClosed, case .close = connection.tick(now: now + .milliseconds(1)) { isClosed = true }
            expect(connection.isConnected == (isAccepted && !isClosed), "connected and closed")
        }
        if isClosed {
            for event in [connection.tick(now: .distantFuture), connection.connectTimedOut()] {
                guard case .none = event else { fatalError("\(event) after the close") }
            }
        }
        if connection.takeWill() != nil { expect(mayHaveWill, "a will that nobody left, or that was taken back") }
        expect(connection.takeWill() == nil, "a will twice")
    }

    /// A packet as on the wire; one whose length lies gets what is left. The stream itself is the matter of the frames.
    private static func nextFrame(_ input: inout FuzzInput) -> MQTTFrame? {
        guard !input.isEmpty else { return nil }
        let firstByte = input.byte()
        var length = 0
        for shift in [0, 7] {
            let byte = input.byte()
            length |= Int(byte & 0x7F) << shift
            if byte < 0x80 { break }
        }
        return MQTTFrame(firstByte: firstByte, body: ByteBuffer(bytes: input.bytes(length)))
    }
}
