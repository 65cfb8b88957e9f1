import NIOCore
import Sealing
import Testing

@Suite struct V1ReceiverWindowTests {
    let node = Node()

    @Test("keeps as many unused session IDs valid as the window says, in any order of use", arguments: [1, 2, 5, 16])
    func window(size: Int) throws {
        let bench = try Bench([self.node], .init(window: size))
        #expect(bench.first.count == size && Set(bench.first).count == size)
        for sessionID in bench.first.reversed() {
            let verdict = bench.receive(try self.node.seal("1", sessionID))
            #expect(verdict.summary == "opened kitchen 1 issued 1")
            #expect(bench.receiver.validSessionIDs.count == size)
            #expect(bench.receiver.validSessionIDs.last == verdict.issued.last)
            #expect(!bench.receiver.validSessionIDs.contains(sessionID))
            #expect(bench.receive(try self.node.seal("2", sessionID)).summary == "refused staleSession issued 0")
        }
    }

    @Test("two messages in flight under one session ID: one wins")
    func race() throws {
        let bench = try Bench([self.node], .init(window: 2))
        let first = try self.node.seal("1", bench.first[0])
        let second = try self.node.seal("2", bench.first[0])
        #expect(bench.receive(second).summary == "opened kitchen 2 issued 1")
        #expect(bench.receive(first).summary == "refused staleSession issued 0")
    }

    @Test("without a lifetime session IDs never expire")
    func noLifetime() throws {
        let bench = try Bench([self.node])
        #expect(bench.receiver.nextExpiry == nil)
        bench.now = bench.now + .hours(24 * 365)
        #expect(bench.receiver.tick(now: bench.now).isEmpty)
        #expect(bench.receive(try self.node.seal("1", bench.first[0])).acceptance != nil)
    }

    @Test("replaces session IDs at the end of their lifetime, and refuses them from then on")
    func lifetime() throws {
        let bench = try Bench([self.node], .init(window: 2, lifetime: .seconds(60)))
        let start = bench.now
        bench.now = start + .seconds(30)
        let issued = bench.receive(try self.node.seal("1", bench.first[0])).issued
        #expect(bench.receiver.nextExpiry == start + .seconds(60))
        bench.now = start + .seconds(59)
        #expect(bench.receiver.tick(now: bench.now).isEmpty)
        bench.now = start + .seconds(60)
        let replaced = bench.receiver.tick(now: bench.now)
        #expect(replaced.count == 1)
        #expect(bench.receiver.validSessionIDs == issued + replaced)
        #expect(bench.receiver.nextExpiry == start + .seconds(90))
        #expect(bench.receive(try self.node.seal("2", bench.first[1])).summary == "refused staleSession issued 0")
        #expect(bench.receive(try self.node.seal("3", issued[0])).acceptance != nil)
    }

    @Test("refuses an expired session ID even if nobody ticked, and issues its successor in the same call")
    func lateTick() throws {
        let bench = try Bench([self.node], .init(lifetime: .seconds(60)))
        bench.now = bench.now + .seconds(61)
        let verdict = bench.receive(try self.node.seal("1", bench.first[0]))
        #expect(verdict.summary == "refused staleSession issued 1")
        #expect(verdict.issued == bench.receiver.validSessionIDs)
        #expect(bench.receive(try self.node.seal("1", verdict.issued[0])).summary == "opened kitchen 1 issued 1")
    }

    @Test("rotates all session IDs on any failure if asked to, but on no retransmission")
    func rotateOnFailure() throws {
        let bench = try Bench([self.node], .init(window: 2, rotateOnFailure: true))
        let accepted = try self.node.seal("1", bench.first[0])
        #expect(bench.receive(accepted).summary == "opened kitchen 1 issued 1")
        let unused = bench.receiver.validSessionIDs
        #expect(bench.receive(accepted).summary == "repeated kitchen")
        #expect(bench.receiver.validSessionIDs == unused)
        for payload in [ByteBuffer(string: "garbage"), try Node().seal("2", unused[0])] {
            let before = bench.receiver.validSessionIDs
            let verdict = bench.receive(payload)
            #expect(verdict.issued == bench.receiver.validSessionIDs && verdict.issued.count == 2)
            #expect(Set(before).isDisjoint(with: verdict.issued))
        }
        #expect(bench.receive(try self.node.seal("3", unused[0])).summary == "refused staleSession issued 2")
        #expect(bench.receive(try self.node.seal("4", bench.newest)).summary == "opened kitchen 4 issued 1")
        #expect(bench.receive(accepted).summary == "repeated kitchen")
    }

    @Test("an expired session ID that rotation replaces again is not published")
    func rotateAndExpire() throws {
        let bench = try Bench([self.node], .init(lifetime: .seconds(1), rotateOnFailure: true))
        bench.now = bench.now + .seconds(2)
        let verdict = bench.receive(try Node().seal("1", bench.first[0]))
        #expect(verdict.issued == bench.receiver.validSessionIDs)
    }
}
