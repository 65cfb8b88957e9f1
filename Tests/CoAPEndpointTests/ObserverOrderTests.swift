import CoAPCodec
import CoAPEndpoint
import NIOCore
import Testing

@Suite("Observing: notifications (RFC 7641 §3.2 to §3.6)")
struct ObserverOrderTests {
    @Test(
        "what is older than the newest is passed over, 24 bits, until 128 s have passed (§3.4)",
        arguments: [
            (10, 11, 0, true), (10, 10, 0, false), (10, 9, 0, false), (10, 9, 128, false), (10, 9, 129, true),
            (10, 10, 129, true), (0xFF_FFFF, 0, 0, true), (0, 0xFF_FFFF, 0, false), (0, 0x7F_FFFF, 0, true),
            (0, 0x80_0000, 0, false), (0, 0x80_0001, 0, false), (0x80_0001, 0, 0, true), (0x80_0000, 0, 0, false),
        ] as [(UInt32, UInt32, Int64, Bool)]
    )
    func order(_ first: UInt32, _ second: UInt32, _ seconds: Int64, _ isTaken: Bool) throws {
        let (watch, token) = try ObserverWatch.observing(sequence: first, maxAge: 600)
        watch.pass(.seconds(seconds))
        let message = notification(token, "1", type: .confirmable, id: 1, observe: second)
        #expect(watch.receive(message) == [empty(.acknowledgement, 1)])
        #expect(watch.takeTexts() == (isTaken ? ["1"] : []))
        #expect(watch.observer.counters.stale == (isTaken ? 0 : 1))
    }

