package import MQTTCodec

/// A message's way out: to which uplink, under which topic.
package struct RoutedTopic: Sendable, Hashable {
    /// Place of the uplink in ``RouteTable/uplinks``.
    package var uplink: Int
    /// The topic at the outside broker.
    package var topic: TopicName
    /// The quality of service that the route asks for.
    package var qos: QoS
    /// What becomes of the RETAIN flag.
    package var retain: RetainRule
    /// Which of the messages that wait for the uplink go first.
    package var priority: RoutePriority
    /// How long the message is worth something from its arrival here; its own expiry holds too if it is sooner.
    package var ttl: Duration?
    /// The line of the route in gateway.conf.
    package var line: Int

    /// A way out along `route`.
    init(uplink: Int, topic: TopicName, route: Route) {
        self.uplink = uplink
        self.topic = topic
        self.qos = route.qos
        self.retain = route.retain
        self.priority = route.priority
        self.ttl = route.ttl
        self.line = route.line
    }
}

/// A message's way in.
package struct IncomingTopic: Sendable, Hashable {
    /// The local topic.
    package var topic: TopicName
    /// The device that `%d` of the route named; nil if the route has no `%d`.
    package var device: DeviceID?
    /// What becomes of the RETAIN flag.
    package var retain: RetainRule
    /// How long the message is worth something from its arrival here; its own expiry holds too if it is sooner.
    package var ttl: Duration?
    /// What waits for a node that is away.
    package var keep: KeepRule
    /// Whether it is a command, sealed for a device whose form of seal says so.
    package var seal: Bool
    /// The line of the route in gateway.conf.
    package var line: Int

    /// A way in along `route`.
    init(topic: TopicName, device: DeviceID?, route: Route) {
        self.topic = topic
        self.device = device
        self.retain = route.retain
        self.ttl = route.ttl
        self.keep = route.keep
        self.seal = route.seal
        self.line = route.line
    }
}

