import Devices
import NIOCore
import Testing

@testable import Gateway

/// Who is connected, without a socket: time is a number, and what links would tell is a table.
@Suite("Connections of devices") struct DevicePoolTests {
    /// A pool, and devices that answer at once.
    private final class Bench {
        var pool: DevicePool
        var now = NIODeadline.uptimeNanoseconds(0)
        var busy: Set<DeviceID> = []
        var present: Set<DeviceID> = []
        var lastUse: [DeviceID: NIODeadline] = [:]
        /// In the order in which they came up.
        var opened: [DeviceID] = []
        var open: Set<DeviceID> = []
        var mostOpen = 0

        init(_ connections: Int, _ change: (inout DevicePool.Limits) -> Void = { _ in }) {
            var limits = DevicePool.Limits(connections: connections)
            change(&limits)
            self.pool = DevicePool(limits)
        }

        func next() -> [DevicePool.Action] {
            let (busy, present, lastUse) = (self.busy, self.present, self.lastUse)
            return self.pool.next(now: self.now) { device in
                .init(
                    isBusy: busy.contains(device),
                    isPresent: present.contains(device),
                    lastUse: lastUse[device] ?? .uptimeNanoseconds(0)
                )
            }
        }

        /// Something is to be sent.
        func send(_ devices: DeviceID...) {
            for device in devices {
                self.busy.insert(device)
                self.lastUse[device] = self.now
                self.pool.wants(device, for: .sending)
            }
        }

        func listen(_ devices: DeviceID...) {
            for device in devices {
                self.present.insert(device)
                self.pool.wants(device, for: .listening)
            }
        }

        /// All is acknowledged.
        func finish(_ devices: DeviceID...) {
            for device in devices {
                self.busy.remove(device)
                self.lastUse[device] = self.now
            }
        }

        /// Does what the pool says, until it says nothing more. Who has something left comes again.
        func settle() {
            while case let actions = self.next(), !actions.isEmpty {
                for action in actions {
                    switch action {
                    case .open(let device):
                        self.pool.opened(device, now: self.now)
                        self.opened.append(device)
                        self.open.insert(device)
                    case .close(let device):
                        self.open.remove(device)
                        self.pool.ended(device)
                        if self.busy.contains(device) { self.pool.wants(device, for: .sending) }
                        if self.present.contains(device) { self.pool.wants(device, for: .listening) }
                    }
                }
                self.mostOpen = max(self.mostOpen, self.open.count)
            }
        }

        func pass(_ time: TimeAmount) {
            self.now = self.now + time
            self.settle()
        }
    }

    private static func id(_ number: Int) -> DeviceID {
        guard let id = try? DeviceID("d\(number)") else { preconditionFailure("a good id") }
        return id
    }

    private let a = Self.id(1)
    private let b = Self.id(2)
    private let c = Self.id(3)

    @Test("whoever wants a connection gets one while there is room")
    func room() {
        let bench = Bench(3)
        bench.send(self.a, self.b)
        bench.listen(self.c)
        #expect(bench.next() == [.open(self.a), .open(self.b), .open(self.c)])
        #expect(bench.next() == [])
        bench.pool.wants(self.a, for: .sending)
        #expect(bench.next() == [])
    }

    @Test("handshakes are bounded, and the next one begins when one has ended")
    func handshakes() {
        let bench = Bench(1000)
        for number in 0..<100 { bench.send(Self.id(number)) }
        #expect(bench.next().count == 16)
        #expect(bench.next() == [])
        bench.pool.opened(Self.id(0), now: bench.now)
        #expect(bench.next() == [.open(Self.id(16))])
        bench.pool.ended(Self.id(1))
        #expect(bench.next() == [.open(Self.id(17))])
        #expect(bench.pool.openCount == 1)
        #expect(bench.pool.placeCount == 17)
    }

    @Test("senders come before those that only listen, also when they come later")
    func sendersFirst() {
        let bench = Bench(1) { $0.handshakes = 1 }
        bench.listen(self.a, self.b)
        bench.send(self.c)
        #expect(bench.next() == [.open(self.c)])
        bench.send(self.b)
        bench.pool.ended(self.c)
        #expect(bench.next() == [.open(self.b)])
    }

    @Test("a device that waits no more is passed over")
    func withdrawn() {
        let bench = Bench(1)
        bench.send(self.a, self.b, self.c)
        #expect(bench.next() == [.open(self.a)])
        bench.pool.withdraw(self.b)
        bench.pool.ended(self.a)
        #expect(bench.next() == [.open(self.c)])
        #expect(bench.pool.waitingCount == 0)
    }

    @Test("over the cap the connection goes that was idle for longest, and not before its grace")
    func longestIdle() {
        let bench = Bench(2)
        bench.send(self.a, self.b)
        bench.settle()
        bench.finish(self.b)
        bench.now = bench.now + .milliseconds(100)
        bench.finish(self.a)
        bench.send(self.c)
        #expect(bench.next() == [])
        #expect(bench.pool.nextLook(now: bench.now) == bench.now + .milliseconds(100))
        bench.now = bench.now + .milliseconds(600)
        #expect(bench.next() == [.close(self.b)])
        #expect(bench.next() == [], "one is enough")
        bench.pool.ended(self.b)
        #expect(bench.next() == [.open(self.c)])
    }

