import Gateway
import MQTTCodec
import NIOCore

/// The steps that the demo is made of: each sends something, sees what comes of it, shows it in one line and notes it.
struct DemoSteps {
    let stage: DemoStage
    let screen: DemoScreen
    /// Sees everything that arrives at the outside broker.
    let watcher: DemoClient
    private(set) var record = DemoRecord()

    init(stage: DemoStage, screen: DemoScreen, watcher: DemoClient) {
        self.stage = stage
        self.screen = screen
        self.watcher = watcher
    }

    /// Something went otherwise than it should.
    mutating func problem(_ text: String) {
        self.record.problem(text)
    }

    /// A message that has to arrive outside.
    ///
    /// - Parameters:
    ///   - outside: As which it has to arrive.
    ///   - wire: What is shown of it as it is sent; nil shows nothing.
    /// - Throws: ``DemoFailure`` if it is not acknowledged or does not arrive.
    mutating func deliver(
        _ client: DemoClient,
        _ message: DemoMessage,
        as outside: DemoMessage,
        kind: String,
        wire: String?
    ) async throws {
        self.record.change(client.name, kind) { $0.sent += 1 }
        let before = try await self.stage.counters()
        guard try await client.publish(message) == .acknowledged else {
            let reasons = Self.words(try await self.stage.counters().refused(since: before))
            throw DemoFailure("\(client.name) was refused a message that is right: \(reasons)")
        }
        _ = try await self.watcher.take("what \(client.name) sent: \(DemoScreen.message(outside))") { $0 == outside }
        self.record.change(client.name, kind) { $0.delivered += 1 }
        if let wire { self.screen.step(client.name, wire, .delivered, DemoScreen.message(outside)) }
    }

    /// A message that is not sealed and has to arrive outside.
    mutating func deliver(
        _ client: DemoClient,
        _ topics: DemoTopics.Crossing,
        _ text: String,
        kind: String,
        prefix: String = ""
    ) async throws {
        let payload = ByteBuffer(string: text)
        let message = DemoMessage(topic: topics.local, payload: payload)
        let outside = DemoMessage(topic: topics.outside, payload: payload)
        let wire = prefix + DemoScreen.message(message)
        try await self.deliver(client, message, as: outside, kind: kind, wire: wire)
    }

    /// The message that the client sent last, once more: to be acknowledged, and not to be forwarded.
    mutating func repeatLast(_ client: DemoClient, _ message: DemoMessage) async throws {
        let before = try await self.stage.counters().repeated
        let answer = try await client.publish(message, isRepetition: true)
        let isRepeated = try await self.stage.counters().repeated == before + 1 && answer == .acknowledged
        self.record.change(client.name, "the same bytes again") { row in
            row.sent += 1
            row.repeated += isRepeated ? 1 : 0
        }
        if !isRepeated { self.problem("an exact retransmission of \(client.name) was not acknowledged as one") }
        self.screen.step(
            client.name,
            "\(DemoScreen.shortened(message.payload)) sent again",
            isRepeated ? .repeated : .refused,
            isRepeated ? "acknowledged, not forwarded again" : "not taken for a retransmission"
        )
    }

    /// A message that must not arrive; the gateway is asked why it was refused.
    ///
    /// - Parameters:
    ///   - reasons: What the gateway may say.
    ///   - isAcknowledged: Whether it is acknowledged and dropped, for want of another answer in MQTT 3.1.1. Otherwise the
    ///     connection is closed, and the forger learns nothing.
    ///   - wire: What is shown of it as it is sent; nil: its payload and `kind`.
    mutating func refuse(
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
        self.noteRefusal(
            client.name,
            kind,
            refused,
            as: reasons,
            isAsMeant: answer == (isAcknowledged ? .acknowledged : .closed)
        )
        self.screen.step(
            client.name,
            wire ?? "\(DemoScreen.shortened(message.payload)) \(kind)",
            refused.isEmpty ? .delivered : .refused,
            Self.verdict(refused) + (answer == .closed ? ", disconnected" : ", acknowledged")
        )
    }

    /// A subscription that must be refused.
    mutating func refuse(
        _ client: DemoClient,
        subscription filter: TopicFilter,
        kind: String,
        as reasons: Set<Refusal>
    ) async throws {
        let before = try await self.stage.counters()
        let isGranted = try await client.subscribe(filter)
        let refused = try await self.stage.counters().refused(since: before)
        self.noteRefusal(client.name, kind, refused, as: reasons, isAsMeant: !isGranted)
        self.screen.step(
            client.name,
            "subscribes to \(filter)",
            isGranted ? .delivered : .refused,
            isGranted ? "granted" : Self.verdict(refused)
        )
    }

    /// A message to the outside broker itself that must not arrive there.
    mutating func refuseOutside(
        _ client: DemoClient,
        _ message: DemoMessage,
        kind: String,
        as reasons: Set<Refusal>
    ) async throws {
        let before = try await self.stage.outsideCounters()
        let answer = try await client.publish(message)
        let refused = try await self.stage.outsideCounters().refused(since: before)
        self.noteRefusal(client.name, kind, refused, as: reasons, isAsMeant: answer == .acknowledged)
        let result = "\(DemoScreen.message(message)) \(Self.verdict(refused))"
        self.screen.step(client.name, "(\(kind))", refused.isEmpty ? .delivered : .refused, result)
    }

    /// A command that has to come down to a node.
    mutating func command(
        _ sender: DemoClient,
        _ message: DemoMessage,
        to node: DemoClient,
        as local: DemoMessage,
        kind: String,
        prefix: String
    ) async throws {
        self.record.change(sender.name, kind) { $0.sent += 1 }
        guard try await sender.publish(message) == .acknowledged else {
            throw DemoFailure("the outside broker does not take the command of \(sender.name)")
        }
        _ = try await self.watcher.take("the command of \(sender.name)") { $0 == message }
        _ = try await node.take("a command: \(DemoScreen.message(local))") { $0 == local }
        self.record.change(sender.name, kind) { $0.delivered += 1 }
        self.screen.step(node.name, prefix + DemoScreen.message(local), .cameDown, DemoScreen.message(message))
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
        self.problem("\(who), \(kind): to be refused as \(wanted), \(got)")
    }

    private static func verdict(_ refused: [Refusal: Int]) -> String {
        refused.isEmpty ? "not refused" : "refused: \(Self.words(refused))"
    }

    private static func words(_ refused: [Refusal: Int]) -> String {
        refused.isEmpty ? "no reason" : refused.keys.map(\.rawValue).sorted().joined(separator: ", ")
    }
}
