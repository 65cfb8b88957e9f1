import Devices
import Gateway
import MQTTCodec

/// On which topics the nodes of the demo speak, found in the profiles and routes of gateway.conf.
struct DemoTopics: Sendable {
    /// A topic of a node, and what the outside broker gets it as.
    struct Crossing: Sendable {
        let local: TopicName
        let outside: TopicName
    }

    let garden: Crossing
    let kitchen: Crossing
    let cellar: Crossing
    /// Where the session IDs of the kitchen are.
    let kitchenSession: TopicName
    /// A command for the cellar, as it comes from outside and as it is delivered.
    let command: Crossing
    /// What the cellar has to subscribe to for it.
    let commandFilter: TopicFilter

    /// - Throws: ``CommandFailure`` that says what gateway.conf lacks.
    init(_ plan: DemoPlan, _ cast: DemoCast) throws(CommandFailure) {
        let name = plan.configuration.name
        self.garden = try Self.crossing(of: cast.garden.id, plan.plainProfile, plan)
        self.kitchen = try Self.crossing(of: cast.kitchen.id, plan.sealedProfile, plan)
        self.cellar = try Self.crossing(of: cast.cellar.id, plan.sealedProfile, plan)
        let template = plan.sealedProfile.sessionTopic
        guard let topic = template?.expandTopic(device: cast.kitchen.id, gateway: name) else {
            throw .unfit(plan.configuration.file, lacks: "session_topic in profile \(plan.sealedProfile.name)")
        }
        self.kitchenSession = topic
        (self.command, self.commandFilter) = try Self.command(for: cast.cellar.id, plan)
    }

    private static func crossing(
        of node: DeviceID,
        _ profile: Profile,
        _ plan: DemoPlan
    ) throws(CommandFailure) -> Crossing {
        for line in profile.publish where line.template.hasDevice {
            let filter = line.template.expand(device: node, gateway: plan.configuration.name)
            guard let local = Self.topic(in: filter, leaf: "temperature"),
                let outside = plan.routes.outgoing(for: local).first
            else { continue }
            return Crossing(local: local, outside: outside.topic)
        }
        let what = "route out for what profile \(profile.name) may publish"
        throw .unfit(plan.configuration.file, lacks: what)
    }

    private static func command(
        for node: DeviceID,
        _ plan: DemoPlan
    ) throws(CommandFailure) -> (Crossing, TopicFilter) {
        let name = plan.configuration.name
        for route in plan.routes.routes where route.route.direction == .in {
            guard let outside = Self.topic(in: route.route.from.expand(device: node, gateway: name), leaf: "light"),
                let local = plan.routes.incoming(uplink: 0, topic: outside)?.topic
            else { continue }
            for line in plan.sealedProfile.subscribe {
                let filter = line.template.expand(device: node, gateway: name)
                if filter.matches(local) { return (Crossing(local: local, outside: outside), filter) }
            }
        }
        let what = "route in for what profile \(plan.sealedProfile.name) may subscribe to"
        throw .unfit(plan.configuration.file, lacks: what)
    }

    /// The filter with something put for its wildcards.
    private static func topic(in filter: TopicFilter, leaf: String) -> TopicName? {
        let levels = filter.description.split(separator: "/", omittingEmptySubsequences: false)
        let names = levels.map { $0 == "#" ? leaf : $0 == "+" ? "any" : String($0) }
        return try? TopicName(names.joined(separator: "/"))
    }
}
