import Devices
import Logging
import NIOCore
import OpenSSL
import Store

/// Uplinks with `connect_as = "device"`.
extension GatewayCore {
    /// When spools that could not be had are asked for again.
    private static let spoolRetry = TimeAmount.seconds(5)

    /// All links that there are now.
    var links: [UplinkLink] { self.uplinks.flatMap(\.links) }

    /// The device has its first connection here, or its last one is over.
    func setPresent(_ device: DeviceID, _ isPresent: Bool) {
        for case .devices(let devices) in self.uplinks { devices.setPresent(device, isPresent) }
    }

    /// Calls `body` when each of these devices has a spool at each uplink that has one for each device: a message must not
    /// wait for that. At once if there is no such uplink.
    func withSpools(for devices: [Device], _ body: @escaping (GatewayCore) -> Void) {
        let pools = self.uplinks.compactMap { uplink in if case .devices(let pool) = uplink { pool } else { nil } }
        guard !pools.isEmpty else { return body(self) }
        let lanes = pools.flatMap { pool in
            let new = devices.lazy.map(\.id).filter { !pool.knows($0) }
            return new.flatMap { device in self.lanes(of: pool.name, device: device) }
        }
        // Also if there is nothing to ask for: changes of devices keep their order.
        let own = NIOLoopBound((core: self, pools: pools, body: body), eventLoop: self.loop)
        self.store.uplinkIDs(of: lanes, on: self.loop) { result in
            let (core, pools, body) = own.value
            switch result {
            case .success(let numbers): for pool in pools { core.add(numbers, to: pool) }
            case .failure(let error):
                core.logger.error(
                    "new devices have no spool at an uplink, and their messages for it are refused: tried again",
                    metadata: ["error": "\(error)"]
                )
                core.loop.assumeIsolated().scheduleTask(in: Self.spoolRetry) {
                    core.withSpools(for: core.registry.devices) { _ in }
                }
            }
            body(core)
        }
    }

    /// The lanes that a device needs at an uplink, by the priorities of its routes.
    private func lanes(of uplink: String, device: DeviceID) -> [StoredLane] {
        let routes = self.configuration.routes.filter { $0.uplink == uplink && $0.direction == .out }
        let used = Set(routes.map(\.priority)).union([.normal])
        return used.map { StoredLane(uplink: uplink, lane: $0.lane, device: device) }
    }

    /// Takes devices with the numbers of their spools.
    ///
    /// - Parameters:
    ///   - stored: What is on disk, by number, at the start.
    ///   - states: QoS 2 of the last run, by number.
    func add(
        _ numbers: [StoredLane: Int64],
        to pool: DeviceUplinks,
        stored: [Int64: SpoolTotals] = [:],
        states: [Int64: (releases: [UInt16], held: [UInt16])] = [:]
    ) {
        var byDevice: [DeviceID: [(priority: RoutePriority, storeID: Int64)]] = [:]
        for (lane, number) in numbers where lane.uplink == pool.name {
            guard let device = lane.device, !pool.knows(device) else { continue }
            byDevice[device, default: []].append((RoutePriority(lane.lane), number))
        }
        for (device, found) in byDevice {
            guard let normal = found.first(where: { $0.priority == .normal }) else {
                self.logger.error(
                    "the store has no number left for the spool of a device: its messages are refused",
                    metadata: ["uplink": "\(pool.name)", "device": "\(device)"]
                )
                continue
            }
            let lanes = found.sorted { $0.priority.rank > $1.priority.rank }.map { lane in
                UplinkLane(
                    priority: lane.priority,
                    storeID: lane.storeID,
                    stored: stored[lane.storeID],
                    order: pool.configuration.order
                )
            }
            for lane in lanes { self.own(lane, .device(pool, device)) }
            pool.add(DeviceUplinks.Account(device: device, lanes: lanes, state: states[normal.storeID]))
        }
    }

    /// What a pool of devices' links needs of the core.
    func hooks(
        of pool: DeviceUplinks,
        makeLink: @escaping (DeviceUplinks.Account) -> UplinkLink
    ) -> DeviceUplinks.Hooks {
        let configuration = pool.configuration
        return DeviceUplinks.Hooks(
            makeLink: makeLink,
            credentials: { [unowned self] device, done in self.credentials(of: device, configuration, done) },
            isTrusted: { [unowned self] device in self.registry.device(device)?.isRevoked == false }
        )
    }

    private func credentials(
        of device: DeviceID,
        _ configuration: UplinkConfiguration,
        _ done: @escaping (Result<DeviceCredentials, CredentialsError>) -> Void
    ) {
        let usesKey = configuration.devices?.keyIdentity != nil
        let key = usesKey ? self.preSharedKey(identity: Array(device.text.utf8)) : nil
        guard configuration.hasDeviceFiles else {
            return done(
                Result { () throws(CredentialsError) in try DeviceCredentials(configuration, device: device, key: key) }
            )
        }
        let own = NIOLoopBound(done, eventLoop: self.loop)
        self.store.run(on: self.loop) {
            Result { () throws(CredentialsError) in try DeviceCredentials(configuration, device: device, key: key) }
        } completion: { result in
            own.value(result ?? .failure(CredentialsError(words: "the gateway is shutting down")))
        }
    }
}
