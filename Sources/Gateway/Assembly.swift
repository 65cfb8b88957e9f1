import Broker
import Devices
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import Sealing
import Store
import Synchronization
import Transport
import Uplink

/// Puts the parts of one gateway together: what gateway.conf says, with the files that it names.
struct Assembly: Sendable {
    let configuration: GatewayConfiguration
    let store: Store
    let logger: Logger
    private let devices: [Device]
    private let retained: [RetainedRecord]
    private let commandSessions: [CommandSessionRecord]
    private let oscore: OSCOREStart?
    let ticketKeys: [UInt8]?
    /// Nil: there are none.
    let ticketKeyWatch: TicketKeyWatch?
    private let sessions: (sessions: [StoredSession], messages: [Int64: StoredMessage])
    let uplinks: [PreparedUplink]
    /// In the order of gateway.conf.
    let attached: [PreparedBroker]
    /// In the order of the listeners; nil without TLS.
    let listenerTLS: [TLSContextSource?]
    let keyLookup: KeyLookup
    /// The time of day, with the floor of earlier runs.
    let wallClock: WallClock

    struct PreparedUplink: Sendable {
        let broker: PreparedBroker
        let spools: Spools

        enum Spools: Sendable {
            /// The store's numbers of its lanes, the highest priority first, and which QoS 2 identifiers are in use.
            case gateway(lanes: [(priority: RoutePriority, storeID: Int64)], QoS2State)
            /// The store's numbers of all devices' lanes, and the QoS 2 identifiers by lane.
            case devices([StoredLane: Int64], [Int64: QoS2State])
        }
    }

    /// Identifiers of the gateway's QoS 2 messages that the broker has, and of the broker's that the gateway has.
    typealias QoS2State = (releases: [UInt16], held: [UInt16])

    /// A broker to connect to, with its files read.
    struct PreparedBroker: Sendable {
        let configuration: UplinkConfiguration
        let tls: TLSContextSource?
        let clientID: MQTTString
        let secrets: BrokerSecrets
    }

    /// Reads all files and the store. Blocks.
    init(configuration: GatewayConfiguration, store: Store, logger: Logger) throws {
        self.configuration = configuration
        self.store = store
        self.logger = logger
        let wallClock = try Self.makeClock(configuration, store)
        self.wallClock = wallClock
        let devices = try store.devices()
        self.devices = devices
        self.retained = try store.retained()
        self.sessions = try store.sessions()
        self.commandSessions = try store.commandSessions()
        self.oscore = Self.beginOSCORE(configuration, store, logger)
        let ticketKeys = Self.ticketKeys(configuration, store, wallClock, logger)
        self.ticketKeys = ticketKeys
        self.ticketKeyWatch = ticketKeys.map { keys in
            TicketKeyWatch(keys: keys, now: .now()) { Self.ticketKeys(configuration, store, wallClock, logger) }
        }
        Self.warnOfStranded(configuration, store, logger)
        let keyLookup = KeyLookup()
        self.keyLookup = keyLookup
        self.uplinks = try configuration.uplinks.map { uplink in
            try Self.prepareUplink(uplink, configuration, store, devices, wallClock)
        }
        self.attached = try configuration.attached.map {
            try Self.prepare($0.broker, of: "listener \($0.name)", wallClock)
        }
        self.listenerTLS = try configuration.listeners.map { listener in
            guard listener.isTLS else { return nil }
            do {
                return try TLSContextSource(secrets: [listener.keyPassphraseFile?.path].compactMap(\.self)) {
                    try listener.tls(keyLookup: { keyLookup.find($0) }, clock: wallClock)
                }
            } catch {
                throw GatewayStartError.credentials(
                    of: "listener \(listener.bind)",
                    line: listener.line,
                    reason: "\(error)"
                )
            }
        }
    }

    /// What the clock may show at least: the release's date and what earlier runs have seen. With `clock = "trust"` those don't
    /// count.
    private static func makeClock(_ configuration: GatewayConfiguration, _ store: Store) throws -> WallClock {
        let isTrusted = configuration.clock == .trust
        let stored = isTrusted ? 0 : try store.timeFloor()
        let floor = TimeFloor(stored: stored, release: Version.notBefore, now: .now(), wall: 0).milliseconds
        return WallClock(floor: floor, isTrusted: isTrusted)
    }

