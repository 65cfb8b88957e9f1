import TestSupport

/// A publisher and a subscriber, with sessions that are kept, which resend as the standard says: over a gateway that is
/// killed while they talk. Which of them goes on, and how late it acknowledges, is drawn from a seed.
struct KilledTraffic {
    /// How many messages are on their way from the publisher at once.
    private static let window = 10
    /// Packet identifiers of the publisher, so few that each is used again and again.
    private static let identifiers = 24

    private let qos: UInt8
    private let level: UInt8
    private let total: Int
    private var random: SeededGenerator
    private var publisher: MQTTPeer?
    private var subscriber: MQTTPeer?

    private var next = 1
    /// What the publisher has not brought to its end, in order.
    private var unfinished: [(id: UInt16, number: Int, isReleased: Bool)] = []
    /// Identifiers of QoS 2 between PUBLISH and PUBREL at the subscriber.
    private var held: Set<UInt16> = []
    /// What the subscriber will acknowledge some time.
    private var owed: [(MQTTPeer.Acknowledgement, UInt16)] = []
    /// The numbers that the subscriber took, in order.
    private(set) var delivered: [Int] = []

    init(qos: UInt8, level: UInt8, total: Int, seed: UInt64) {
        self.qos = qos
        self.level = level
        self.total = total
        self.random = SeededGenerator(seed: ~seed)
    }

    /// Both connect, and the publisher sends what it owes (MQTT 5.0 §4.4).
    mutating func connect(port: Int) throws {
        let isFirst = self.subscriber == nil
        let subscriber = try MQTTPeer(port: port, .kept("subscriber", level: self.level))
        let publisher = try MQTTPeer(port: port, .kept("publisher", level: self.level))
        if isFirst {
            try subscriber.subscribe("data/#", qos: self.qos)
            // So that its session is stored.
            try publisher.subscribe("nothing")
        } else if !subscriber.isPresent || !publisher.isPresent {
            throw MQTTPeer.Unexpected(description: "a session was lost")
        }
        (self.subscriber, self.publisher) = (subscriber, publisher)
        self.owed = []
        for message in self.unfinished {
            if message.isReleased {
                try publisher.send(.pubrel, message.id)
            } else {
                try self.publish(message.number, id: message.id, isDuplicate: true)
            }
        }
    }

    /// Until so many packets came, or all is done.
    mutating func run(packets: Int) throws {
        var left = packets
        let clock = ContinuousClock()
        var last = clock.now
        while left > 0, !self.isDone {
            try self.sendSome()
            guard let publisher, let subscriber else { return }
            let first = Bool.random(using: &self.random)
            var came = false
            for isPublisher in [first, !first] where !came {
                if (isPublisher ? publisher : subscriber).raw.canReceive(within: .zero) {
                    try isPublisher ? self.received(try publisher.next()) : self.deliver(try subscriber.next())
                    came = true
                }
            }
            if came {
                left -= 1
                last = clock.now
            } else if self.owed.isEmpty {
                _ = subscriber.raw.canReceive(within: .milliseconds(1))
                if clock.now - last > .seconds(10) {
                    throw MQTTPeer.Unexpected(description: "nothing came for 10 s; \(self.unfinished)")
                }
            }
        }
    }

    private var isDone: Bool {
        self.next > self.total && self.unfinished.isEmpty && self.owed.isEmpty && self.held.isEmpty
            && (self.delivered.last ?? 0) == self.total
    }

    func expectNothing() throws {
        try self.subscriber?.expectNothing()
        try self.publisher?.expectNothing()
    }

    private mutating func sendSome() throws {
        if let (acknowledgement, id) = self.owed.first, Bool.random(using: &self.random) {
            self.owed.removeFirst()
            try self.subscriber?.send(acknowledgement, id)
        }
        while self.next <= self.total, self.unfinished.count < Self.window {
            let id = UInt16(self.next % Self.identifiers + 1)
            if self.unfinished.contains(where: { $0.id == id }) { return }
            self.unfinished.append((id, self.next, false))
            try self.publish(self.next, id: id, isDuplicate: false)
            self.next += 1
        }
    }

    private func publish(_ number: Int, id: UInt16, isDuplicate: Bool) throws {
        try self.publisher?.publish("data/x", "\(number)", qos: self.qos, id: id, isDuplicate: isDuplicate)
    }

    /// The publisher's side.
    private mutating func received(_ packet: MQTTPeer.Packet) throws {
        let place = self.unfinished.firstIndex { $0.id == packet.id }
        switch (MQTTPeer.Acknowledgement(rawValue: packet.first), place) {
        case (.puback, let place?) where self.qos == 1 && packet.code == 0:
            self.unfinished.remove(at: place)
        case (.pubrec, let place?) where self.qos == 2 && packet.code == 0:
            self.unfinished[place].isReleased = true
            try self.publisher?.send(.pubrel, packet.id)
        case (.pubcomp, let place?) where self.unfinished[place].isReleased:
            self.unfinished.remove(at: place)
        default: throw MQTTPeer.Unexpected(description: "publisher got \(packet); \(self.unfinished)")
        }
    }

    /// The subscriber's side.
    private mutating func deliver(_ packet: MQTTPeer.Packet) throws {
        if packet.first == MQTTPeer.Acknowledgement.pubrel.rawValue {
            self.held.remove(packet.id)
            self.owed.append((.pubcomp, packet.id))
            return
        }
        guard let message = self.subscriber?.message(packet), message.qos == self.qos,
            let number = Int(message.payload)
        else { throw MQTTPeer.Unexpected(description: "subscriber got \(packet)") }
        if self.qos == 1 || self.held.insert(message.id).inserted { self.delivered.append(number) }
        self.owed.append((self.qos == 1 ? .puback : .pubrec, message.id))
    }
}
