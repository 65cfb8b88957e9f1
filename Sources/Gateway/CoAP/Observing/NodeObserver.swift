import CoAPCodec
import CoAPEndpoint
import Devices
import Logging
import MQTTCodec
import NIOCore
import Transport

/// The resources of nodes that gateway.conf has observed: each representation is a message of its device, which passes the same
/// Opener and Policy as one that came by itself. Bound to the gateway's loop.
final class NodeObserver {
    /// One resource.
    private struct Place {
        let configuration: ObserveConfiguration
        let connection: ObservedConnection
        let client: Client
        /// What was last heard of it, for the operator.
        var status: GatewayStatus.ObservedResource
        /// What the log said of it last; `nil`: nothing, or that it can't be read.
        var isObserved: Bool?
        /// The log says that it can't be read.
        var isWarned = false
        var lastWarning = NIODeadline.distantPast
    }

    /// A resource that comes and goes has a warning so often at most.
    private static let warningInterval = TimeAmount.minutes(1)

    private unowned let core: GatewayCore
    private var places: [Place] = []
    private var channel: CoAPObserverChannel?

    init(core: GatewayCore) {
        self.core = core
        self.places = core.configuration.observed.map { configuration in
            let connection = ObservedConnection(configuration, observer: self)
            var rules = ListenerConfiguration(transport: .coap, bind: configuration.address, line: configuration.line)
            rules.anonymous = .allowed
            return Place(
                configuration: configuration,
                connection: connection,
                client: Client(core: core, observed: connection, rules),
                status: GatewayStatus.ObservedResource(
                    resource: configuration.text,
                    device: "\(configuration.device)",
                    state: .waiting,
                    values: 0
                )
            )
        }
    }

    // MARK: Life

    func start() {
        var configuration = CoAPObserverConfiguration()
        configuration.maxBodyBytes = self.core.configuration.limits.maxCoapBody
        let channel = CoAPObserverChannel(
            self.places.map(\.configuration.target),
            configuration: configuration,
            logger: self.core.logger,
            loop: self.core.loop,
            delegate: self
        )
        self.channel = channel
        channel.start()
    }

    /// Tells the nodes that nobody observes them any more. What is on its way to the disk is acknowledged yet.
    func leave() { self.channel?.leave() }

    func stop() {
        self.channel?.close()
        self.places = []
    }

    /// What `sealgate status` shows.
    var report: [GatewayStatus.ObservedResource] { self.places.map(\.status) }

    // MARK: What becomes of a notification

    func acknowledge(_ receipt: CoAPReceipt) { self.channel?.acknowledge(receipt) }

    func decline(_ receipt: CoAPReceipt) { self.channel?.decline(receipt) }
}

extension NodeObserver: CoAPObserverChannelDelegate {
    func received(_ representation: ObservedRepresentation, of index: Int, on channel: CoAPObserverChannel) {
        self.places[index].status.values += 1
        let place = self.places[index]
        guard !self.core.isCongested,
            place.connection.handIn(representation, { self.publish(representation, of: place) })
        else {
            // One that nobody waits for is lost, as such are; there will be a newer one.
            if let receipt = representation.receipt { channel.decline(receipt) }
            return
        }
    }

    private func publish(_ representation: ObservedRepresentation, of place: Place) {
        var publish = Publish(
            topic: place.configuration.topic,
            payload: representation.payload,
            qos: .atLeastOnce,
            retain: place.configuration.retain
        )
        publish.packetID = place.connection.makePacketID()
        if let type = representation.contentFormat?.mediaType {
            var properties = MQTTProperties()
            properties.contentType = try? MQTTString(type)
            publish.properties = properties
        }
        place.client.received(fromCoAP: publish)
    }

    func established(_ index: Int, isObserved: Bool, at address: PeerAddress, on channel: CoAPObserverChannel) {
        let isNews = self.places[index].isObserved != isObserved || self.places[index].isWarned
        self.places[index].status.state = isObserved ? .observed : .polled
        self.places[index].status.reason = nil
        self.places[index].isObserved = isObserved
        self.places[index].isWarned = false
        self.core.logger.log(
            level: isNews ? .notice : .debug,
            isObserved ? "a resource is observed" : "a resource can't be observed: it is polled",
            metadata: self.metadata(index, ["at": "\(address)"])
        )
    }

    func failed(_ index: Int, reason: String, on channel: CoAPObserverChannel) {
        let now = NIODeadline.now()
        self.places[index].status.state = .failing
        self.places[index].status.reason = reason
        let place = self.places[index]
        let isNews = !place.isWarned && now - place.lastWarning >= Self.warningInterval
        if isNews {
            self.places[index].isWarned = true
            self.places[index].lastWarning = now
        }
        self.core.logger.log(
            level: isNews ? .warning : .debug,
            "a resource can't be read: it is tried again",
            metadata: self.metadata(index, ["reason": "\(reason)"])
        )
    }

    private func metadata(_ index: Int, _ more: Logger.Metadata) -> Logger.Metadata {
        let configuration = self.places[index].configuration
        return [
            "resource": "\(configuration.text)", "device": "\(configuration.device)",
            "line": "\(configuration.line)",
        ].merging(more) { $1 }
    }
}

extension ObserveConfiguration {
    /// What the channel needs to know.
    var target: CoAPObserverChannel.Target {
        CoAPObserverChannel.Target(
            host: self.address.host,
            port: self.address.port,
            resource: CoAPResource(
                host: self.hasName ? self.address.host.lowercased() : nil,
                path: self.path,
                queries: self.queries
            )
        )
    }
}
