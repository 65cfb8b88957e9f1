import Broker
import Devices
import MQTTCodec
import NIOCore
import Store
import Testing

@testable import Gateway

@Suite("Commands that wait to be sealed")
struct CommandDeskTests {
    private final class Source: CommandSource {
        var isHere = true
    }

    private let source = Source()
    private let device: DeviceID
    private let topic: TopicName

    init() throws {
        self.device = try DeviceID("k")
        self.topic = try TopicName("n/k/cmd")
    }

    private func id(_ text: String, retain: Bool = true, proven: Bool = false) -> CommandSessionID {
        CommandSessionID(ByteBuffer(string: text), isRetained: retain, isProven: proven, source: self.source)
    }

    private func message(
        _ text: String,
        on topic: TopicName? = nil,
        retain: Bool = false,
        replaces: Bool = false,
        expiry: NIODeadline? = nil
    ) -> Message {
        Message(
            topic: topic ?? self.topic,
            payload: ByteBuffer(string: text),
            qos: .atLeastOnce,
            retain: retain,
            expiry: expiry,
            replacesWaiting: replaces
        )
    }

    /// Holds a command; the payloads that left for it, or nil if there is no room.
    @discardableResult
    private func hold(_ message: Message, order: Int64, at desk: CommandDesk) -> [String]? {
        guard let (topic, displaced) = desk.makeRoom(for: message, of: self.device) else { return nil }
        desk.append(WaitingCommand(message: message, order: order, number: order, batch: 0), to: topic)
        return displaced.map { String(buffer: $0.message.payload) }
    }

    private func waiting(_ desk: CommandDesk) -> [String] {
        desk[self.device]?.topic(self.topic)?.waiting.map { String(buffer: $0.message.payload) } ?? []
    }

    @Test("a session ID is for one command; what was sealed under one that failed to be written needs another")
    func oneEach() throws {
        let desk = CommandDesk()
        self.hold(self.message("1"), order: 1, at: desk)
        self.hold(self.message("2"), order: 2, at: desk)
        let topic = try #require(desk[self.device]?.topic(self.topic))
        #expect(desk.next(of: topic) == nil)
        #expect(desk.offer(self.id("a"), for: self.topic, of: self.device) == .taken)
        #expect(desk.next(of: topic)?.command.order == 1)
        #expect(desk.offer(self.id("b"), for: self.topic, of: self.device) == .taken)
        #expect(desk.next(of: topic) == nil, "one leaves at a time")
        desk.stays(topic)
        #expect(desk.offer(self.id("a"), for: self.topic, of: self.device) == .used)
        #expect(desk.next(of: topic)?.id.bytes == Array("b".utf8))
        desk.left(topic)
        #expect(self.waiting(desk) == ["2"])
        // The same ID for another topic is the same ID.
        #expect(desk.offer(self.id("c"), for: self.topic, of: self.device) == .taken)
        let other = try TopicName("n/k/other")
        #expect(desk.offer(self.id("c"), for: other, of: self.device) == .taken)
        self.hold(self.message("3", on: other), order: 3, at: desk)
        #expect(desk.next(of: topic)?.command.order == 2)
        desk.left(topic)
        let second = try #require(desk[self.device]?.topic(other))
        #expect(desk.next(of: second) == nil)
        #expect(desk.messages == 1)
        #expect(desk.busy.count == 1)
    }

    @Test("an ID that is not retained goes with its connection; one that is proven is not displaced by one that is not")
    func lifetimes() throws {
        let desk = CommandDesk()
        self.hold(self.message("1"), order: 1, at: desk)
        let topic = try #require(desk[self.device]?.topic(self.topic))
        #expect(desk.offer(self.id("a", retain: false), for: self.topic, of: self.device) == .taken)
        self.source.isHere = false
        #expect(desk.next(of: topic) == nil)
        self.source.isHere = true
        #expect(desk.offer(self.id("b", proven: true), for: self.topic, of: self.device) == .taken)
        #expect(desk.offer(self.id("c"), for: self.topic, of: self.device) == .notProven)
        #expect(desk.next(of: topic)?.id.bytes == Array("b".utf8))
        #expect(desk.offer(self.id("d"), for: self.topic, of: self.device) == .notProven)
        #expect(desk.offer(self.id("e", proven: true), for: self.topic, of: self.device) == .taken)
        #expect(!desk.withdraw(self.topic, of: self.device, isProven: false))
        #expect(topic.sessionID != nil)
        #expect(desk.withdraw(self.topic, of: self.device, isProven: true))
        #expect(topic.sessionID == nil)
    }

