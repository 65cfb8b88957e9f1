import Devices
import Gateway
import MQTTCodec
import NIOCore
import OpenSSL
import Sealing

/// The play: what is sent, in which order, and what has to come of it.
///
/// The spool keeps the order of messages. So when the last message, an honest one, has arrived outside, everything that was
/// forwarded before it has arrived too, and nothing has to be waited for to say that a forged one did not.
struct DemoScript {
    private let stage: DemoStage
    private let screen: DemoScreen
    /// How many messages the sealed node sends before anybody interferes.
    private let messages: Int
    private let watcher: DemoClient
    private let garden: DemoClient
    private let cellar: DemoClient
    private var kitchen: SealedNode
    private var record = DemoRecord()
    /// Messages of the kitchen that were accepted.
    private var kitchenCount = 0
    /// The first and the last of them, as they were sent.
    private var recorded: DemoMessage?
    private var lastOfKitchen: DemoMessage?

    /// Connects the honest nodes, and the watcher outside.
    init(stage: DemoStage, screen: DemoScreen, messages: Int) async throws {
        self.stage = stage
        self.screen = screen
        self.messages = messages
        let cast = stage.cast
        self.watcher = try await stage.connectOutside("watcher", key: stage.outside.watcher)
        self.garden = try await stage.connect("garden")
        self.cellar = try await stage.connect(cast.cellar)
        self.kitchen = SealedNode(
            client: try await stage.connect("kitchen"),
            topic: stage.topics.kitchen.local,
            sessionTopic: stage.topics.kitchenSession,
            keys: cast.kitchenKeys,
            nodeID: cast.kitchen.nodeID ?? cast.kitchen.id.text
        )
    }

    /// Plays it to the end, or to the first thing that should have happened and did not.
    ///
    /// - Returns: What was done, with the problems if there are any.
    mutating func play() async -> DemoRecord {
        do {
            guard try await self.watcher.subscribe(try TopicFilter("#")) else {
                throw DemoFailure("the watcher may not subscribe at the outside broker")
            }
            if let protection = self.watcher.protection {
                self.screen.say("A watcher there, connected with its own key (\(protection)), sees what arrives.")
            }
            self.screen.heads()
            try await self.honestNodes()
            try await self.forger()
            try await self.stolenSeals()
            try await self.replayer()
            try await self.strays()
            try await self.command()
            try await self.otherBranch()
            try await self.deliver(self.garden, self.stage.topics.garden, "19.0 C", kind: "plain MQTT")
            try await self.audit()
        } catch {
            self.record.problem("\(error)")
        }
        return self.record
    }

    // MARK: Scenes

    private mutating func honestNodes() async throws {
        let topics = self.stage.topics
        try await self.deliver(self.garden, topics.garden, "18.5 C", kind: "plain MQTT")
        try await self.deliver(self.cellar, topics.cellar, "7.5 C", kind: "TLS-PSK", prefix: "TLS-PSK ")
        try await self.kitchen.begin()
        for number in 1...self.messages {
            // Of a long row the first and the last few are shown.
            let isShown = number <= 8 || number > self.messages - 2 || self.messages <= 12
            if number == 9, !isShown { self.screen.say("           ...") }
            try await self.kitchenSends(isShown: isShown)
        }
        guard let last = self.lastOfKitchen else { return }
        let before = try await self.stage.counters()
        let answer = try await self.kitchen.client.publish(last, isRepetition: true)
        let isRepeated = try await self.stage.counters().repeated == before.repeated + 1 && answer == .acknowledged
        self.record.change("kitchen", "the same bytes again") { row in
            row.sent += 1
            row.repeated += isRepeated ? 1 : 0
        }
        if !isRepeated { self.record.problem("an exact retransmission was not acknowledged as one") }
        self.screen.step(
            "kitchen",
            "\(DemoScreen.shortened(last.payload)) sent again",
            isRepeated ? .repeated : .refused,
            "acknowledged, not forwarded again"
        )
    }

    /// Knows the topic and, as everybody may, the session ID; has no keys.
    private mutating func forger() async throws {
        let topic = self.kitchen.topic
        var eve = SealedNode(
            client: try await self.stage.connect("forger"),
            topic: topic,
            sessionTopic: self.kitchen.sessionTopic,
            keys: .random(),
            nodeID: self.stage.cast.kitchen.nodeID ?? self.stage.cast.kitchen.id.text
        )
        try await eve.begin()
        let forged = try await eve.seal("99.9 C")
        try await self.refuse(eve.client, forged, kind: "wrong keys", as: [.badSeal])
        try await self.kitchenSends()
        let garbage = DemoMessage(topic: topic, payload: ByteBuffer(bytes: SecureRandom.bytes(count: 64)))
        try await self.refuse(try await self.stage.connect("forger"), garbage, kind: "garbage", as: [.sealRequired])
        let plain = DemoMessage(topic: topic, payload: ByteBuffer(string: "99.9 C"))
        try await self.refuse(try await self.stage.connect("forger"), plain, kind: "no seal at all", as: [.sealRequired])
        try await self.kitchenSends()
    }

