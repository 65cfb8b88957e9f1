package import MQTTCodec

/// One `[[route]]` of gateway.conf: which topics cross between the local side and an uplink, and what they are called on
/// the other side.
///
/// Wildcards of `to` stand for what the wildcards of `from` matched: `+` and `#` in order, a capture (`+name`) by its name, as
/// often as it is named. `%d` in `from` matches any device id; in `to` it is that id.
package struct Route: Sendable, Hashable {
    /// Which way messages go.
    package enum Direction: String, Sendable, Hashable, CaseIterable {
        /// From local devices to the outside broker.
        case out
        /// From the outside broker to local devices.
        case `in`
    }

    /// Which way messages go.
    package var direction: Direction
    /// Topics as they arrive: local ones for ``Direction/out``, the outside broker's for ``Direction/in``.
    package var from: TopicTemplate
    /// The same topics as they leave.
    package var to: TopicTemplate
    /// The `x` of `[uplink.x]`.
    package var uplink: String
    /// The quality of service on the uplink: of publishing for ``Direction/out``, of the subscription for ``Direction/in``.
    package var qos: QoS
    /// What becomes of the RETAIN flag.
    package var retain = RetainRule.keep
    /// How long a message is worth something from its arrival here; its own expiry holds too if it is sooner. For
    /// ``Direction/out`` at the outside broker, for ``Direction/in`` at the nodes. nil: as its publisher says.
    package var ttl: Duration?
    /// Of ``Direction/out``: which of the messages that wait for the uplink go first.
    package var priority = RoutePriority.normal
    /// Of ``Direction/out``: whether what another uplink brought goes out by it too.
    package var fromUplinks = false
    /// Of ``Direction/in``: what waits for a node that is away.
    package var keep = KeepRule.all
    /// Of ``Direction/in``: whether what it brings is a command, sealed for a device whose form of seal says so.
    package var seal = true
    /// The line of `[[route]]` in gateway.conf, from 1.
    package var line: Int

    /// A route as it stands on `line`.
    package init(
        direction: Direction,
        from: TopicTemplate,
        to: TopicTemplate,
        uplink: String,
        qos: QoS = .atLeastOnce,
        line: Int
    ) {
        self.direction = direction
        self.from = from
        self.to = to
        self.uplink = uplink
        self.qos = qos
        self.line = line
    }

    /// Checks the route by itself and makes it ready for matching.
    ///
    /// - Parameter gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    /// - Throws: ``RouteError`` if `to` can't be made of what `from` matches, or two topics would become one unseen.
    package func compile(gateway: String) throws(RouteError) -> CompiledRoute {
        let from = self.from.pattern(gateway: gateway)
        let to = self.to.pattern(gateway: gateway)
        func error(_ kind: RouteError.Kind) -> RouteError { RouteError(kind: kind, line: self.line) }
        let sources = try self.sources(from: self.from.captures, to: self.to.captures)
        guard from.hasHash || !to.hasHash else { throw error(.hashOnlyInTo) }
        guard !from.hasHash || to.hasHash else { throw error(.hashOnlyInFrom) }
        guard from.hasDevice || !to.hasDevice else { throw error(.deviceOnlyInTo) }
        if self.direction == .in {
            guard !self.from.text.utf8.starts(with: "$share/".utf8) else { throw error(.sharedSubscription) }
            guard !self.to.text.utf8.starts(with: "$".utf8) else { throw error(.reservedTarget) }
        }
        return CompiledRoute(
            route: self,
            from: from,
            to: to,
            sources: sources,
            subscription: self.from.expand(device: nil, gateway: gateway),
            target: self.to.expand(device: nil, gateway: gateway)
        )
    }

    /// For each `+` of `to`, in order, which `+` of `from` it stands for.
    private func sources(from: [String?], to: [String?]) throws(RouteError) -> [Int] {
        func error(_ kind: RouteError.Kind) -> RouteError { RouteError(kind: kind, line: self.line) }
        for (index, name) in from.enumerated() {
            if let name, from[..<index].contains(name) { throw error(.captureTwice(name)) }
        }
        // A + without a name has its place alone to be known by, so none may be left over.
        var unnamed = from.indices.filter { from[$0] == nil }[...]
        let counts = (from: unnamed.count, to: to.count { $0 == nil })
        guard counts.from == counts.to else { throw error(.plusCount(from: counts.from, to: counts.to)) }
        var sources: [Int] = []
        for name in to {
            guard let name else {
                sources.append(unnamed.removeFirst())
                continue
            }
            guard let source = from.firstIndex(of: name) else {
                throw error(.unknownCapture(name, known: from.compactMap(\.self)))
            }
            sources.append(source)
        }
        return sources
    }
}
