import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Store
import Transport
import Uplink

/// The uplinks: what they need of the store and of files, and their links.
extension Assembly {
    /// Reads the files and gives out the numbers of the spools. Blocks.
    static func prepareUplink(
        _ uplink: UplinkConfiguration,
        _ configuration: GatewayConfiguration,
        _ store: Store,
        _ devices: [Device],
        _ clock: WallClock
    ) throws -> PreparedUplink {
        let owner = "uplink.\(uplink.name)"
        let used = Set(configuration.routes.filter { $0.uplink == uplink.name }.map(\.priority)).union([.normal])
        let known = try store.lanes().values.filter { $0.uplink == uplink.name }
        guard uplink.devices != nil else {
            let waiting = Set(known.filter { $0.device == nil }.map(\.lane))
            var lanes: [(priority: RoutePriority, storeID: Int64)] = []
            for priority in [RoutePriority.high, .normal, .low] {
                // A lane that no route uses any more may have something in it.
                guard used.contains(priority) || waiting.contains(priority.lane) else { continue }
                lanes.append((priority, try store.uplinkID(named: uplink.name, lane: priority.lane)))
            }
            let state = try store.uplinkState(uplink: try store.uplinkID(named: uplink.name))
            return PreparedUplink(
                broker: try Self.prepare(uplink, of: owner, clock),
                spools: .gateway(lanes: lanes, state)
            )
        }
        // Those of devices that are gone may have something in them, and come back.
        var lanes = Set(known.filter { $0.device != nil })
        for device in devices.map(\.id) + lanes.compactMap(\.device) {
            for priority in used { lanes.insert(StoredLane(uplink: uplink.name, lane: priority.lane, device: device)) }
        }
        // Devices in their order, so that a store without enough numbers leaves out the same ones each time.
        let ordered = lanes.sorted {
            ($0.device?.text ?? "", $0.lane.rawValue) < ($1.device?.text ?? "", $1.lane.rawValue)
        }
        return PreparedUplink(
            broker: try Self.prepare(uplink.ofAllDevices, of: owner, clock),
            spools: .devices(try store.uplinkIDs(of: ordered), try store.uplinkStates())
        )
    }

    /// Messages that no uplink of gateway.conf would send wait for one that does.
    static func warnOfStranded(_ configuration: GatewayConfiguration, _ store: Store, _ logger: Logger) {
        var stranded: [String: Int] = [:]
        var misfits: [String: Int] = [:]
        let waiting = Dictionary(store.spoolTotals.map { ($0.uplink, $0.messages) }) { first, _ in first }
        for (id, lane) in (try? store.lanes()) ?? [:] {
            guard let messages = waiting[id], messages > 0 else { continue }
            if let uplink = configuration.uplinks.first(where: { $0.name == lane.uplink }) {
                if (uplink.devices == nil) != (lane.device == nil) { misfits[lane.uplink, default: 0] += messages }
            } else {
                stranded[lane.uplink, default: 0] += messages
            }
        }
        for (name, messages) in stranded {
            logger.warning(
                "messages wait for an uplink that gateway.conf does not have: name it so again to send them",
                metadata: ["uplink": "\(Printable.text(name))", "messages": "\(messages)"]
            )
        }
        for (name, messages) in misfits {
            logger.warning(
                "messages were taken with another connect_as, and wait until the uplink has it again",
                metadata: ["uplink": "\(Printable.text(name))", "messages": "\(messages)"]
            )
        }
    }

    // MARK: On the loop

    func makeUplink(_ index: Int, core: GatewayCore, loop: any EventLoop) -> UplinkAtWork {
        let totals = Dictionary(self.store.spoolTotals.map { ($0.uplink, $0) }) { first, _ in first }
        let configuration = self.configuration.uplinks[index]
        switch self.uplinks[index].spools {
        case .gateway(let numbers, let state):
            let lanes = numbers.map { lane in
                UplinkLane(
                    priority: lane.priority,
                    storeID: lane.storeID,
                    stored: totals[lane.storeID],
                    order: configuration.order
                )
            }
            return .gateway(self.makeLink(index, lanes, state, core: core, loop: loop))
        case .devices(let numbers, let states):
            let pool = DeviceUplinks(
                configuration: configuration,
                listens: !core.routes.subscriptions(uplink: index).isEmpty,
                loop: loop,
                logger: self.logger
            )
            core.add(numbers, to: pool, stored: totals, states: states)
            pool.hooks = core.hooks(of: pool) { [unowned core, unowned pool] account in
                self.makeLink(index, of: account, in: pool, core: core, loop: loop)
            }
            return .devices(pool)
        }
    }

    private func makeLink(
        _ index: Int,
        _ lanes: [UplinkLane],
        _ state: QoS2State,
        core: GatewayCore,
        loop: any EventLoop
    ) -> UplinkLink {
        let prepared = self.uplinks[index].broker
        return UplinkLink(
            configuration: self.configuration.uplinks[index],
            stamp: self.stamp(index),
            lanes: lanes,
            storedThrough: self.store.lastSequence,
            client: self.makeClient(prepared, core.routes.subscriptions(uplink: index), state),
            connector: self.makeConnector(prepared, core: core, loop: loop),
            stateTopic: self.configuration.uplinks[index].stateTopic(
                self.configuration.stateTopics,
                gateway: self.configuration.name
            ),
            clockRule: self.configuration.clock,
            wallClock: core.wallClock,
            loop: loop,
            logger: self.logger,
            hooks: core.hooks(ofLink: index)
        )
    }

    private func makeLink(
        _ index: Int,
        of account: DeviceUplinks.Account,
        in pool: DeviceUplinks,
        core: GatewayCore,
        loop: any EventLoop
    ) -> UplinkLink {
        let device = account.device
        let configuration = self.configuration.uplinks[index]
        let common = self.uplinks[index].broker
        let prepared = PreparedBroker(
            configuration: common.configuration,
            tls: common.tls,
            // A template that was checked, and an id of ASCII.
            clientID: (try? MQTTString(configuration.forDevice(device).clientID)) ?? .empty,
            secrets: common.secrets
        )
        let gateway = self.configuration.name
        let subscriptions = core.routes.subscriptions(uplink: index, device: device, gateway: gateway)
        var hooks = core.hooks(ofLink: index)
        pool.complete(&hooks, for: account)
        var logger = self.logger
        logger[metadataKey: "device"] = "\(device)"
        return UplinkLink(
            configuration: configuration,
            device: device,
            share: pool.share,
            stamp: self.stamp(index),
            lanes: account.lanes,
            storedThrough: self.store.lastSequence,
            client: self.makeClient(prepared, subscriptions, account.state ?? ([], [])),
            connector: self.makeConnector(prepared, core: core, loop: loop, credentials: account.slot),
            stateTopic: nil,
            clockRule: self.configuration.clock,
            wallClock: core.wallClock,
            loop: loop,
            logger: logger,
            hooks: hooks
        )
    }

    private func makeClient(
        _ prepared: PreparedBroker,
        _ subscriptions: [(filter: TopicFilter, qos: QoS)],
        _ state: QoS2State
    ) -> UplinkClient {
        let most = prepared.configuration.providerLimits.maxQoS
        var client = Self.makeMachine(
            prepared,
            subscriptions: subscriptions.map { Subscription(filter: $0.filter, qos: min($0.qos, most)) },
            maxPacketBytes: self.maxPacketBytes
        )
        client.restore(releases: state.releases, held: state.held)
        return client
    }

    private func stamp(_ index: Int) -> MessageStamp {
        MessageStamp(gateway: self.configuration.uplinks[index].stamp ? self.configuration.name : nil)
    }
}
