import NIOCore
import Sealing
import Testing

@Suite struct V1ReceiverMembersTests {
    @Test("devices that share one key set are told apart by the node id inside")
    func sharedKeys() throws {
        let keys = V1Keys.random()
        let nodes = [("a", "1"), ("b", "11"), ("c", "greenhouse-sensor-0001")].map {
            Node($0, keys: keys, nodeID: $1)
        }
        let bench = try Bench(nodes)
        for node in nodes {
            for form in V1Form.allCases {
                let verdict = bench.receive(try node.seal("x", bench.newest, form: form), claimed: "a")
                #expect(verdict.summary == "opened \(node.device) x issued 1")
            }
        }
    }

    @Test("a device with its own keys can't speak for another, whatever it claims")
    func crossDevice() throws {
        let kitchen = Node("kitchen", nodeID: "1")
        let cellar = Node("cellar", nodeID: "2")
        let bench = try Bench([kitchen, cellar])
        let liar = Node("cellar", keys: cellar.keys, nodeID: "1")
        for claimed in ["kitchen", "cellar", nil] {
            let verdict = bench.receive(try liar.seal("x", bench.newest), claimed: claimed)
            #expect(verdict.summary.hasPrefix("refused"))
        }
        #expect(
            bench.receive(try cellar.seal("x", bench.newest), claimed: "kitchen").summary == "opened cellar x issued 1"
        )
    }

    @Test("bytes moved over the borders of the MAC's fields are refused")
    func splice() throws {
        let keys = V1Keys.random()
        let node = Node("one", keys: keys, nodeID: "1")
        let bench = try Bench([node, Node("eleven", keys: keys, nodeID: "11")])
        let session = Array(try bench.newest.payload.readableBytesView)
        // The MAC's input is node id, IV, data, session ID without borders: make the same input with other borders.
        let iv = Array("1bcdefghijklmnop".utf8)
        let data = Array("q23456".utf8)
        let honest = try V1Cipher.seal(
            ByteBuffer(bytes: data),
            keys: keys,
            nodeID: [49],
            sessionID: session,
            iv: iv
        )
        let mac = Array(honest.readableBytesView.suffix(40))
        let spliced = try V1Cipher.seal(
            ByteBuffer(bytes: data.dropFirst()),
            keys: keys,
            nodeID: [49, 49],
            sessionID: session,
            iv: Array(iv.dropFirst()) + [data[0]]
        )
        #expect(spliced.readableBytesView.suffix(40).elementsEqual(mac))
        // So what keeps node "1" from being taken for node "11" is that only who has the keys can encrypt the fields.
        let mixed = Array(honest.readableBytesView.prefix(33)) + Array(spliced.readableBytesView.dropFirst(33))
        #expect(bench.receive(ByteBuffer(bytes: mixed)).summary.hasPrefix("refused"))
        // Data and session ID: the last character of the data can't become the first of a shorter session ID.
        let shorter = try V1Cipher.seal(
            ByteBuffer(bytes: data + [session[0]]),
            keys: keys,
            nodeID: [49],
            sessionID: Array(session.dropFirst()),
            iv: iv
        )
        #expect(shorter.readableBytesView.suffix(40).elementsEqual(mac))
        let verdict = bench.receive(shorter)
        #expect(verdict.summary.hasPrefix("refused"))
        #expect(bench.receive(honest).summary == "opened one q23456 issued 1")
    }

    @Test("fields swapped or taken from another message are refused")
    func swap() throws {
        let node = Node("one", nodeID: "11242238")
        let bench = try Bench([node])
        let first = try fields(node.seal("11242238", bench.newest))
        let second = try fields(node.seal("22", bench.newest))
        let mixtures = [
            [first[0], first[2], first[1], second[3]], [second[0], first[1], first[2], first[3]],
            [first[0], second[1], first[2], first[3]], [first[0], first[1], second[2], first[3]],
            [first[0], first[1], first[2], second[3]], [first[0], first[1], "", first[3]],
            [first[0], first[1] + first[2], "", first[3]], [first[0], "", first[1] + first[2], first[3]],
            [first[0], first[1] + first[1], first[2], first[3]], [first[0], first[1], first[2] + first[2], first[3]],
            [first[0] + first[0], first[1], first[2], first[3]], [first[0], first[1], first[2]], first + ["00"],
        ]
        for mixture in mixtures {
            let payload = ByteBuffer(string: mixture.joined(separator: ","))
            #expect(bench.receive(payload, claimed: "one").summary.hasPrefix("refused"), "\(mixture)")
        }
        // Node id and data share key and IV, so with equal clear texts the swap changes nothing.
        #expect(first[1] == first[2])
        #expect(bench.receive(ByteBuffer(string: first.joined(separator: ","))).acceptance != nil)
    }

    @Test("tries 16 key sets, the claimed device's first; a device beyond them is heard when it is named")
    func seventeenKeySets() throws {
        let nodes = (1...17).map { Node("d\($0)", nodeID: "\($0)") }
        let bench = try Bench(nodes)
        #expect(bench.receiver.keySetsOverLimit == 1)
        #expect(bench.receive(try nodes[15].seal("x", bench.newest)).summary == "opened d16 x issued 1")
        #expect(bench.receive(try nodes[16].seal("x", bench.newest)).summary == "refused badSeal issued 0")
        #expect(bench.receive(try nodes[16].seal("x", bench.newest), claimed: "d17").summary == "opened d17 x issued 1")
        for claimed in [nil, "d1", "d9", "d15"] {
            let verdict = bench.receive(try nodes[14].seal("x", bench.newest), claimed: claimed)
            #expect(verdict.summary == "opened d15 x issued 1")
        }
        #expect(try Bench(Array(nodes.prefix(16))).receiver.keySetsOverLimit == 0)
    }

    @Test("a removed device stops at once, its retransmissions too, and the others notice nothing")
    func removal() throws {
        let keys = V1Keys.random()
        let kitchen = Node("kitchen", keys: keys, nodeID: "1")
        let cellar = Node("cellar", keys: keys, nodeID: "2")
        let bench = try Bench([kitchen, cellar])
        let fromKitchen = try kitchen.seal("x", bench.newest)
        #expect(bench.receive(fromKitchen).acceptance != nil)
        let fromCellar = try cellar.seal("y", bench.newest)
        #expect(bench.receive(fromCellar).acceptance != nil)
        let sessionIDs = bench.receiver.validSessionIDs
        #expect(bench.receiver.setMembers([try kitchen.member]).isEmpty)
        #expect(bench.receiver.validSessionIDs == sessionIDs)
        #expect(bench.receiver.deviceNames == ["kitchen"])
        #expect(bench.receive(fromCellar).summary.hasPrefix("refused"))
        #expect(bench.receive(try cellar.seal("z", bench.newest)).summary == "refused unknownNode issued 0")
        #expect(bench.receive(fromKitchen).summary == "repeated kitchen")
        #expect(bench.receive(try kitchen.seal("z", bench.newest)).summary == "opened kitchen z issued 1")
        #expect(bench.receiver.setMembers([]).isEmpty)
        #expect(bench.receive(try kitchen.seal("z", bench.newest)).summary == "refused unknownDevice issued 0")
        // Back again: what it sent before stays dead, what it sends now is heard.
        bench.receiver.setMembers([try cellar.member, try kitchen.member])
        #expect(bench.receive(fromKitchen).summary.hasPrefix("refused"))
        #expect(bench.receive(try cellar.seal("z", bench.newest)).summary == "opened cellar z issued 1")
    }

    @Test("new keys or another node id make the old ones worthless at once")
    func change() throws {
        let old = Node("kitchen", nodeID: "1")
        let bench = try Bench([old])
        let before = try old.seal("x", bench.newest)
        let acceptance = try #require(bench.receive(before).acceptance)
        let new = Node("kitchen", nodeID: "1")
        bench.receiver.setMembers([try new.member])
        #expect(bench.receive(try old.seal("x", bench.newest)).summary.hasPrefix("refused"))
        #expect(bench.receive(before).summary.hasPrefix("refused"))
        bench.receiver.forget(acceptance)
        #expect(bench.receive(before).summary.hasPrefix("refused"))
        #expect(bench.receive(try new.seal("x", bench.newest)).summary == "opened kitchen x issued 1")
        let renamed = Node("kitchen", keys: new.keys, nodeID: "2")
        bench.receiver.setMembers([try renamed.member])
        #expect(bench.receive(try new.seal("x", bench.newest)).summary == "refused unknownNode issued 0")
        #expect(bench.receive(try renamed.seal("x", bench.newest)).summary == "opened kitchen x issued 1")
    }

    @Test("members that nothing could tell apart, or of one name, are left out and named")
    func collisions() throws {
        let keys = V1Keys.random()
        let first = Node("a", keys: keys, nodeID: "1")
        let bench = try Bench([first])
        let members = try [first, Node("b", keys: keys, nodeID: "1"), Node("a", nodeID: "9"), Node("c", nodeID: "1")]
            .map { try $0.member }
        #expect(bench.receiver.setMembers(members) == ["b", "a"])
        #expect(bench.receiver.deviceNames == ["a", "c"])
        #expect(bench.receive(try first.seal("x", bench.newest)).summary == "opened a x issued 1")
        #expect(bench.receiver.setMembers(members) == ["b", "a"])
    }

    @Test("several receivers share one workspace without hearing each other")
    func workspace() throws {
        let workspace = V1Workspace()
        let nodes = (0..<5).map { Node("d\($0)", nodeID: "\($0)") }
        let now = NIODeadline.uptimeNanoseconds(1)
        let receivers = try nodes.map { node in
            let receiver = V1Receiver(configuration: .init(), members: [try node.member], workspace: workspace)
            _ = receiver.start(now: now)
            return receiver
        }
        for _ in 0..<3 {
            for (node, receiver) in zip(nodes, receivers) {
                let text = String(repeating: node.device, count: 20_000)
                let sessionID = try #require(receiver.validSessionIDs.first)
                let payload = try node.seal(text, sessionID)
                for other in receivers where other !== receiver {
                    #expect(other.receive(payload, claimed: nil, now: now).acceptance == nil)
                }
                let verdict = receiver.receive(payload, claimed: nil, now: now)
                #expect(verdict.summary == "opened \(node.device) \(text) issued 1")
            }
        }
    }

    private func fields(_ payload: ByteBuffer) -> [String] {
        String(buffer: payload).split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    }
}