    @Test("one that only listens gives way to a sender, after those that nobody uses")
    func listenersGiveWay() {
        let bench = Bench(2)
        bench.listen(self.a)
        bench.send(self.b)
        bench.settle()
        bench.now = bench.now + .seconds(1)
        bench.finish(self.b)
        bench.send(self.c)
        bench.now = bench.now + .seconds(1)
        #expect(bench.next() == [.close(self.b)])
        bench.pool.ended(self.b)
        bench.settle()
        bench.send(self.b)
        bench.now = bench.now + .seconds(1)
        #expect(bench.next() == [.close(self.a)])
    }

    @Test("who only listens does not drive a sender away, and passes the place on after a while")
    func listenersTakeTurns() {
        let bench = Bench(1)
        bench.send(self.a)
        bench.settle()
        bench.listen(self.b, self.c)
        bench.pass(.seconds(3600))
        #expect(bench.open == [self.a])
        bench.finish(self.a)
        bench.pass(.seconds(1))
        #expect(bench.open == [self.b])
        bench.pass(.seconds(30))
        #expect(bench.open == [self.b])
        bench.pass(.seconds(31))
        #expect(bench.open == [self.c])
        bench.pass(.seconds(61))
        #expect(bench.open == [self.b])
    }

    @Test("of devices that always have something to send none starves", arguments: [(2, 5), (1, 3), (10, 1000)])
    func fairness(connections: Int, devices: Int) {
        let bench = Bench(connections)
        let all = (0..<devices).map(Self.id)
        for device in all { bench.send(device) }
        bench.settle()
        #expect(bench.opened == Array(all.prefix(connections)))
        let rounds = 3
        for _ in 0..<(rounds * devices / connections) { bench.pass(.seconds(5)) }
        #expect(bench.mostOpen == connections)
        let turns = Dictionary(grouping: bench.opened) { $0 }.mapValues(\.count)
        #expect(turns.count == devices)
        #expect(turns.values.allSatisfy { (rounds - 1...rounds + 1).contains($0) }, "\(turns.values.sorted())")
    }

    @Test("a busy one keeps its connection for a slice of time")
    func slice() {
        let bench = Bench(1)
        bench.send(self.a)
        bench.settle()
        bench.send(self.b)
        bench.pass(.milliseconds(4900))
        #expect(bench.open == [self.a])
        bench.pass(.milliseconds(100))
        #expect(bench.open == [self.b])
    }

    @Test("a connection without use is closed after its time, unless the device is here")
    func idleTimeout() {
        let bench = Bench(3) { $0.idleTimeout = .seconds(60) }
        bench.send(self.a, self.b)
        bench.listen(self.c)
        bench.settle()
        bench.finish(self.a)
        bench.pass(.seconds(59))
        #expect(bench.open == [self.a, self.b, self.c])
        #expect(bench.pool.nextLook(now: bench.now) != nil)
        bench.pass(.seconds(5))
        #expect(bench.open == [self.b, self.c])
        bench.present.remove(self.c)
        bench.pass(.seconds(5))
        #expect(bench.open == [self.b])
    }

    @Test("without a timeout an idle connection stays, and nothing is looked at")
    func noTimeout() {
        let bench = Bench(3)
        bench.send(self.a)
        bench.settle()
        bench.finish(self.a)
        bench.pass(.hours(1000))
        #expect(bench.open == [self.a])
        #expect(bench.pool.nextLook(now: bench.now) == nil)
    }

    @Test("a device whose attempts fail gives its place to the others")
    func failures() {
        let bench = Bench(1)
        bench.send(self.a, self.b)
        #expect(bench.next() == [.open(self.a)])
        bench.pool.ended(self.a)
        #expect(bench.next() == [.open(self.b)])
        bench.pool.wants(self.a, for: .sending)
        bench.pool.opened(self.b, now: bench.now)
        bench.finish(self.b)
        bench.now = bench.now + .seconds(1)
        #expect(bench.next() == [.close(self.b)])
        bench.pool.ended(self.b)
        #expect(bench.next() == [.open(self.a)])
    }

    @Test("late news changes nothing")
    func lateNews() {
        let bench = Bench(1)
        bench.pool.opened(self.a, now: bench.now)
        bench.pool.ended(self.a)
        bench.pool.withdraw(self.a)
        #expect(bench.pool.placeCount == 0)
        bench.send(self.a)
        #expect(bench.next() == [.open(self.a)])
        bench.pool.opened(self.a, now: bench.now)
        bench.pool.opened(self.a, now: bench.now)
        bench.pool.ended(self.a)
        bench.pool.ended(self.a)
        #expect(bench.pool.openCount == 0)
    }
}
