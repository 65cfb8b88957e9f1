import Devices
import Logging
import NIOCore
import OpenSSL
import Uplink

/// Who is connected: between the links, which say what happens, and the pool, which decides.
extension DeviceUplinks {
    // MARK: What links say

    /// The hooks of a device's link besides those of every link.
    func complete(_ hooks: inout UplinkLink.Hooks, for account: Account) {
        hooks.mayConnect = { [weak self, unowned account] in self?.wantsConnection(account) }
        hooks.rested = { [weak self, unowned account] in self?.rested(account) }
        hooks.isNews = { [weak self, unowned account] words in
            self?.lastError = (account.device, words)
            return self?.news.take(now: .now()) ?? false
        }
    }

    /// Something about the link has changed.
    func changed(_ device: DeviceID) {
        guard let account = self.accounts[device], let link = account.link else { return }
        switch link.client.phase {
        case .connected:
            let isFirst = self.pool.openCount == 0
            self.pool.opened(device, now: .now())
            if isFirst, self.pool.openCount == 1 {
                self.since = .now()
                self.logger.notice(
                    "uplink connected: a device is at the outside broker",
                    metadata: ["uplink": "\(self.name)", "device": "\(device)"]
                )
            }
        case .waiting, .idle, .stopped:
            let wasLast = self.pool.openCount == 1
            self.pool.ended(device)
            if wasLast, self.pool.openCount == 0 { self.since = .now() }
        case .connecting, .awaitingConnAck: return
        }
        self.proceed()
    }

    /// A message came for the device.
    func received(for device: DeviceID) {
        self.accounts[device]?.lastUse = .now()
    }

    private func wantsConnection(_ account: Account) {
        guard !self.isStopping, let link = account.link else { return }
        // From a connection to a better one: the place is there.
        if self.pool.hasPlace(account.device) { return self.open(account) }
        guard self.hooks?.isTrusted(account.device) == true else { return link.restNow() }
        let activity = self.activity(of: account)
        // A new link is woken for a message that is about to come.
        let isOld = activity.lastUse + .seconds(1) <= .now()
        if !activity.isBusy, !activity.isPresent, isOld { return link.restNow() }
        self.pool.wants(account.device, for: activity.isBusy || !isOld ? .sending : .listening)
        self.proceed()
    }

    private func rested(_ account: Account) {
        self.pool.withdraw(account.device)
        self.pool.ended(account.device)
        // What came while the connection ended.
        if account.hasWork || account.isPresent {
            self.loop.assumeIsolated().execute { [weak self] in self?.wake(account) }
        }
        self.proceed()
    }

    // MARK: The pool

    private func activity(of account: Account) -> DevicePool.Activity {
        guard let link = account.link else {
            return DevicePool.Activity(isBusy: false, isPresent: false, lastUse: .distantPast)
        }
        let lastUse = max(account.lastUse, link.health.lastAnswer ?? .distantPast)
        return DevicePool.Activity(isBusy: link.isBusy, isPresent: account.isPresent, lastUse: lastUse)
    }

    private func proceed() {
        guard !self.isStopping else { return }
        let actions = self.pool.next(now: .now()) { device in
            self.accounts[device].map(self.activity(of:))
                ?? DevicePool.Activity(isBusy: false, isPresent: false, lastUse: .distantPast)
        }
        for action in actions {
            switch action {
            case .open(let device): if let account = self.accounts[device] { self.open(account) }
            case .close(let device): self.accounts[device]?.link?.rest()
            }
        }
        self.armTimer()
    }

    /// Has the device's credentials read, then lets the link connect.
    private func open(_ account: Account) {
        account.attempt += 1
        let attempt = account.attempt
        self.hooks?.credentials(account.device) { [weak self, weak account] result in
            guard let self, !self.isStopping, let account, account.attempt == attempt, let link = account.link,
                link.client.phase == .connecting
            else { return }
            switch result {
            case .success(let credentials):
                account.slot.current = credentials.tls
                link.replaceCredentials(credentials.userName, credentials.password)
                link.connect()
            case .failure(let error):
                link.uplinkDisconnected(reason: error.words)
            }
        }
    }

    private func armTimer() {
        guard let deadline = self.pool.nextLook(now: .now()) else { return }
        if let timer = self.timer, timer.deadline <= deadline, timer.deadline > .now() { return }
        self.timer?.task.cancel()
        let task = self.loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            self?.timer = nil
            self?.proceed()
        }
        self.timer = (deadline, task)
    }
}
