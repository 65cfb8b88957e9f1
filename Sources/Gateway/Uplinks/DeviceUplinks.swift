import Devices
import Logging
import MQTTCodec
import NIOCore
import OpenSSL
import Store
import Uplink

/// The connections of one uplink with `connect_as = "device"`: one for each device that has something to send or may be sent
/// something, as many at a time as the pool allows. Bound to the gateway's loop.
///
/// Each device has spools of its own, whose numbers are known before the device may publish; its link is made when it is
/// needed, and given up when it rests and holds nothing.
final class DeviceUplinks {
    /// What is kept for each device, also while it has no link.
    final class Account {
        let device: DeviceID
        /// By priority, the highest first.
        let lanes: [UplinkLane]
        /// What its connections show in TLS.
        let slot = TLSCredentialsSlot()
        /// Set while anything of it waits or is under way: without a link its lanes are empty.
        var link: UplinkLink?
        /// QoS 2 of an earlier run, for the first link.
        var state: (releases: [UInt16], held: [UInt16])?
        var isPresent = false
        var lastUse = NIODeadline.distantPast
        /// Counts attempts: an answer that comes for an earlier one is not wanted any more.
        var attempt = 0

        init(device: DeviceID, lanes: [UplinkLane], state: (releases: [UInt16], held: [UInt16])?) {
            self.device = device
            self.lanes = lanes
            self.state = state
        }
    }

    /// What it needs of the core.
    struct Hooks {
        /// Makes a link, not yet connecting.
        var makeLink: (Account) -> UplinkLink
        /// Gets what the device shows at the outside broker; called back on the loop, or at once. Fails in words.
        var credentials: (DeviceID, _ done: @escaping (Result<DeviceCredentials, CredentialsError>) -> Void) -> Void
        /// Whether the device is known and trusted.
        var isTrusted: (DeviceID) -> Bool
    }

    let configuration: UplinkConfiguration
    /// The limits of the spool hold for all devices together.
    let share = SpoolShare()
    /// Whether messages come in for devices.
    let listens: Bool
    let loop: any EventLoop
    let logger: Logger
    /// Set once, before ``start()``.
    var hooks: Hooks?
    private(set) var accounts: [DeviceID: Account] = [:]
    var pool: DevicePool
    var news = NewsBudget()
    var timer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private(set) var isStopping = false
    /// What links counted that are no more.
    private(set) var retired = UplinkStatus()
    /// When the first device came to be connected, or the last one went.
    var since = NIODeadline.now()
    /// Why a connection ended last, or did not come about; nil: none ever did.
    var lastError: (device: DeviceID, words: String)?

    init(configuration: UplinkConfiguration, listens: Bool, loop: any EventLoop, logger: Logger) {
        self.configuration = configuration
        self.listens = listens
        self.loop = loop
        self.logger = logger
        let devices = configuration.devices
        var limits = DevicePool.Limits(connections: devices?.maxConnections ?? 1)
        limits.idleTimeout = devices?.idleTimeout.map { TimeAmount($0) }
        self.pool = DevicePool(limits)
    }

    var name: String { self.configuration.name }
    /// Of all devices that have one now.
    var links: [UplinkLink] { self.accounts.values.compactMap(\.link) }
    /// Devices that are connected.
    var connectedCount: Int { self.pool.openCount }
    /// Devices that wait for a connection, because as many as may be are connected.
    var waitingCount: Int { self.pool.waitingCount }
    /// Devices that have a spool.
    var deviceCount: Int { self.accounts.count }

    // MARK: Devices

    /// Whether the device has a spool here.
    func knows(_ device: DeviceID) -> Bool { self.accounts[device] != nil }

    /// Takes a device with its spools.
    func add(_ account: Account) {
        self.accounts[account.device] = account
        for lane in account.lanes { self.share.add(lane) }
    }

    /// The link that has this lane now.
    func link(of device: DeviceID) -> UplinkLink? { self.accounts[device]?.link }

    /// The link for a message of this device, which begins to connect; nil if the store has no number for its spool.
    func link(for device: DeviceID) -> UplinkLink? {
        guard let account = self.accounts[device] else { return nil }
        account.lastUse = .now()
        let link = self.link(of: account)
        if link.client.phase == .idle {
            self.wake(account)
        } else if self.pool.isListening(device) {
            self.pool.wants(device, for: .sending)
        }
        return link
    }

    /// The device has come, or gone: while it is here, commands may come for it.
    func setPresent(_ device: DeviceID, _ isPresent: Bool) {
        guard self.listens, let account = self.accounts[device] else { return }
        account.isPresent = isPresent
        guard isPresent, !self.isStopping else { return }
        _ = self.link(of: account)
        self.wake(account)
    }

    /// These are not to be connected any more. What waits for them stays, for they may be trusted again.
    func halt(_ devices: Set<DeviceID>) {
        for device in devices {
            guard let account = self.accounts[device] else { continue }
            account.slot.current = nil
            account.attempt += 1
            account.link?.restNow()
            self.warn(ofKept: account)
        }
    }

    private func warn(ofKept account: Account) {
        let waiting = account.link?.waitingMessages ?? 0
        guard waiting > 0 else { return }
        self.logger.warning(
            "messages of a device that is revoked or removed stay here until it is trusted again, or they grow too old",
            metadata: ["uplink": "\(self.name)", "device": "\(account.device)", "messages": "\(waiting)"]
        )
    }

    /// These are trusted, perhaps again, or prove themselves with other keys.
    func renew(_ devices: Set<DeviceID>) {
        for device in devices {
            guard let account = self.accounts[device], let link = account.link else { continue }
            account.slot.current = nil
            account.attempt += 1
            link.restNow()
            if link.isBusy || account.isPresent { self.wake(account) }
        }
    }

    // MARK: Life

    /// Begins to connect those that have something waiting.
    func start() {
        for account in self.accounts.values where account.hasWork {
            let link = self.link(of: account)
            self.wake(account)
            if link.client.phase == .idle { self.warn(ofKept: account) }
        }
    }

    /// No more connections are made; the links are the core's to stop.
    func stop() {
        self.isStopping = true
        self.timer?.task.cancel()
    }

    /// Gives up links that hold nothing.
    func housekeep() {
        for account in self.accounts.values where account.link?.isForgettable == true && !account.isPresent {
            if let status = account.link?.status {
                self.retired.acknowledged += status.acknowledged
                self.retired.dropped += status.dropped
                self.retired.expired += status.expired
                self.retired.dead += status.dead
            }
            account.link = nil
        }
    }

    private func link(of account: Account) -> UplinkLink {
        if let link = account.link { return link }
        guard let hooks = self.hooks else { preconditionFailure("a device's link before the start") }
        let link = hooks.makeLink(account)
        account.link = link
        account.state = nil
        return link
    }

    func wake(_ account: Account) {
        guard !self.isStopping, self.hooks?.isTrusted(account.device) == true else { return }
        account.link?.wake()
    }
}

extension DeviceUplinks.Account {
    /// Something of it waits, or has to be said.
    var hasWork: Bool {
        self.link?.isBusy ?? self.lanes.contains { $0.totals.messages > 0 } || self.state?.releases.isEmpty == false
    }
}