    @Test("a confirmable notification is acknowledged when the owner says so, and one that comes again with it")
    func receipt() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.acknowledges = false
        let message = notification(token, "1", type: .confirmable, id: 1, observe: 11)
        #expect(watch.receive(message).isEmpty)
        #expect(watch.receive(message).isEmpty)
        let receipt = try #require(watch.representations.first?.receipt)
        #expect(watch.takeTexts() == ["1"])
        watch.acknowledge(receipt)
        #expect(watch.take() == [empty(.acknowledgement, 1)])
        #expect(watch.receive(message) == [empty(.acknowledgement, 1)])
        #expect(watch.takeTexts().isEmpty)
        #expect(watch.observer.counters.duplicates == 2)
    }

    @Test("what the owner declines it gets once more when it comes again, unless a newer one is there")
    func declined() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.acknowledges = false
        let message = notification(token, "1", type: .confirmable, id: 1, observe: 11)
        for _ in 0..<2 {
            #expect(watch.receive(message).isEmpty)
            let receipt = try #require(watch.representations.last?.receipt)
            #expect(watch.takeTexts() == ["1"])
            watch.decline(receipt)
        }
        watch.receive(notification(token, "2", id: 2, observe: 12))
        #expect(watch.receive(message) == [empty(.acknowledgement, 1)])
        #expect(watch.takeTexts() == ["2"])
        #expect(watch.receive(message) == [empty(.acknowledgement, 1)])
    }

    @Test("over the limit of those that wait none is taken, so that the node sends it again")
    func heldBack() throws {
        let (watch, token) = try ObserverWatch.observing { $0.maxUnacknowledgedPerPeer = 2 }
        watch.acknowledges = false
        let messages = (1...3).map {
            notification(token, "\($0)", type: .confirmable, id: UInt16($0), observe: 10 + UInt32($0))
        }
        for message in messages { #expect(watch.receive(message).isEmpty) }
        #expect(watch.representations.count == 2 && watch.observer.counters.heldBack == 1)
        for representation in watch.representations { watch.acknowledge(representation.receipt) }
        #expect(watch.take().count == 2)
        watch.receive(messages[2])
        #expect(watch.takeTexts() == ["1", "2", "3"])
    }

    @Test("a message that comes again is known by its ID and its bytes: a node that restarts uses its IDs anew")
    func restarted() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.receive(notification(token, "1", id: 1, observe: 11))
        watch.receive(notification(token, "1", id: 1, observe: 11))
        watch.receive(notification(token, "2", id: 1, observe: 12))
        #expect(watch.takeTexts() == ["1", "2"])
        #expect(watch.observer.counters.duplicates == 1)
    }

    @Test("what is remembered is bounded")
    func boundedHistory() throws {
        let (watch, token) = try ObserverWatch.observing { $0.maxHistoryPerPeer = 4 }
        let messages = (1...6).map { notification(token, "\($0)", id: UInt16($0), observe: 10 + UInt32($0)) }
        for message in messages { watch.receive(message) }
        // The first is forgotten, but its number is old.
        watch.receive(messages[0])
        #expect(watch.observer.counters.duplicates == 0 && watch.observer.counters.stale == 1)
        watch.receive(messages[5])
        #expect(watch.observer.counters.duplicates == 1)
        #expect(watch.takeTexts() == (1...6).map { "\($0)" })
    }

    @Test("a notification without Observe is the last: it counts, and then the resource is asked for anew")
    func lastNotification() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.receive(notification(token, "last", id: 1, maxAge: 20))
        #expect(watch.takeTexts() == ["last"])
        #expect(watch.takeEstablished() == [false])
        #expect(watch.receive(notification(token, "more", id: 2, observe: 12)) == [empty(.reset, 2)])
        #expect(watch.passUntilSent() == .seconds(20))
        #expect(try watch.takeRequest().token != token)
        #expect(watch.takeTexts().isEmpty)
    }

    @Test("leaving: Observe 1 under the same token, repeated until it is heard; what still comes is rejected (§3.6)")
    func leaving() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.stop()
        let request = try watch.takeRequest()
        #expect(request.token == token && request.number(.observe) == 1)
        watch.passUntilSent()
        #expect(try watch.takeRequest() == request)
        watch.receive(answer(to: request, "0"))
        #expect(watch.isStopped && watch.observer.targetCount == 0 && watch.observer.nodeCount == 0)
        let late = notification(token, "1", type: .confirmable, id: 5, observe: 11)
        #expect(watch.receive(late) == [empty(.reset, 5)])
        #expect(watch.takeTexts().isEmpty)
        watch.pass(.hours(1))
        #expect(watch.take().isEmpty)
        #expect(watch.observe() == nil)
    }

    @Test("a notification that comes while leaving is rejected, which is the same to the node")
    func rejectedWhileLeaving() throws {
        let (watch, token) = try ObserverWatch.observing()
        watch.stop()
        _ = watch.take()
        let message = notification(token, "1", type: .confirmable, id: 5, observe: 11)
        #expect(watch.receive(message) == [empty(.reset, 5)])
        #expect(watch.isStopped && watch.takeTexts().isEmpty)
    }

    @Test("stopping ends without an answer, too, and at once where no node has an observer")
    func stopped() throws {
        let (watch, _) = try ObserverWatch.observing()
        watch.stop()
        watch.pass(.seconds(93))
        #expect(watch.isStopped && watch.takeFailures().isEmpty)

        let idle = ObserverWatch()
        idle.stop()
        #expect(idle.isStopped)

        let polled = ObserverWatch()
        polled.observe()
        polled.receive(answer(to: try polled.takeRequest(), "0"))
        polled.stop()
        #expect(polled.isStopped && polled.take().isEmpty)
    }

    @Test("one target is left, the others stay")
    func leavingOne() throws {
        let watch = ObserverWatch()
        let first = try #require(watch.observe(CoAPResource(path: ["a"])))
        watch.observe(CoAPResource(path: ["b"]))
        let second = try #require(watch.receive(answer(to: try watch.takeRequest(), "a", observe: 1)).first)
        watch.receive(answer(to: second, "b", observe: 1))
        watch.leave(first)
        watch.receive(answer(to: try watch.takeRequest(), "a"))
        watch.receive(notification(second.token, "b2", id: 1, observe: 2))
        #expect(watch.takeTexts() == ["a", "b", "b2"])
        #expect(watch.observer.targetCount == 1 && !watch.isStopped)
    }

    @Test("when this side has another port all are registered anew, one after the other, under their tokens")
    func registeredAnew() throws {
        let watch = ObserverWatch()
        watch.observe(CoAPResource(path: ["a"]))
        watch.observe(CoAPResource(path: ["b"]))
        let first = try watch.takeRequest()
        let second = try #require(watch.receive(answer(to: first, "a", observe: 1)).first)
        watch.receive(answer(to: second, "b", observe: 1))
        watch.registerAll()
        let again = try watch.takeRequest()
        #expect(again.token == first.token && again.messageID != first.messageID)
        let last = try #require(watch.receive(answer(to: again, "a2", observe: 1)).first)
        #expect(last.token == second.token)
        watch.receive(answer(to: last, "b2", observe: 1))
        #expect(watch.takeTexts() == ["a", "b", "a2", "b2"])
    }

    @Test("at another address everything begins anew, and the old one is not heard any more")
    func moved() throws {
        let watch = ObserverWatch()
        let target = try #require(watch.observe())
        let request = try watch.takeRequest()
        watch.receive(answer(to: request, "0", observe: 5))
        watch.move(target, to: ObserverWatch.other)
        let sent = watch.takeSent()
        #expect(sent.map(\.peer) == [ObserverWatch.other])
        let again = try #require(sent.first?.message)
        #expect(again.token != request.token)
        #expect(watch.receive(notification(request.token, "1", id: 1, observe: 6)) == [empty(.reset, 1)])
        watch.receive(answer(to: again, "2", observe: 1), from: ObserverWatch.other)
        #expect(watch.takeTexts() == ["0", "2"])
        #expect(watch.observer.nodeCount == 1)
    }
}