    static func prepare(
        _ broker: UplinkConfiguration,
        of owner: String,
        _ clock: WallClock
    ) throws -> PreparedBroker {
        do {
            let files = [broker.psk?.keyFile, broker.keyPassphraseFile].compactMap { $0?.path }
            return PreparedBroker(
                configuration: broker,
                tls: broker.isTLS
                    ? try TLSContextSource(secrets: files) { try broker.tls(clock: clock) } : nil,
                clientID: try MQTTString(broker.clientID),
                secrets: try BrokerSecrets(broker)
            )
        } catch {
            throw GatewayStartError.credentials(of: owner, line: broker.line, reason: "\(error)")
        }
    }

    // MARK: On the loop

    /// Makes the core with its uplinks, not yet connecting. On the loop that will own it.
    func makeCore(on loop: any EventLoop) throws -> GatewayCore {
        let profiles = self.configuration.profiles.values.sorted { $0.line < $1.line }
        let registry = DeviceRegistry(
            gateway: self.configuration.name,
            ownTopics: [self.configuration.stateTopics.reserved]
        )
        _ = registry.replace(devices: self.devices, profiles: profiles)
        let routes: RouteTable
        do {
            routes = try RouteTable(
                routes: self.configuration.routes,
                uplinks: self.configuration.uplinks.map(\.name),
                gateway: self.configuration.name,
                reserved: registry.reserved
            )
        } catch {
            throw GatewayStartError.route("\(error)")
        }
        let core = GatewayCore(
            configuration: self.configuration,
            registry: registry,
            routes: routes,
            store: self.store,
            wallClock: self.wallClock,
            oscore: self.oscore,
            loop: loop,
            logger: self.logger
        )
        let bound = NIOLoopBound(core, eventLoop: loop)
        self.keyLookup.set { identity in bound.value.preSharedKey(identity: identity) }
        core.restore(self.retained)
        core.rebuildChannels()
        core.start(
            uplinks: self.uplinks.indices.map { self.makeUplink($0, core: core, loop: loop) },
            attached: self.attached.indices.map { self.makeAttached($0, core: core, loop: loop) }
        )
        core.restore(self.commandSessions)
        core.restore(sessions: self.sessions.sessions, messages: self.sessions.messages)
        core.piggyback.refresh()
        return core
    }

    private func makeAttached(_ index: Int, core: GatewayCore, loop: any EventLoop) -> AttachedBroker {
        let configuration = self.configuration.attached[index]
        let prepared = self.attached[index]
        let subscriptions = configuration.subscribe.map { Subscription(filter: $0, qos: .atLeastOnce) }
        return AttachedBroker(
            configuration,
            core: core,
            machine: Self.makeMachine(prepared, subscriptions: subscriptions, maxPacketBytes: self.maxPacketBytes),
            connector: self.makeConnector(prepared, core: core, loop: loop)
        )
    }

    static func makeMachine(
        _ prepared: PreparedBroker,
        subscriptions: [Subscription],
        maxPacketBytes: Int
    ) -> UplinkClient {
        let configuration = prepared.configuration
        var client = UplinkClient.Configuration(clientID: prepared.clientID)
        client.version = configuration.protocolVersion == .v5 ? .v5 : .v311
        client.cleanSession = configuration.cleanSession
        client.sessionExpiry = UInt32(clamping: configuration.sessionExpiry.components.seconds)
        client.maxPacketBytes = UInt32(clamping: maxPacketBytes)
        client.keepAliveSeconds = UInt16(clamping: configuration.keepAlive.components.seconds)
        let secrets = prepared.secrets.current
        client.userName = secrets.userName
        client.password = secrets.password
        client.inFlight = configuration.inFlight
        client.connAckTimeout = configuration.connectTimeout
        client.subscriptions = subscriptions
        return UplinkClient(configuration: client)
    }

    /// The largest packet of an outside broker; one of the nodes' size must be able to come down.
    var maxPacketBytes: Int {
        max(UplinkChannel.Configuration().maxPacketBytes, self.configuration.limits.maxPacket)
    }

