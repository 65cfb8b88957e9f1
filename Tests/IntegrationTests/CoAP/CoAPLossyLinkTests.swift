import CoAPCodec
import Foundation
import NIOCore
import TestSupport
import Testing

/// Real datagrams on a link that loses a third of them.
@Suite(.inTurn, .timeLimit(.minutes(6)), .serialized, .ownThread) struct CoAPLossyLinkTests {
    /// A node that posts numbers one after the other, each until it is acknowledged or given up: MAX_RETRANSMIT and the
    /// doubling are those of RFC 7252 §4.8, ACK_TIMEOUT is shorter, so that the test is.
    private struct Node {
        static let ackTimeout = 100
        static let maxRetransmit = 4

        let socket: UDPSocket
        let name: Int
        var number = 0
        var messageID: UInt16
        var datagram: [UInt8] = []
        var transmissions = 0
        var wait = 0
        var due = ContinuousClock.now
        var acknowledged: Set<String> = []

        init(name: Int, port: Int) throws {
            self.socket = try UDPSocket(to: port)
            self.name = name
            // As nodes do that count from 0 or from anything.
            self.messageID = name.isMultiple(of: 2) ? 0 : UInt16(truncatingIfNeeded: name &* 7919)
        }

        var text: String { "\(self.name).\(self.number)" }

        mutating func begin(_ generator: inout SeededGenerator) throws {
            var options = CoAPOptions()
            for segment in ["ps", "nodes", "lamp", "data"] { options.append(.uriPath, segment) }
            let message = CoAPMessage(
                type: .confirmable,
                code: .post,
                messageID: self.messageID,
                token: CoAPToken(Array("node".utf8)) ?? .empty,
                options: options,
                payload: ByteBuffer(string: self.text)
            )
            self.datagram = Array(message.encoded().readableBytesView)
            self.transmissions = 0
            self.wait = Int.random(in: Self.ackTimeout...(Self.ackTimeout * 3 / 2), using: &generator)
            try self.transmit()
        }

        mutating func transmit() throws {
            try self.socket.send(self.datagram)
            self.transmissions += 1
            self.due = .now + .milliseconds(self.wait)
            self.wait *= 2
        }

        /// Whether the post is over: acknowledged, or given up.
        mutating func isOver(at now: ContinuousClock.Instant) throws -> Bool {
            var isOver = false
            while let (bytes, _) = self.socket.receiveNow() {
                guard let message = try? CoAPMessage(decoding: ByteBuffer(bytes: bytes)) else { continue }
                if message.type == .confirmable {
                    try self.socket.send(
                        Array(
                            CoAPMessage.empty(.acknowledgement, messageID: message.messageID).encoded()
                                .readableBytesView
                        )
                    )
                }
                guard message.type == .acknowledgement, message.messageID == self.messageID, message.code == .changed
                else { continue }
                self.acknowledged.insert(self.text)
                isOver = true
            }
            if !isOver, now >= self.due {
                if self.transmissions > Self.maxRetransmit { return true }
                try self.transmit()
            }
            return isOver
        }

        mutating func next() {
            self.number += 1
            self.messageID &+= 1
        }
    }

    @Test("of 10,000 confirmable posts each is outside exactly once, or was not acknowledged")
    func lossy() async throws {
        var configuration = CoAPSite.Configuration()
        configuration.isTalkative = false
        let site = try await CoAPSite.start(configuration)
        let relay = try DatagramRelay(to: try site.port, weather: .bad(seed: 17))
        var generator = SeededGenerator(seed: 23)
        let (count, posts) = (250, 40)
        var nodes = try (0..<count).map { try Node(name: $0, port: relay.port) }
        for index in nodes.indices { try nodes[index].begin(&generator) }
        var entries = nodes.map { pollfd(fd: $0.socket.descriptor, events: Int16(POLLIN), revents: 0) }
        while nodes.contains(where: { $0.number < posts }) {
            _ = poll(&entries, nfds_t(entries.count), 5)
            let now = ContinuousClock.now
            for index in nodes.indices where nodes[index].number < posts {
                guard entries[index].revents != 0 || now >= nodes[index].due else { continue }
                guard try nodes[index].isOver(at: now) else { continue }
                nodes[index].next()
                if nodes[index].number < posts { try nodes[index].begin(&generator) }
            }
        }
        let acknowledged = nodes.reduce(into: Set<String>()) { $0.formUnion($1.acknowledged) }
        try site.serves("the last one")
        try await site.outside.message(payload: "the last one")
        let arrived = site.outside.received.map(\.payload).filter { $0 != "the last one" }
        #expect(Set(arrived).count == arrived.count, "none came twice")
        #expect(acknowledged.isSubset(of: Set(arrived)), "\(acknowledged.subtracting(arrived).count) are lost")
        // Five transmissions with a chance of a half each: few are given up, unless the machine is too busy for such a timeout.
        #expect(acknowledged.count > count * posts / 4)
        #expect(try await site.gateway.stop() == .status(0))
    }
}
