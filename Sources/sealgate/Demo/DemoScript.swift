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
    private let garden: DemoClient
    private let cellar: DemoClient
    private var kitchen: SealedNode
    private var steps: DemoSteps
    /// Messages of the kitchen that were accepted.
    private var kitchenCount = 0
    /// The first and the last of them, as they were sent.
    private var recorded: DemoMessage?
    private var last: DemoMessage?

    /// Connects the honest nodes, and the watcher outside.
    init(stage: DemoStage, screen: DemoScreen, messages: Int) async throws {
        self.stage = stage
        self.screen = screen
        self.messages = messages
        let watcher = try await stage.connectOutside("watcher", key: stage.outside.watcher)
        self.steps = DemoSteps(stage: stage, screen: screen, watcher: watcher)
        self.garden = try await stage.connect("garden")
        self.cellar = try await stage.connect(stage.cast.cellar)
        self.kitchen = SealedNode(
            client: try await stage.connect("kitchen"),
            topic: stage.topics.kitchen.local,
            sessionTopic: stage.topics.kitchenSession,
            keys: stage.cast.kitchenKeys,
            nodeID: DemoCast.kitchenNodeID
        )
    }

    /// Plays it to the end, or to the first thing that should have happened and did not.
    ///
    /// - Returns: What was done, with the problems if there are any.
    mutating func play() async -> DemoRecord {
        do {
            guard try await self.steps.watcher.subscribe(try TopicFilter("#")) else {
                throw DemoFailure("the watcher may not subscribe at the outside broker")
            }
            if let protection = self.steps.watcher.protection {
                self.screen.say("A watcher there, connected with its own key (\(protection)), sees what arrives.")
            }
            self.screen.heads()
            try await self.honestNodes()
            try await self.forger()
            try await self.stolenSeal()
            try await self.replayer()
            try await self.strays()
            try await self.command()
            try await self.otherBranch()
            try await self.steps.deliver(self.garden, self.stage.topics.garden, "19.0 C", kind: "plain MQTT")
            try await self.audit()
        } catch {
            self.steps.problem("\(error)")
        }
        return self.steps.record
    }

    // MARK: Scenes

    private mutating func honestNodes() async throws {
        let topics = self.stage.topics
        try await self.steps.deliver(self.garden, topics.garden, "18.5 C", kind: "plain MQTT")
        try await self.steps.deliver(self.cellar, topics.cellar, "7.5 C", kind: "TLS-PSK", prefix: "TLS-PSK ")
        try await self.kitchen.begin()
        for number in 1...self.messages {
            // Of a long row the first and the last few are shown.
            let isShown = self.messages <= 12 || number <= 8 || number > self.messages - 2
            if !isShown, number == 9 { self.screen.say(" kitchen  ...") }
            try await self.kitchenSends(isShown: isShown)
        }
        if let last { try await self.steps.repeatLast(self.kitchen.client, last) }
    }

    /// Knows the topic, the node id and, as anybody may, the session ID; has no keys.
    private mutating func forger() async throws {
        let topic = self.kitchen.topic
        var forger = SealedNode(
            client: try await self.stage.connect("forger"),
            topic: topic,
            sessionTopic: self.kitchen.sessionTopic,
            keys: .random(),
            nodeID: DemoCast.kitchenNodeID
        )
        try await forger.begin()
        let forged = try await forger.seal("99.9 C")
        try await self.steps.refuse(forger.client, forged, kind: "wrong keys", as: [.badSeal])
        // Nobody locks the kitchen out.
        try await self.kitchenSends()

        let garbage = DemoMessage(topic: topic, payload: ByteBuffer(bytes: SecureRandom.bytes(count: 64)))
        var client = try await self.stage.connect("forger")
        try await self.steps.refuse(client, garbage, kind: "garbage", as: [.sealRequired])
        let plain = DemoMessage(topic: topic, payload: ByteBuffer(string: "99.9 C"))
        client = try await self.stage.connect("forger")
        try await self.steps.refuse(client, plain, kind: "no seal at all", as: [.sealRequired])
        try await self.kitchenSends()
    }

    /// A device that TLS proves sends what another one has sealed; the same message then comes late, when the kitchen has
    /// used its session ID for another.
    private mutating func stolenSeal() async throws {
        let stolen = try await self.kitchen.seal("21.0 C, held back")
        let porch = try await self.stage.connect(self.stage.cast.porch)
        try await self.steps.refuse(porch, stolen, kind: "kitchen's seal", as: [.identityMismatch])
        try await self.kitchenSends()
        let late = try await self.stage.connect("replayer")
        try await self.steps.refuse(late, stolen, kind: "sent too late", as: [.replay])
    }

    /// Sends the first message of the kitchen again when it is no longer one of the last few, which might be
    /// retransmissions.
    private mutating func replayer() async throws {
        let remembered = max(8, 2 * self.stage.plan.sealedProfile.window)
        while self.kitchenCount <= remembered { try await self.kitchenSends() }
        guard let recorded else { return }
        let client = try await self.stage.connect("replayer")
        // The gateway does not tell for ever that it was a good seal once.
        try await self.steps.refuse(client, recorded, kind: "a recording", as: [.replay, .badSeal])
    }

    /// Two nodes that leave their own topics.
    private mutating func strays() async throws {
        let elsewhere = DemoMessage(topic: self.kitchen.topic, payload: ByteBuffer(string: "7.6 C"))
        try await self.steps.refuse(
            self.cellar,
            elsewhere,
            kind: "on the kitchen's topic",
            as: [.policy],
            isAcknowledged: true,
            wire: "TLS-PSK \(DemoScreen.message(elsewhere))"
        )
        let filter = self.stage.topics.commandFilter
        try await self.steps.refuse(self.garden, subscription: filter, kind: "the cellar's commands", as: [.policy])
    }

    /// A command from outside travels down to a node.
    private mutating func command() async throws {
        let topics = self.stage.topics
        guard try await self.cellar.subscribe(topics.commandFilter) else {
            throw DemoFailure("the cellar may not subscribe to \(topics.commandFilter)")
        }
        let sender = try await self.stage.connectOutside("operator", key: self.stage.outside.operatorKey)
        let payload = ByteBuffer(string: "on")
        try await self.steps.command(
            sender,
            DemoMessage(topic: topics.command.outside, payload: payload),
            to: self.cellar,
            as: DemoMessage(topic: topics.command.local, payload: payload),
            kind: "a command, from outside",
            prefix: "TLS-PSK "
        )
    }

    /// Whoever steals the gateway's key for the outside broker still has one branch only.
    private mutating func otherBranch() async throws {
        let topics = try ["sites/elsewhere", "elsewhere/alarm", "alarm"].map { try TopicName($0) }
        let published = self.stage.plan.published
        guard let topic = topics.first(where: { topic in !published.contains { $0.matches(topic) } }) else { return }
        let thief = try await self.stage.connectOutside("thief", key: self.stage.outside.gatewayKey)
        let message = DemoMessage(topic: topic, payload: ByteBuffer(string: "on"))
        try await self.steps.refuseOutside(thief, message, kind: "outside, the gateway's key", as: [.policy])
    }

    /// Whether anything arrived that should not have, and whether the gateway counted what was seen.
    private mutating func audit() async throws {
        for extra in try await self.steps.watcher.unread() {
            self.steps.problem("arrived outside and should not have: \(DemoScreen.message(extra))")
        }
        for extra in try await self.cellar.unread() {
            self.steps.problem("came down and should not have: \(DemoScreen.message(extra))")
        }
        let counters = try await self.stage.counters()
        if counters.opened != self.kitchenCount {
            self.steps.problem("the gateway opened \(counters.opened) messages and not \(self.kitchenCount)")
        }
        let refused = self.steps.record.rows.filter { $0.who != "thief" }.reduce(0) { $0 + $1.refusedTotal }
        if counters.refusedTotal != refused {
            self.steps.problem("the gateway refused \(counters.refusedTotal) times and not \(refused)")
        }
    }

    // MARK: The kitchen

    /// The kitchen seals and sends its next message, which has to arrive outside, opened.
    private mutating func kitchenSends(isShown: Bool = true) async throws {
        let number = self.kitchenCount + 1
        let text = "#\(number) 2\(number / 10 % 10).\(number % 10) C"
        let sealed = try await self.kitchen.seal(text)
        try await self.steps.deliver(
            self.kitchen.client,
            sealed,
            as: DemoMessage(topic: self.stage.topics.kitchen.outside, payload: ByteBuffer(string: text)),
            kind: "sealed v1",
            wire: isShown ? DemoScreen.shortened(sealed.payload) : nil
        )
        self.kitchen.accepted()
        self.kitchenCount = number
        self.last = sealed
        if self.recorded == nil { self.recorded = sealed }
    }
}