    func makeConnector(
        _ prepared: PreparedBroker,
        core: GatewayCore,
        loop: any EventLoop,
        credentials: TLSCredentialsSlot? = nil
    ) -> UplinkConnector {
        let configuration = prepared.configuration
        var channel = UplinkChannel.Configuration()
        channel.connectTimeout = configuration.connectTimeout
        // What a burst of QoS 0 may wait in before it is dropped: QoS 1 waits in the spool.
        channel.maxQueuedBytes = 2 << 20
        channel.maxPacketBytes = self.maxPacketBytes
        // As long as the keep alive of MQTT takes to notice; without one, TCP has to look by itself.
        channel.deadAfter = configuration.keepAlive == .zero ? .seconds(90) : configuration.keepAlive * 3 / 2
        channel.probesIdle = configuration.keepAlive == .zero
        return UplinkConnector(
            addresses: configuration.addresses.map { address in
                var outside = Transport.UplinkAddress(
                    host: address.address.host,
                    port: address.address.port,
                    tls: address.isTLS ? prepared.tls : nil,
                    serverName: configuration.serverName,
                    webSocketPath: address.path
                )
                outside.credentials = credentials
                return outside
            },
            configuration: channel,
            proxy: configuration.proxy.map { proxy in
                let secrets = prepared.secrets
                return HTTPProxy(host: proxy.address.host, port: proxy.address.port) {
                    secrets.current.proxyAuthorization
                }
            },
            localAddress: configuration.bind,
            returnAfter: configuration.returnAfter,
            loop: loop,
            burst: core.burst
        )
    }

    /// Makes one listener, not yet bound. On the loop.
    func makeListener(_ index: Int, core: GatewayCore, burst: WriteBurst) -> MQTTListener {
        let listener = self.configuration.listeners[index]
        let limits = self.configuration.limits
        var configuration = MQTTListener.Configuration(host: listener.bind.host, port: listener.bind.port)
        configuration.connection.maxPacketBytes = limits.maxPacket
        // The rest of a packet that is too large, and what came behind it.
        configuration.connection.maxLingerBytes = max(2 * limits.maxPacket, 256 << 10)
        configuration.connection.maxConnectBytes = min(limits.maxPacket, 64 << 10)
        configuration.connection.connectTimeout = TimeAmount(limits.connectTimeout)
        configuration.connection.maxKeepAliveSeconds = UInt16(clamping: limits.maxKeepAlive.components.seconds)
        configuration.connection.maxQueuedBytes = limits.maxQueuedBytes
        configuration.connection.maxFiltersPerPacket = max(limits.maxSubscriptions, 128)
        configuration.connection.receiveMaximum = UInt16(clamping: limits.receiveMaximum)
        configuration.connection.topicAliasMaximum = UInt16(clamping: limits.maxTopicAliases)
        configuration.connection.maxTopicBytes = limits.maxTopicLength
        configuration.connection.outboundTopicAliasMaximum = UInt16(clamping: limits.maxTopicAliases)
        configuration.connection.maxUserProperties = limits.maxUserProperties
        if listener.isWebSocket {
            var webSocket = MQTTListener.WebSocket()
            webSocket.path = listener.path
            webSocket.origins = listener.origins
            configuration.webSocket = webSocket
        }
        return MQTTListener(
            configuration: configuration,
            tls: self.listenerTLS[index],
            burst: burst,
            limiter: core.limiter,
            handshakes: core.handshakes,
            logger: self.logger,
            makeDelegate: { [unowned core] in Client(core: core, listener: listener) }
        )
    }
}

/// Lets a listener's handshakes ask the core, which is made after the listener's context. Called on the loop.
final class KeyLookup: Sendable {
    private let lookup = Mutex<(@Sendable ([UInt8]) -> [UInt8]?)?>(nil)

    func set(_ lookup: @escaping @Sendable ([UInt8]) -> [UInt8]?) {
        self.lookup.withLock { $0 = lookup }
    }

    func find(_ identity: [UInt8]) -> [UInt8]? {
        self.lookup.withLock { $0 }?(identity)
    }
}
