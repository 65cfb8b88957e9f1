import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

/// A network that loses, doubles and reorders datagrams, with clients that send again as RFC 7252 has it.
@Suite("A lossy link")
struct LossyLinkTests {
    /// A datagram on its way.
    private struct Packet {
        let arrival: NIODeadline
        let bytes: ByteBuffer
        let peer: CoAPPeer
        let isToServer: Bool
    }

    /// A node that posts numbers, one after the other, each until it is acknowledged or given up.
    private struct Node {
        let peer: CoAPPeer
        var posted = 0
        var message: ByteBuffer?
        var messageID: UInt16 = 0
        var tries = 0
        var timeout = TimeAmount.seconds(2)
        var deadline = NIODeadline.uptimeNanoseconds(0)
    }

    /// What nodes were told, and what was published, by text.
    private struct Outcome {
        var acknowledged: Set<String> = []
        var published: [String: Int] = [:]
    }

    /// - Parameter late: Probability that the owner takes longer than the acknowledgement waits.
    private func run(seed: UInt64, nodes: Int, posts: Int, loss: Double, late: Double) -> Outcome {
        var generator = SeededGenerator(seed: seed)
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let server = CoAPServer(CoAPServerConfiguration(), seed: seed, now: now)
        var network: [Packet] = []
        var decisions: [(due: NIODeadline, id: CoAPRequest.ID)] = []
        var states = (0..<nodes).map { Node(peer: CoAPPeer(ipv4: UInt32($0), port: 5683)) }
        var outcome = Outcome()

        func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }
        func put(_ bytes: ByteBuffer, _ peer: CoAPPeer, toServer: Bool) {
            for _ in 0..<(chance(0.2) ? 2 : 1) where !chance(loss) {
                let delay = TimeAmount.milliseconds(Int64.random(in: 1...(chance(0.1) ? 5000 : 50), using: &generator))
                network.append(Packet(arrival: now + delay, bytes: bytes, peer: peer, isToServer: toServer))
            }
        }
        func perform(_ actions: [CoAPAction]) {
            for action in actions {
                switch action {
                case .send(let bytes, let peer): put(bytes, peer, toServer: false)
                case .request(let request):
                    outcome.published[String(buffer: request.payload), default: 0] += 1
                    let wait = chance(late) ? Int64.random(in: 500...3000, using: &generator) : 5
                    decisions.append((now + .milliseconds(wait), request.id))
                case .observationDue, .observationEnded, .notificationConfirmed: Issue.record("nobody observes")
                }
            }
        }
        func finish(_ index: Int, isAcknowledged: Bool) {
            if isAcknowledged { outcome.acknowledged.insert("\(index).\(states[index].posted)") }
            states[index].message = nil
            states[index].posted += 1
        }

        for _ in 0..<2_000_000 {
            for index in states.indices where states[index].message == nil && states[index].posted < posts {
                states[index].messageID = UInt16(states[index].posted % 40)  // As a node that restarts often.
                let text = "\(index).\(states[index].posted)"
                let message = request(.post, "ps/t", id: states[index].messageID, token: "node", body: text).encoded()
                states[index].message = message
                states[index].tries = 0
                states[index].timeout = .milliseconds(Int64.random(in: 2000...3000, using: &generator))
                states[index].deadline = now + states[index].timeout
                put(message, states[index].peer, toServer: true)
            }
            let next = [
                network.map(\.arrival).min(), decisions.map(\.due).min(), server.nextDeadline,
                states.filter { $0.message != nil }.map(\.deadline).min(),
            ].compactMap(\.self).min()
            guard states.contains(where: { $0.message != nil }), let next else { break }
            now = max(now, next)

            var actions: [CoAPAction] = []
            server.tick(now: now, into: &actions)
            for decision in decisions where decision.due <= now {
                server.respond(to: decision.id, response(.changed), now: now, into: &actions)
            }
            decisions.removeAll { $0.due <= now }
            perform(actions)
            for packet in network where packet.arrival <= now {
                guard !packet.isToServer else {
                    actions.removeAll()
                    server.receive(packet.bytes, from: packet.peer, now: now, into: &actions)
                    perform(actions)
                    continue
                }
                guard let message = try? CoAPMessage(decoding: packet.bytes),
                    let index = states.firstIndex(where: { $0.peer == packet.peer })
                else { continue }
                // A response of an earlier post may come late; a node that can't tell takes the first with its ID.
                if message.type == .confirmable {
                    put(empty(.acknowledgement, message.messageID).encoded(), packet.peer, toServer: true)
                }
                guard message.type == .acknowledgement, message.messageID == states[index].messageID,
                    message.code == .changed || message.code.isEmpty, states[index].message != nil
                else { continue }
                finish(index, isAcknowledged: true)
            }
            network.removeAll { $0.arrival <= now }
            for index in states.indices where states[index].message != nil && states[index].deadline <= now {
                if states[index].tries == 4 {
                    finish(index, isAcknowledged: false)
                } else if let message = states[index].message {
                    states[index].tries += 1
                    states[index].timeout = states[index].timeout * 2
                    states[index].deadline = now + states[index].timeout
                    put(message, states[index].peer, toServer: true)
                }
            }
        }
        #expect(states.allSatisfy { $0.posted == posts })
        return outcome
    }

    @Test("thirty per cent lost, doubled, out of order: what is acknowledged is carried out once, and nothing twice")
    func lossy() {
        let outcome = self.run(seed: 11, nodes: 20, posts: 150, loss: 0.3, late: 0)
        #expect(outcome.published.values.filter { $0 != 1 }.isEmpty)
        #expect(outcome.acknowledged.isSubset(of: Set(outcome.published.keys)))
        #expect(outcome.acknowledged.count > 2900)
    }

    @Test("the same when the owner is often slow, so that responses come apart")
    func slow() {
        let outcome = self.run(seed: 12, nodes: 10, posts: 100, loss: 0.3, late: 0.5)
        #expect(outcome.published.values.filter { $0 != 1 }.isEmpty)
        #expect(outcome.acknowledged.isSubset(of: Set(outcome.published.keys)))
        #expect(outcome.acknowledged.count > 950)
    }
}