    @Test(
        "the last takes the place of those that wait, but of none that is leaving; a retained one that of a retained one"
    )
    func replaces() throws {
        let desk = CommandDesk()
        #expect(desk.offer(self.id("a"), for: self.topic, of: self.device) == .taken)
        for number in 1...3 { self.hold(self.message("\(number)"), order: Int64(number), at: desk) }
        let topic = try #require(desk[self.device]?.topic(self.topic))
        #expect(desk.next(of: topic)?.command.order == 1)
        #expect(self.hold(self.message("r", retain: true), order: 4, at: desk) == [])
        #expect(self.hold(self.message("r2", retain: true), order: 5, at: desk) == ["r"])
        #expect(self.hold(self.message("last", replaces: true), order: 6, at: desk) == ["2", "3", "r2"])
        #expect(self.waiting(desk) == ["1", "last"])
        desk.left(topic)
        #expect(self.waiting(desk) == ["last"])
        #expect(desk.messages == 1)
    }

    @Test("what expired, could not be written, or is for a device that is gone leaves, and is not counted any more")
    func leaves() throws {
        let desk = CommandDesk()
        let now = NIODeadline.now()
        self.hold(self.message("1", expiry: now), order: 1, at: desk)
        self.hold(self.message("2", expiry: now + .hours(1)), order: 2, at: desk)
        self.hold(self.message("3"), order: 3, at: desk)
        let topic = try #require(desk[self.device]?.topic(self.topic))
        #expect(desk.takeExpired(of: topic, now: now).map(\.order) == [1])
        desk.remove(order: 2)
        desk.remove(order: 2)
        #expect(self.waiting(desk) == ["3"])
        #expect(desk.forget(self.device).map(\.order) == [3])
        #expect(desk.messages == 0)
        #expect(desk.bytes == 0)
        #expect(desk.busy.isEmpty)
        #expect(desk[self.device] == nil)
    }

