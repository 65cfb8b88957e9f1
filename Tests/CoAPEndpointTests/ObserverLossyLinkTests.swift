import CoAPCodec
import CoAPEndpoint
import NIOCore
import TestSupport
import Testing

/// An observer, servers, and a network between them that loses, doubles and reorders datagrams.
@Suite("Observing over a lossy link")
struct ObserverLossyLinkTests {
    private struct Packet {
        let arrival: NIODeadline
        let bytes: ByteBuffer
        let node: Int
        let isToNode: Bool
    }

    /// A node whose value is a number that grows.
    private final class Node {
        let peer: CoAPPeer
        let server: CoAPServer
        var value = 0
        var observation: CoAPObservationID?

        init(_ index: Int, now: NIODeadline) {
            self.peer = CoAPPeer(ipv4: 0x0A00_0100 + UInt32(index), port: 5683)
            self.server = CoAPServer(CoAPServerConfiguration(), seed: UInt64(index), now: now)
        }

        /// - Parameter size: Of the text, which begins with the value.
        func response(size: Int) -> CoAPResponse {
            let text = "\(self.value)".padding(to: size)
            return CoAPResponse(
                .content,
                maxAge: 20,
                eTag: ByteBuffer(integer: UInt32(self.value)),
                payload: ByteBuffer(string: text)
            )
        }
    }

    /// Values as they reached the owner, by node.
    private func run(seed: UInt64, nodes count: Int, changes: Int, loss: Double, size: Int) -> [[Int]] {
        var generator = SeededGenerator(seed: seed)
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let gateway = CoAPPeer(ipv4: 0x0A00_0001, port: 40_000, session: 1)
        let observer = CoAPObserver(seed: seed)
        let nodes = (0..<count).map { Node($0, now: now) }
        var network: [Packet] = []
        var values = [[Int]](repeating: [], count: count)
        var targets: [CoAPTargetID: Int] = [:]

        func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }
        func put(_ bytes: ByteBuffer, _ node: Int, toNode: Bool) {
            for _ in 0..<(chance(0.2) ? 2 : 1) where !chance(loss) {
                let delay = TimeAmount.milliseconds(Int64.random(in: 1...(chance(0.1) ? 4000 : 50), using: &generator))
                network.append(Packet(arrival: now + delay, bytes: bytes, node: node, isToNode: toNode))
            }
        }
        func perform(_ actions: [CoAPAction], of index: Int) {
            let node = nodes[index]
            for action in actions {
                if case .send(let bytes, _) = action { put(bytes, index, toNode: false) }
                if case .request(let request) = action {
                    var more: [CoAPAction] = []
                    let wants = request.wantsObservation
                    let id = node.server.respond(
                        to: request.id,
                        node.response(size: size),
                        observing: wants,
                        now: now,
                        into: &more
                    )
                    if wants { node.observation = id }
                    perform(more, of: index)
                }
            }
        }
        func perform(_ actions: [CoAPObserverAction]) {
            for action in actions {
                switch action {
                case .send(let bytes, let peer):
                    if let index = nodes.firstIndex(where: { $0.peer == peer }) { put(bytes, index, toNode: true) }
                case .representation(let representation):
                    let text = String(buffer: representation.payload)
                    #expect(text.utf8.count >= size)
                    let value = text.prefix { $0.isNumber }
                    if let index = targets[representation.target] { values[index].append(Int(value) ?? -1) }
                    if let receipt = representation.receipt {
                        var more: [CoAPObserverAction] = []
                        observer.acknowledge(receipt, now: now, into: &more)
                        perform(more)
                    }
                case .established, .failed, .stopped: break
                }
            }
        }

        var actions: [CoAPObserverAction] = []
        for (index, node) in nodes.enumerated() {
            if let id = observer.observe(CoAPResource(path: ["v"]), of: node.peer, now: now, into: &actions) {
                targets[id] = index
            }
        }
        perform(actions)
        var nextChange = now + .seconds(5)
        let end = now + .seconds(Int64(5 * changes + 600))
        while now < end {
            let deadlines =
                [observer.nextDeadline, network.map(\.arrival).min(), nextChange] + nodes.map(\.server.nextDeadline)
            now = min(max(deadlines.compactMap(\.self).min() ?? end, now), end)
            if nextChange <= now {
                nextChange = now + .seconds(5)
                for (index, node) in nodes.enumerated() where node.value < changes {
                    node.value += 1
                    var more: [CoAPAction] = []
                    if let id = node.observation {
                        node.server.notify(id, node.response(size: size), now: now, into: &more)
                    }
                    perform(more, of: index)
                }
            }
            actions.removeAll()
            observer.tick(now: now, into: &actions)
            perform(actions)
            for (index, node) in nodes.enumerated() {
                var more: [CoAPAction] = []
                node.server.tick(now: now, into: &more)
                perform(more, of: index)
            }
            let arrived = network.filter { $0.arrival <= now }
            network.removeAll { $0.arrival <= now }
            for packet in arrived {
                if packet.isToNode {
                    var more: [CoAPAction] = []
                    nodes[packet.node].server.receive(packet.bytes, from: gateway, now: now, into: &more)
                    perform(more, of: packet.node)
                } else {
                    actions.removeAll()
                    observer.receive(packet.bytes, from: nodes[packet.node].peer, now: now, into: &actions)
                    perform(actions)
                }
            }
        }
        return values
    }

    @Test(
        "thirty per cent lost, doubled, out of order: no value comes after a newer one, and in the end all are up to date",
        arguments: [16, 3000]
    )
    func lossy(_ size: Int) {
        let values = self.run(seed: 21, nodes: 8, changes: 60, loss: 0.3, size: size)
        for node in values {
            #expect(node == node.sorted())
            #expect(node.last == 60)
            #expect(Set(node).count > (size == 16 ? 30 : 10))
        }
    }
}

extension String {
    fileprivate func padding(to count: Int) -> String {
        self + String(repeating: " ", count: max(count - self.utf8.count, 0))
    }
}