    /// A device that TLS proves sends what another one has sealed; then the same message comes late.
    private mutating func stolenSeals() async throws {
        let stolen = try await self.kitchen.seal("#0 21.0 C")
        let porch = try await self.stage.connect(self.stage.cast.porch)
        try await self.refuse(porch, stolen, kind: "kitchen's seal", as: [.identityMismatch])
        try await self.kitchenSends()
        let late = try await self.stage.connect("replayer")
        try await self.refuse(late, stolen, kind: "sent too late", as: [.replay])
    }

    /// Sends the first message of the kitchen again when it is no longer one of the last few, which might be
    /// retransmissions.
    private mutating func replayer() async throws {
        let remembered = max(8, 2 * self.stage.plan.sealedProfile.window)
        while self.kitchenCount <= remembered { try await self.kitchenSends() }
        guard let recorded = self.recorded else { return }
        let client = try await self.stage.connect("replayer")
        try await self.refuse(client, recorded, kind: "a recording", as: [.replay, .badSeal])
    }

    /// Two nodes that leave their own topics.
    private mutating func strays() async throws {
        let elsewhere = DemoMessage(topic: self.kitchen.topic, payload: ByteBuffer(string: "7.6 C"))
        try await self.refuse(
            self.cellar,
            elsewhere,
            kind: "on the kitchen's topic",
            as: [.policy],
            isAcknowledged: true,
            wire: "TLS-PSK \(DemoScreen.message(elsewhere))"
        )
        let filter = self.stage.topics.commandFilter
        let before = try await self.stage.counters()
        let isGranted = try await self.garden.subscribe(filter)
        let refused = try await self.stage.counters().refused(since: before)
        self.noteRefusal("garden", "the cellar's commands", refused, as: [.policy], isAsMeant: !isGranted)
        self.screen.step(
            "garden",
            "subscribes to \(filter)",
            isGranted ? .delivered : .refused,
            isGranted ? "granted" : "refused: \(Self.words(refused))"
        )
    }

    /// A command from outside travels down to a node.
    private mutating func command() async throws {
        let topics = self.stage.topics
        guard try await self.cellar.subscribe(topics.commandFilter) else {
            throw DemoFailure("the cellar may not subscribe to \(topics.commandFilter)")
        }
        let sender = try await self.stage.connectOutside("operator", key: self.stage.outside.operatorKey)
        let sent = DemoMessage(topic: topics.command.outside, payload: ByteBuffer(string: "on"))
        let expected = DemoMessage(topic: topics.command.local, payload: sent.payload)
        self.record.change("operator", "a command, from outside") { $0.sent += 1 }
        guard try await sender.publish(sent) == .acknowledged else {
            throw DemoFailure("the outside broker does not take the operator's command")
        }
        _ = try await self.watcher.take("the operator's command") { $0 == sent }
        _ = try await self.cellar.take("a command") { $0 == expected }
        self.record.change("operator", "a command, from outside") { $0.delivered += 1 }
        self.screen.step("cellar", "TLS-PSK \(DemoScreen.message(expected))", .cameDown, DemoScreen.message(sent))
    }

    /// Whoever steals the gateway's key for the outside broker still has one branch only.
    private mutating func otherBranch() async throws {
        let topics = try ["sites/elsewhere", "elsewhere/alarm", "alarm"].map { try TopicName($0) }
        let published = self.stage.plan.published
        guard let topic = topics.first(where: { topic in !published.contains { $0.matches(topic) } }) else { return }
        let thief = try await self.stage.connectOutside("thief", key: self.stage.outside.gatewayKey)
        let message = DemoMessage(topic: topic, payload: ByteBuffer(string: "on"))
        let before = try await self.stage.outsideCounters()
        let answer = try await thief.publish(message)
        let refused = try await self.stage.outsideCounters().refused(since: before)
        self.noteRefusal(
            "thief",
            "outside, the gateway's key",
            refused,
            as: [.policy],
            isAsMeant: answer == .acknowledged
        )
        let result = "\(DemoScreen.message(message)) refused: \(Self.words(refused))"
        self.screen.step("thief", "(outside, with the gateway's key)", .refused, result)
        await thief.close()
    }

    /// Whether anything arrived that should not have, and whether the gateway counted what was seen.
    private mutating func audit() async throws {
        for extra in try await self.watcher.unread() {
            self.record.problem("arrived outside and should not have: \(DemoScreen.message(extra))")
        }
        for extra in try await self.cellar.unread() {
            self.record.problem("came down and should not have: \(DemoScreen.message(extra))")
        }
        let counters = try await self.stage.counters()
        if counters.opened != self.kitchenCount {
            self.record.problem("the gateway opened \(counters.opened) messages and not \(self.kitchenCount)")
        }
        let refused = self.record.rows.filter { $0.who != "thief" }.reduce(0) { $0 + $1.refusedTotal }
        if counters.refusedTotal != refused {
            self.record.problem("the gateway refused \(counters.refusedTotal) times and not \(refused)")
        }
    }