    @Test("commands and topics of a device have limits; a topic that only has a session ID gives way")
    func limits() throws {
        let desk = CommandDesk(
            limits: .init(topicsPerDevice: 2, messagesPerDevice: 2, bytesPerDevice: 1_000, bytes: 1_500)
        )
        let topics = try (0...5).map { try TopicName("n/k/\($0)") }
        for number in 1...3 {
            #expect(desk.offer(self.id("\(number)"), for: topics[number], of: self.device) == .taken)
        }
        #expect(desk[self.device]?.topics.map(\.topic.description) == ["n/k/2", "n/k/3"])
        #expect(self.hold(self.message("a", on: topics[2]), order: 1, at: desk) != nil)
        #expect(self.hold(self.message("b", on: topics[4]), order: 2, at: desk) != nil)
        #expect(desk[self.device]?.topics.map(\.topic.description) == ["n/k/2", "n/k/4"])
        #expect(self.hold(self.message("c", on: topics[4]), order: 3, at: desk) == nil)
        #expect(desk.offer(self.id("x"), for: topics[5], of: self.device) == .full)
        desk.remove(order: 2)
        let large = self.message(String(repeating: "x", count: 700), on: topics[4])
        #expect(self.hold(large, order: 4, at: desk) == nil)
        let other = try #require(
            desk.makeRoom(for: self.message("d"), of: try DeviceID("other")),
            "each device has its own room"
        )
        #expect(other.displaced.isEmpty)
    }

    @Test("one that replaces those that wait counts without them; if there is no room for it still, they stay")
    func replacesOnlyWithRoom() throws {
        let size = WaitingCommand.size(of: self.message("x"))
        let large = String(repeating: "x", count: size)
        for limits in [
            CommandDesk.Limits(messagesPerDevice: 2),
            CommandDesk.Limits(bytesPerDevice: 2 * size),
            CommandDesk.Limits(bytes: 2 * size),
        ] {
            let desk = CommandDesk(limits: limits)
            self.hold(self.message("1"), order: 1, at: desk)
            self.hold(self.message("2"), order: 2, at: desk)
            #expect(self.hold(self.message("3"), order: 3, at: desk) == nil)
            #expect(self.hold(self.message("4", replaces: true), order: 4, at: desk) == ["1", "2"])
            self.hold(self.message("5", retain: true), order: 5, at: desk)
            #expect(self.hold(self.message("6", retain: true), order: 6, at: desk) == ["5"])
            // What is on its way is in the way.
            #expect(desk.offer(self.id("a"), for: self.topic, of: self.device) == .taken)
            let topic = try #require(desk[self.device]?.topic(self.topic))
            #expect(desk.next(of: topic)?.command.order == 4)
            let other = try TopicName("n/k/other")
            #expect(self.hold(self.message("7", on: other, replaces: true), order: 7, at: desk) == nil)
            #expect(self.hold(self.message("8", replaces: true), order: 8, at: desk) == ["6"])
            desk.stays(topic)
            if limits.messagesPerDevice > 2 {
                #expect(self.hold(self.message(large + "xx", replaces: true), order: 9, at: desk) == nil)
            }
            #expect(self.waiting(desk) == ["4", "8"])
            #expect(desk.messages == 2)
            #expect(desk.bytes == 2 * size)
        }
    }

    @Test("what was used, and what is retained, comes back from the store; what nobody can have written does not")
    func record() throws {
        let desk = CommandDesk()
        let other = try TopicName("n/k/other")
        self.hold(self.message("1"), order: 1, at: desk)
        for (id, topic, retain) in [("a", self.topic, true), ("kept", other, true)] {
            #expect(desk.offer(self.id(id, retain: retain), for: topic, of: self.device) == .taken)
        }
        let topic = try #require(desk[self.device]?.topic(self.topic))
        #expect(desk.next(of: topic) != nil)
        #expect(desk.offer(self.id("passing", retain: false), for: self.topic, of: self.device) == .taken)
        let record = try #require(desk[self.device]).record
        let next = CommandDesk()
        next.restore(record, device: self.device)
        #expect(next.offer(self.id("a"), for: self.topic, of: self.device) == .used)
        #expect(next[self.device]?.topics.map(\.topic) == [other])
        #expect(next[self.device]?.topic(other)?.sessionID?.bytes == Array("kept".utf8))
        #expect(next[self.device]?.record == record)
        // Every prefix, and other bytes, can be read.
        for count in 0..<record.ids.readableBytes {
            let cut = record.ids.getSlice(at: 0, length: count) ?? ByteBuffer()
            let odd = CommandSessionRecord(device: "k", ids: cut, used: ByteBuffer(bytes: [1, 2, 3]))
            next.restore(odd, device: self.device)
            #expect(next[self.device]?.topics.isEmpty == true)
        }
        let odd = ByteBuffer(bytes: [0, 1, UInt8(ascii: "+"), 1, 65, 0, 1, 65, 2, 65, 32, 0, 1, 66, 1, 67])
        next.restore(CommandSessionRecord(device: "k", ids: odd, used: ByteBuffer()), device: self.device)
        #expect(next[self.device]?.topics.map(\.topic.description) == ["B"])
    }

    @Test("that a device proves itself is known after a restart, and is not said of one that did not")
    func proof() throws {
        for (proven, retain) in [(true, true), (true, false), (false, true)] {
            let desk = CommandDesk()
            func offer(_ text: String, _ retain: Bool) -> CommandDesk.Offer {
                desk.offer(self.id(text, retain: retain, proven: proven), for: self.topic, of: self.device)
            }
            #expect(offer("a", retain) == .taken)
            let own = try #require(desk[self.device])
            #expect(own.isChanged)
            own.isChanged = false
            #expect(offer("b", false) == .taken)
            #expect(own.isChanged == retain, "it is written once")
            #expect(offer("c", retain) == .taken)
            let next = CommandDesk()
            next.restore(own.record, device: self.device)
            #expect(next[self.device]?.record == own.record)
            let entry = next[self.device]?.topic(self.topic)
            #expect((entry?.sessionID?.bytes == Array("c".utf8)) == retain)
            #expect(next.withdraw(self.topic, of: self.device, isProven: false) == !proven)
            let answer = next.offer(self.id("d"), for: self.topic, of: self.device)
            #expect(answer == (proven ? .notProven : .taken))
            #expect(next.offer(self.id("e", proven: true), for: self.topic, of: self.device) == .taken)
        }
        // What an earlier version wrote, and an entry without a topic that says another thing.
        for ids in [[0, 1, 66, 1, 67], [0, 0, 1, 1, 0, 1, 66, 1, 67]] as [[UInt8]] {
            let next = CommandDesk()
            next.restore(
                CommandSessionRecord(device: "k", ids: ByteBuffer(bytes: ids), used: ByteBuffer()),
                device: self.device
            )
            #expect(next[self.device]?.topics.map(\.topic.description) == ["B"])
            #expect(next.offer(self.id("d"), for: try TopicName("B"), of: self.device) == .taken)
        }
    }

    static let bad = ["", "a b", "a,b", "tab\t", "caf\u{E9}", String(repeating: "x", count: 65)]

    @Test("a session ID is 1 to 64 printable characters without blanks and commas", arguments: Self.bad)
    func badIDs(text: String) {
        #expect(CommandSessionID.problem(with: ByteBuffer(string: text)) != nil)
        #expect(CommandSessionID.problem(with: ByteBuffer(string: String(repeating: "~", count: 64))) == nil)
        #expect(CommandSessionID.problem(with: ByteBuffer(string: "!")) == nil)
    }
}
