import TestSupport
import Testing

/// Sealed commands while the gateway is killed at random moments.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct KilledCommandTests {
    /// A node that keeps a session at the gateway, and remembers which of its session IDs no command has used.
    private struct Node {
        var peer: MQTTPeer
        var outstanding: [String] = []
        /// By session ID: the bytes that opened under it.
        var opened: [String: String] = [:]
        var executed: [Int] = []
        private var count = 0

        init(_ site: SealedCommandSite) throws {
            self.peer = try site.node(.kept("kitchen", level: 4))
        }

        mutating func reconnect(_ site: SealedCommandSite) throws {
            self.peer = try site.node(.kept("kitchen", level: 4))
            try self.publish()
        }

        mutating func publish() throws {
            self.count += 1
            let id = "id-\(self.count)"
            self.outstanding.append(id)
            try self.peer.publish(SealedCommandSite.sessionTopic, id, id: UInt16(self.count), retain: true)
        }

        /// Takes one packet; false if none comes any more.
        mutating func take() throws -> Bool {
            guard self.peer.raw.canReceive(within: .milliseconds(20)) else { return true }
            guard let packet = try? self.peer.next() else { return false }
            guard let message = self.peer.message(packet) else { return true }
            try? self.peer.send(.puback, message.id)
            for id in self.outstanding {
                guard let text = try? SealedCommandSite.open(message.payload, session: id) else { continue }
                self.outstanding.removeAll { $0 == id }
                self.opened[id] = message.payload
                self.executed.append(Int(text) ?? -1)
                try? self.publish()
                return true
            }
            // Nothing but the same bytes again may come under an ID that was used.
            #expect(self.opened.values.contains(message.payload), "sealed under a used session ID, or none")
            return true
        }
    }

    @Test(
        "none that was acknowledged is lost, each is executed once and in order, no session ID is used twice",
        arguments: [20_261_126] as [UInt64]
    )
    func random(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var site = try await SealedCommandSite.start()
        var node = try Node(site)
        try node.publish()
        var sent = 0
        var acknowledged = 0
        for _ in 1...12 {
            let sender = try site.guest("sender")
            let steps = Int.random(in: 5...60, using: &random)
            for _ in 1...steps {
                if acknowledged == sent {
                    sent += 1
                    try sender.publish(SealedCommandSite.topic, "\(sent)", id: 1)
                }
                if sender.raw.canReceive(within: .milliseconds(1)), try sender.next().first == 0x40 {
                    acknowledged = sent
                }
                #expect(try node.take())
            }
            site = try await site.killed()
            try node.reconnect(site)
            // What was not acknowledged may be there or not; it is not sent again, so that its number tells.
            acknowledged = sent
        }
        // One that is acknowledged for certain: when it is executed, nothing more comes.
        let sender = try site.guest("sender")
        sent += 1
        try sender.publish(SealedCommandSite.topic, "\(sent)", id: 1)
        try await eventually { try node.take() && node.executed.last == sent }
        #expect(node.executed == node.executed.sorted())
        #expect(Set(node.executed).count == node.executed.count)
        // At most the one of each kill that was not acknowledged is missing.
        #expect(node.executed.count >= sent - 12)
        #expect(sent > 12)
    }
}