    // MARK: Steps

    /// The kitchen seals and sends its next message, which has to arrive outside, opened.
    private mutating func kitchenSends(isShown: Bool = true) async throws {
        let number = self.kitchenCount + 1
        let text = "#\(number) \(20 + number / 10 % 10).\(number % 10) C"
        let sealed = try await self.kitchen.seal(text)
        try await self.send(
            self.kitchen.client,
            sealed,
            opened: text,
            outside: self.stage.topics.kitchen.outside,
            kind: "sealed v1",
            wire: isShown ? DemoScreen.shortened(sealed.payload) : nil
        )
        self.kitchen.accepted()
        self.kitchenCount = number
        self.lastOfKitchen = sealed
        if self.recorded == nil { self.recorded = sealed }
    }

    /// A node sends a message that is not sealed, which has to arrive outside.
    private mutating func deliver(
        _ client: DemoClient,
        _ topics: DemoTopics.Crossing,
        _ text: String,
        kind: String,
        prefix: String = ""
    ) async throws {
        let message = DemoMessage(topic: topics.local, payload: ByteBuffer(string: text))
        try await self.send(
            client,
            message,
            opened: text,
            outside: topics.outside,
            kind: kind,
            wire: prefix + DemoScreen.message(message)
        )
    }

    /// - Parameter wire: What is shown of it; nil shows nothing.
    private mutating func send(
        _ client: DemoClient,
        _ message: DemoMessage,
        opened: String,
        outside: TopicName,
        kind: String,
        wire: String?
    ) async throws {
        self.record.change(client.name, kind) { $0.sent += 1 }
        let before = try await self.stage.counters()
        guard try await client.publish(message) == .acknowledged else {
            let reasons = Self.words(try await self.stage.counters().refused(since: before))
            throw DemoFailure("\(client.name) sent \"\(opened)\" and was refused: \(reasons)")
        }
        let expected = DemoMessage(topic: outside, payload: ByteBuffer(string: opened))
        _ = try await self.watcher.take("\"\(opened)\" of \(client.name) on \(outside)") { $0 == expected }
        self.record.change(client.name, kind) { $0.delivered += 1 }
        if let wire { self.screen.step(client.name, wire, .delivered, DemoScreen.message(expected)) }
    }

    /// Sends a message that must not arrive, and asks the gateway why it was refused.
    ///
    /// - Parameters:
    ///   - reasons: What the gateway may say.
    ///   - isAcknowledged: Whether it is acknowledged and dropped, for want of another answer in MQTT 3.1.1. Otherwise the
    ///     connection is closed, and the forger learns nothing.
    private mutating func refuse(
        _ client: DemoClient,
        _ message: DemoMessage,
        kind: String,
        as reasons: Set<Refusal>,
        isAcknowledged: Bool = false,
        wire: String? = nil
    ) async throws {
        let before = try await self.stage.counters()
        let answer = try await client.publish(message)
        let refused = try await self.stage.counters().refused(since: before)
        let isAsMeant = answer == (isAcknowledged ? .acknowledged : .closed)
        self.noteRefusal(client.name, kind, refused, as: reasons, isAsMeant: isAsMeant)
        let answerText = answer == .closed ? "disconnected" : "dropped"
        self.screen.step(
            client.name,
            wire ?? "\(DemoScreen.shortened(message.payload)) \(kind)",
            refused.isEmpty ? .delivered : .refused,
            "refused: \(Self.words(refused)), \(answerText)"
        )
    }

    /// - Parameter isAsMeant: Whether the sender was answered as it should.
    private mutating func noteRefusal(
        _ who: String,
        _ kind: String,
        _ refused: [Refusal: Int],
        as reasons: Set<Refusal>,
        isAsMeant: Bool
    ) {
        self.record.change(who, kind) { row in
            row.sent += 1
            for (reason, count) in refused { row.refused[reason.rawValue, default: 0] += count }
        }
        let isOne = refused.values.reduce(0, +) == 1 && refused.keys.allSatisfy(reasons.contains)
        guard !isOne || !isAsMeant else { return }
        let wanted = reasons.map(\.rawValue).sorted().joined(separator: " or ")
        let got = isOne ? "was answered otherwise" : "was refused as: \(Self.words(refused))"
        self.record.problem("\(who), \(kind): to be refused as \(wanted), \(got)")
    }

    private static func words(_ refused: [Refusal: Int]) -> String {
        refused.isEmpty ? "nothing" : refused.keys.map(\.rawValue).sorted().joined(separator: ", ")
    }
}
