package import MQTTCodec

/// One `[[route]]` of gateway.conf: which topics cross between the local side and an uplink, and what they are called on
/// the other side.
///
/// Wildcards of `to` stand for what the wildcards of `from` matched, in order. `%d` in `from` matches any device id;
/// in `to` it is that id.
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
        guard from.plusCount == to.plusCount else {
            throw error(.plusCount(from: from.plusCount, to: to.plusCount))
        }
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
            subscription: self.from.expand(device: nil, gateway: gateway),
            target: self.to.expand(device: nil, gateway: gateway)
        )
    }
}

/// Why a ``Route`` can't be used.
package struct RouteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    package enum Kind: Equatable, Sendable {
        /// A different number of `+`.
        case plusCount(from: Int, to: Int)
        /// `to` ends in `#`, `from` does not.
        case hashOnlyInTo
        /// `from` ends in `#`, `to` does not: many topics would become one.
        case hashOnlyInFrom
        /// `to` has `%d`, `from` has not.
        case deviceOnlyInTo
        /// `from` of a route in is a shared subscription, whose messages do not come under its own name.
        case sharedSubscription
        /// `to` of a route in starts with `$`.
        case reservedTarget
        /// The name of an uplink that is not configured.
        case unknownUplink(String)
    }

    /// What is wrong.
    package var kind: Kind
    /// The line of `[[route]]` in gateway.conf.
    package var line: Int

    /// An error in the route of `line`.
    package init(kind: Kind, line: Int) {
        self.kind = kind
        self.line = line
    }

    /// In words for the operator, without the line.
    package var description: String {
        switch self.kind {
        case .plusCount(let from, let to):
            "`from` has \(from) + and `to` has \(to): "
                + "each + of `to` stands for one of `from`, in order, and none may be left over"
        case .hashOnlyInTo: "`to` ends in #, but `from` does not: there is nothing to put there"
        case .hashOnlyInFrom: "`from` ends in #, but `to` does not: all these topics would become one"
        case .deviceOnlyInTo: "`to` has %d, but `from` does not: there is no device id to put there"
        case .sharedSubscription: "`from` is a shared subscription ($share/…), which a route can't use"
        case .reservedTarget: "`to` starts with $: such local topics are the gateway's own"
        case .unknownUplink(let name): "there is no [uplink.\(name)]"
        }
    }
}
