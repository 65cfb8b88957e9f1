import CoAPCodec
import CoAPEndpoint
import Devices
import NIOCore
import Store
import TestSupport
import Testing

@testable import Gateway
@testable import Sealing

/// What the desk remembers over restarts, and what it never does twice.
@Suite("OSCORE over restarts")
struct OSCOREMemoryTests {
    private typealias Desk = OSCOREDeskTests

    private func device() throws -> Device { try Desk.device("kitchen") }

    @Test("after an orderly end nothing is asked for again, and nothing is accepted twice")
    func orderly() throws {
        let device = try self.device()
        let node = Desk.node(device)
        var run = Desk.Run([device])
        try Desk.pass(run, node, 10)
        for round in 1...3 as ClosedRange<UInt64> {
            run = run.next([device], isOrderly: true)
            for sequence in 0...10 + round {
                let refusal = Desk.refusal(Desk.open(run, node.seal(Desk.request(), sequence: sequence)))
                #expect(refusal?.words == "Replay detected", "\(sequence)")
            }
            #expect(try !Desk.pass(run, node, 11 + round).isChallenged)
        }
    }

    @Test("an orderly end of a run in which a device was not heard keeps what is known of it")
    func silent() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let first = Desk.Run([device])
        try Desk.pass(first, node, 10)
        let second = first.next([device], isOrderly: true).next([device], isOrderly: true)
        #expect(try !Desk.pass(second, node, 12).isChallenged)
        let crashed = second.next([device], isOrderly: false).next([device], isOrderly: true)
        #expect(try Desk.pass(crashed, node, 13).isChallenged)
    }

    @Test("after a crash what the store has seen is refused, and all else is asked for again")
    func crash() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let run = Desk.Run([device])
        let (context, _) = try Desk.pass(run, node, 10)
        run.desk.noteAccepted(context)
        #expect(run.commit().count == 1)
        // Carried out, and not written down.
        try Desk.pass(run, node, 12)
        let next = run.next([device], isOrderly: false)
        #expect(
            Desk.refusal(Desk.open(next, node.seal(Desk.request(), sequence: 11)))?.words == "Replay detected"
        )
        guard case .challenged = Desk.open(next, node.seal(Desk.request(), sequence: 12)) else { throw Desk.Refused() }
        #expect(try Desk.pass(next, node, 13).isChallenged)
        #expect(try !Desk.pass(next, node, 15).isChallenged)
        // The challenged ones are still not carried out.
        guard case .challenged = Desk.open(next, node.seal(Desk.request(), sequence: 12)) else { throw Desk.Refused() }
    }

    @Test("no sequence number comes twice under the same keys, however runs end and whatever was written")
    func numbers() throws {
        let device = try self.device()
        let node = Desk.node(device)
        var used: Set<UInt64> = []
        var run = Desk.Run([device])
        var generator = SeededGenerator(seed: 8613)
        var sequence: UInt64 = 0
        for round in 0..<200 {
            if Bool.random(using: &generator) {  // Else nothing is heard in this run.
                let (context, isChallenged) = try Desk.pass(run, node, sequence)
                // The challenge has used one that pass(_:_:_:) did not show.
                sequence += isChallenged ? 2 : 1
                let request = CoAPProtectedRequest(context: context, sequence: sequence, isFetch: true)
                for _ in 0..<Int.random(in: 0...400, using: &generator) {
                    let plain = CoAPMessage(type: .nonConfirmable, code: .content, messageID: 0)
                    guard let sealed = run.desk.seal(plain, to: request, withOwnPartialIV: true) else { break }
                    let number = try #require(OSCOREPeer.sequence(of: sealed))
                    #expect(used.insert(number).inserted, "\(number) in round \(round)")
                    if Int.random(in: 0..<50, using: &generator) == 0 {
                        run.commit(succeeds: Bool.random(using: &generator))
                    }
                }
                if Bool.random(using: &generator) { run.desk.replace([]) }
            }
            run = run.next([device], isOrderly: Bool.random(using: &generator))
        }
        #expect(used.count > 5_000)
    }

    @Test("sequence numbers are reserved ahead, in time, once; and when a commit fails, again")
    func reservations() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let run = Desk.Run([device])
        let (context, _) = try Desk.pass(run, node, 0)
        #expect(run.commit().map(\.reserved) == [256], "keys that are in use are known")
        let request = CoAPProtectedRequest(context: context, sequence: 1, isFetch: true)
        let plain = CoAPMessage(type: .nonConfirmable, code: .content, messageID: 0)
        func seal() -> Bool { run.desk.seal(plain, to: request, withOwnPartialIV: true) != nil }
        for _ in 0..<127 { #expect(seal()) }
        #expect(run.urgent == 0 && run.desk.takeChanges().isEmpty)
        #expect(seal())
        #expect(run.urgent == 1)
        #expect(run.commit(succeeds: false).map(\.reserved) == [129 + 256])
        // One of the 256 was the challenge's.
        for _ in 0..<127 { #expect(seal()) }
        #expect(!seal(), "what is not written down is not used")
        #expect(run.commit().map(\.reserved) == [512])
        for _ in 0..<256 { #expect(seal()) }
        #expect(!seal())
    }

    @Test("a window goes into a commit once, as it is then; of a failed one it comes again")
    func windows() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let run = Desk.Run([device])
        let (context, _) = try Desk.pass(run, node, 0)
        run.desk.noteAccepted(context)
        try Desk.pass(run, node, 2)
        run.desk.noteAccepted(context)
        let failed = run.commit(succeeds: false)
        #expect(failed.count == 1 && failed[0].window.next == 3 && !failed[0].isExact)
        try Desk.pass(run, node, 3)
        let written = run.commit()
        #expect(written.count == 1 && written[0].window.next == 4)
        #expect(run.commit().isEmpty)
        run.desk.noteAccepted(context + 1)
        #expect(run.commit().isEmpty)
    }

    @Test("after the end nothing is opened, and nothing sealed under a number of the gateway's own")
    func closed() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let run = Desk.Run([device])
        let (context, _) = try Desk.pass(run, node, 0)
        let request = CoAPProtectedRequest(context: context, sequence: 1, isFetch: true)
        let plain = CoAPMessage(type: .nonConfirmable, code: .content, messageID: 0)
        #expect(run.desk.writeDown().count == 1)
        #expect(run.desk.writeDown().isEmpty)
        #expect(Desk.refusal(Desk.open(run, node.seal(Desk.request(), sequence: 2)))?.code == .serviceUnavailable)
        #expect(run.desk.seal(plain, to: request, withOwnPartialIV: true) == nil)
        let last = try #require(run.desk.seal(plain, to: request, withOwnPartialIV: false))
        #expect(node.open(last, to: 1) != nil)
        run.desk.noteAccepted(context)
        #expect(run.commit().isEmpty)
    }

    @Test("a recorded request that is sent again and again costs a few challenges a second")
    func challenges() throws {
        let device = try self.device()
        let recorded = Desk.node(device).seal(Desk.request(), sequence: 7)
        let run = Desk.Run([device])
        var now = NIODeadline.uptimeNanoseconds(5_000_000_000)
        for round in 0..<3 {
            var answers: [Bool] = []
            for _ in 0..<100 {
                let opened = Desk.open(run, recorded, at: now)
                if let refusal = Desk.refusal(opened) {
                    #expect(refusal.code == .tooManyRequests)
                    answers.append(false)
                } else {
                    answers.append(true)
                }
            }
            // The first of all is newer than any before it.
            let allowed = Int(OSCOREDesk.maxChallengesPerSecond) + (round == 0 ? 1 : 0)
            #expect(answers.filter(\.self).count == allowed)
            // The node itself is not kept out by that.
            let own = Desk.node(device).seal(Desk.request(), sequence: 8 + UInt64(round))
            guard case .challenged = Desk.open(run, own, at: now) else { throw Desk.Refused() }
            now = now + .seconds(1)
        }
    }

    // MARK: Keys of one secret

    private static func imported(_ sender: UInt8, _ recipient: UInt8, salt: [UInt8] = []) throws -> ImportedOSCORE {
        try ImportedOSCORE(secret: [1, 2, 3], salt: salt, senderID: [sender], recipientID: [recipient])
    }

    private static func peer(_ sender: UInt8, _ recipient: UInt8) -> OSCOREPeer {
        OSCOREPeer(secret: [1, 2, 3], senderID: [sender], recipientID: [recipient])
    }

    /// Other IDs with a key of (1, 2) among theirs: the gateway's, the node's, and both the other way round.
    static let relatives: [(sender: UInt8, recipient: UInt8)] = [(3, 2), (1, 3), (2, 1)]

    @Test("two devices with one secret share a key, so only the first is heard", arguments: relatives)
    func family(sender: UInt8, recipient: UInt8) throws {
        // Zeros at the end of a salt change nothing (RFC 2104).
        let devices = try [
            Desk.device("a", oscore: Self.imported(1, 2)),
            Desk.device("b", oscore: Self.imported(sender, recipient, salt: [0])),
        ]
        let run = Desk.Run(devices)
        try Desk.pass(run, Self.peer(1, 2), 0)
        let other = Self.peer(sender, recipient).seal(Desk.request(), sequence: 0)
        #expect(Desk.refusal(Desk.open(run, other))?.code.isSuccess == false)
        #expect(run.desk.contextCount == 1)
        run.desk.replace([devices[1]])
        #expect(Desk.refusal(Desk.open(run, other))?.words == "Security context not found")
        #expect(run.desk.contextCount == 0)
    }

    @Test(
        "nor is a key of a device that is gone used for another one, over restarts too",
        arguments: [true, false]
    )
    func formerFamily(isOrderly: Bool) throws {
        let first = try Desk.device("a", oscore: Self.imported(1, 2))
        var run = Desk.Run([first])
        try Desk.pass(run, Self.peer(1, 2), 0)
        #expect(run.commit().count == 1)
        for (sender, recipient) in Self.relatives {
            let second = try Desk.device("b", oscore: Self.imported(sender, recipient))
            run = run.next([second], isOrderly: isOrderly)
            let outer = Self.peer(sender, recipient).seal(Desk.request(), sequence: 0)
            #expect(Desk.refusal(Desk.open(run, outer))?.words == "Security context not found")
            #expect(run.desk.contextCount == 0)
        }
        run = run.next([first], isOrderly: isOrderly)
        #expect(try Desk.pass(run, Self.peer(1, 2), 2).isChallenged != isOrderly)
    }

    @Test("a row tells what is kept now, also of a device that was gone in between")
    func returning() throws {
        let device = try self.device()
        let node = Desk.node(device)
        let run = Desk.Run([device])
        let (context, _) = try Desk.pass(run, node, 0)
        run.desk.noteAccepted(context)
        run.desk.replace([])
        run.desk.replace([device])
        try Desk.pass(run, node, 9)
        #expect(run.commit().allSatisfy { $0.window.next == 10 })
    }

    @Test("an Echo value is good for its context alone, wherever the node is by now")
    func echo() throws {
        let devices = try [self.device(), Desk.device("hall")]
        let nodes = devices.map(Desk.node)
        let run = Desk.Run(devices)
        guard case .challenged(let response, let request) = Desk.open(run, nodes[0].seal(Desk.request(), sequence: 0)),
            let echo = Desk.echo(in: response, request, run, nodes[0])
        else { throw Desk.Refused() }
        guard case .challenged = Desk.open(run, nodes[1].seal(Desk.request(echo), sequence: 0)) else {
            throw Desk.Refused()
        }
        let elsewhere = CoAPPeer(ipv4: 0x0A00_0009, port: 1)
        let again = nodes[0].seal(Desk.request(echo), sequence: 1)
        guard case .request = run.desk.open(again, from: elsewhere, now: .now()) else { throw Desk.Refused() }
    }

    @Test("without a store that takes it down nothing is opened")
    func off() throws {
        let desk = OSCOREDesk(
            keys: DeviceKeys(Desk.hierarchy, logger: Desk.logger),
            start: nil,
            logger: Desk.logger
        )
        let device = try self.device()
        desk.replace([device])
        let outer = Desk.node(device).seal(Desk.request(), sequence: 0)
        #expect(Desk.refusal(desk.open(outer, from: Desk.peer, now: .now()))?.code == .serviceUnavailable)
        #expect(desk.writeDown().isEmpty)
    }
}