/// All routes of the gateway.
///
/// A message goes to each uplink at most once: of several routes to one uplink, the first in gateway.conf that takes the topic.
package struct RouteTable: Sendable {
    /// A route out and a route in that can hand each other the same message.
    package struct Echo: Sendable {
        /// The route out.
        package var out: Route
        /// The route in that gets back what ``out`` sent.
        package var back: Route
    }

    /// The names of the uplinks; a place in this list stands for an uplink everywhere.
    package let uplinks: [String]
    /// All routes, in the order of gateway.conf.
    package let routes: [CompiledRoute]

    private let outgoing: [[CompiledRoute]]
    private let incoming: [[CompiledRoute]]
    private let reserved: ReservedTopics

    /// Checks all routes.
    ///
    /// - Parameters:
    ///   - uplinks: The names of all uplinks, in order.
    ///   - gateway: The gateway's name. It must have passed ``DeviceID/check(_:)``.
    ///   - reserved: The gateway's own topics, on which no message from outside may end.
    /// - Throws: ``RouteError`` of the first route that can't be used.
    package init(routes: [Route], uplinks: [String], gateway: String, reserved: ReservedTopics) throws(RouteError) {
        var compiled: [CompiledRoute] = []
        var outgoing = [[CompiledRoute]](repeating: [], count: uplinks.count)
        var incoming = outgoing
        for route in routes {
            guard let uplink = uplinks.firstIndex(of: route.uplink) else {
                throw RouteError(kind: .unknownUplink(route.uplink), line: route.line)
            }
            let ready = try route.compile(gateway: gateway)
            compiled.append(ready)
            switch route.direction {
            case .out: outgoing[uplink].append(ready)
            case .in: incoming[uplink].append(ready)
            }
        }
        self.uplinks = uplinks
        self.routes = compiled
        self.outgoing = outgoing
        self.incoming = incoming
        self.reserved = reserved
    }

    /// Calls `body` once for each uplink that a local message on `topic` goes to. Not to one that would hand it back by a
    /// route in.
    ///
    /// - Parameter origin: The uplink that the message came in by, to which it is never sent back, and to others only by routes
    ///   with ``Route/fromUplinks``; nil for a device's message.
    package func forEachOutgoing(
        _ topic: TopicName,
        from origin: Int? = nil,
        _ body: (RoutedTopic) -> Void
    ) {
        for uplink in self.outgoing.indices where uplink != origin {
            for route in self.outgoing[uplink] {
                guard origin == nil || route.route.fromUplinks, let mapped = route.mapTopic(topic) else { continue }
                // What a route in of the same uplink would bring back to the same topic stays here: a command that is
                // published locally must not reach its node twice.
                guard self.incoming(uplink: uplink, topic: mapped)?.topic != topic else { break }
                body(RoutedTopic(uplink: uplink, topic: mapped, route: route.route))
                break
            }
        }
    }

    /// The uplinks that a local message on `topic` goes to; see ``forEachOutgoing(_:from:_:)``, which needs no array.
    package func outgoing(for topic: TopicName, from origin: Int? = nil) -> [RoutedTopic] {
        var found: [RoutedTopic] = []
        self.forEachOutgoing(topic, from: origin) { found.append($0) }
        return found
    }

    /// The local topic of a message that came from the outside broker of an uplink; nil if no route takes it, or it would end
    /// on one of the gateway's own topics.
    ///
    /// - Parameter uplink: Place in ``uplinks``.
    package func incoming(uplink: Int, topic: TopicName) -> IncomingTopic? {
        for route in self.incoming[uplink] {
            guard let (mapped, device) = route.map(topic) else { continue }
            guard !self.reserved.contains(mapped) else { return nil }
            return IncomingTopic(topic: mapped, device: device, route: route.route)
        }
        return nil
    }

    /// What to subscribe to at the outside broker of an uplink, each filter once, with the highest quality of service asked for.
    ///
    /// - Parameter uplink: Place in ``uplinks``.
    package func subscriptions(uplink: Int) -> [(filter: TopicFilter, qos: QoS)] {
        var found: [(filter: TopicFilter, qos: QoS)] = []
        for route in self.incoming[uplink] {
            if let index = found.firstIndex(where: { $0.filter == route.subscription }) {
                found[index].qos = max(found[index].qos, route.route.qos)
            } else {
                found.append((route.subscription, route.route.qos))
            }
        }
        return found
    }

    /// What one device subscribes to at the outside broker of an uplink, as ``subscriptions(uplink:)``: of routes in with `%d`, and
    /// for that device alone.
    package func subscriptions(uplink: Int, device: DeviceID, gateway: String) -> [(filter: TopicFilter, qos: QoS)] {
        var found: [(filter: TopicFilter, qos: QoS)] = []
        for route in self.incoming[uplink] where route.route.from.hasDevice {
            let filter = route.route.from.expand(device: device, gateway: gateway)
            if let index = found.firstIndex(where: { $0.filter == filter }) {
                found[index].qos = max(found[index].qos, route.route.qos)
            } else {
                found.append((filter, route.route.qos))
            }
        }
        return found
    }

    /// What becomes of a local message on `topic` at one route.
    package enum Trace: Sendable, Equatable {
        /// It goes that way.
        case goes
        /// An earlier route to the same uplink takes it.
        case taken(byLine: Int)
        /// A route in would bring it back.
        case comesBack(byLine: Int)
        /// It came from that uplink.
        case cameFromThere
        /// It came from another uplink, and the route is not for such messages.
        case notFromUplinks
    }

    /// All routes out that take a topic, used or not, in the order of ``forEachOutgoing(_:from:_:)``, which they explain.
    package func trace(
        _ topic: TopicName,
        from origin: Int? = nil
    ) -> [(uplink: Int, route: CompiledRoute, outside: TopicName, trace: Trace)] {
        var found: [(uplink: Int, route: CompiledRoute, outside: TopicName, trace: Trace)] = []
        for uplink in self.outgoing.indices {
            var decided: Int?
            for route in self.outgoing[uplink] {
                guard let outside = route.mapTopic(topic) else { continue }
                let trace: Trace
                if uplink == origin {
                    trace = .cameFromThere
                } else if origin != nil, !route.route.fromUplinks {
                    trace = .notFromUplinks
                } else if let line = decided {
                    trace = .taken(byLine: line)
                } else {
                    decided = route.route.line
                    let back = self.incoming(uplink: uplink, topic: outside)
                    trace = back?.topic == topic ? .comesBack(byLine: back?.line ?? 0) : .goes
                }
                found.append((uplink, route, outside, trace))
            }
        }
        return found
    }

    /// The first route in of an uplink that takes a topic; nil: none.
    package func route(in uplink: Int, _ topic: TopicName) -> CompiledRoute? {
        self.incoming[uplink].first { $0.map(topic) != nil }
    }

    /// The routes in whose messages can come to a device that subscribes to `filter`.
    func incoming(to filter: TopicFilter, of device: DeviceID?, gateway: String) -> [CompiledRoute] {
        self.incoming.joined().filter { compiled in
            compiled.route.to.expand(device: device, gateway: gateway).overlaps(filter)
        }
    }

    /// Pairs of routes of one uplink where what goes out can come back: the outside broker returns it by the subscription of the
    /// second. That such a message does not go round for ever rests on `origin` of ``forEachOutgoing(_:from:_:)``; that devices
    /// see it again is for the operator to know.
    package func echoes() -> [Echo] {
        var found: [Echo] = []
        for uplink in self.uplinks.indices {
            for out in self.outgoing[uplink] {
                for back in self.incoming[uplink] where out.target.overlaps(back.subscription) {
                    found.append(Echo(out: out.route, back: back.route))
                }
            }
        }
        return found
    }
}
