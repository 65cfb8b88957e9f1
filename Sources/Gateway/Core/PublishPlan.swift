import Devices
import MQTTCodec
import NIOCore
import Sealing

/// What happens to messages of one connection on one topic: worked out once and used again while neither the topic nor
/// the devices change, so that the message path neither searches the registry nor maps topics again.
enum PublishPlan {
    /// The sender is known already: by the transport, or by a profile that lets it send in the clear.
    case plain(Destination)
    /// The seal must prove the sender.
    case sealed(SealedPlan)
    /// Nothing on this topic can be taken; the detail is for the operator.
    case refused(Refusal, device: String, detail: String)
}

/// How a sealed message on one topic is opened.
final class SealedPlan {
    /// The session topics whose session IDs may have been used, the likeliest first.
    let channels: [SealedChannel]
    /// The device that the topic or the client id names; the seal has to prove it.
    let claimed: DeviceID?
    /// The device that the transport proved, which the seal must prove too; nil on an unproven connection or a relay.
    let required: DeviceID?
    /// Longest payload as it arrives, by the profiles of those who may have sent it.
    let maxPayload: Int
    /// Taken when a message is not sealed at all and the profile of the claimed device allows plaintext.
    let plaintext: Destination?
    /// What the last proven device may do on this topic.
    var destination: Destination?

    init(channels: [SealedChannel], claimed: DeviceID?, required: DeviceID?, plaintext: Destination?) {
        self.channels = channels
        self.claimed = claimed
        self.required = required
        self.plaintext = plaintext
        self.maxPayload = max(channels.map(\.maxPayload).max() ?? 0, plaintext?.profile.maxPayload ?? 0)
    }
}

/// What one sender may do on one topic, and where it leads.
final class Destination {
    /// The proven sender; nil for a guest.
    let device: DeviceID?
    let profile: Profile
    /// In storage of its own.
    let topic: TopicName
    /// Whether the policy allows the topic, with the line that says so.
    let decision: Decision
    let routes: [RoutedTopic]
    /// The sender's share of the gateway, if its profile has a rate.
    let pace: SenderPace?
    /// Whose session IDs are published here, and for the commands of which topic; nil: it is no such topic.
    let commandSession: (device: DeviceID, commands: TopicName)?
    /// The other device that messages on this topic are sealed for; nil: none.
    let sealedFor: DeviceID?

    init(
        device: DeviceID?,
        profile: Profile,
        topic: TopicName,
        decision: Decision,
        routes: [RoutedTopic],
        pace: SenderPace?,
        commandSession: (device: DeviceID, commands: TopicName)? = nil,
        sealedFor: DeviceID? = nil
    ) {
        self.device = device
        self.profile = profile
        self.topic = topic
        self.decision = decision
        self.routes = routes
        self.pace = pace
        self.commandSession = commandSession
        self.sealedFor = sealedFor
    }

    /// The sender's name for logs.
    var name: String { self.device?.text ?? "guest" }
}

/// The publish rate of one device, over all its connections.
final class SenderPace {
    private static let maxDebt = TimeAmount.minutes(1)

    private let perMessage: TimeAmount
    private let burst: TimeAmount
    /// When the device has used up what it was given so far.
    private var spentUntil: NIODeadline = .distantPast

    init(_ rate: Rate) {
        let interval = TimeAmount(rate.interval).nanoseconds
        self.perMessage = .nanoseconds(max(interval / Int64(max(rate.count, 1)), 1))
        self.burst = .nanoseconds(interval)
    }

    /// Whether one more message is within the rate.
    func hasRoom(now: NIODeadline) -> Bool {
        max(self.spentUntil, now - self.burst) + self.perMessage <= now
    }

    /// Counts one message.
    ///
    /// - Returns: How long the connection must stop reading; nil while the device is within its rate. The message itself
    ///   is taken: slowing the sender down loses nothing.
    func take(now: NIODeadline) -> TimeAmount? {
        // What one read brought is all taken; a minute is the most that a sender has to be silent for it.
        self.spentUntil = min(max(self.spentUntil, now - self.burst) + self.perMessage, now + Self.maxDebt)
        return self.spentUntil > now ? self.spentUntil - now : nil
    }
}
