import Logging
import NIOCore
import OpenSSL
import Transport

/// Files that change while the gateway runs. What can't be used leaves in force what was before, and is logged once.
extension Assembly {
    /// A connection whose own certificate lasts no longer than this is made anew when there is another one.
    private static let renewalMargin: Int64 = 86_400

    /// Takes certificates, keys, authorities, revocation lists and secrets that have changed on disk, for connections from
    /// now on. Blocks: on the store's thread.
    func refreshFiles(_ core: NIOLoopBound<GatewayCore>, on loop: any EventLoop) {
        if let keys = self.ticketKeyWatch?.replacement(now: .now()) {
            loop.execute { for site in core.value.sites { site.channel?.replaceTicketKeys(keys) } }
        }
        for (listener, tls) in zip(self.configuration.listeners, self.listenerTLS) {
            guard let tls else { continue }
            _ = self.refresh("listener \(listener.bind)", "files of TLS", tls.refresh)
        }
        for (index, uplink) in self.uplinks.enumerated() {
            self.refresh(
                uplink.broker,
                "uplink.\(uplink.broker.configuration.name)",
                renew: {
                    loop.execute {
                        if case .gateway(let link) = core.value.uplinks[index] { link.renewConnection() }
                    }
                },
                replace: { secrets in
                    loop.execute {
                        guard case .gateway(let link) = core.value.uplinks[index] else { return }
                        link.replaceCredentials(secrets.userName, secrets.password)
                    }
                }
            )
        }
        for (index, broker) in self.attached.enumerated() {
            self.refresh(
                broker,
                "listener \(broker.configuration.name)",
                renew: { loop.execute { core.value.attached[index].renewConnection() } },
                replace: { secrets in
                    loop.execute { core.value.attached[index].replaceCredentials(secrets.userName, secrets.password) }
                }
            )
        }
    }

    private func refresh(
        _ broker: PreparedBroker,
        _ owner: String,
        renew: () -> Void,
        replace: (BrokerSecrets.Values) -> Void
    ) {
        if let tls = broker.tls {
            let expiry = tls.current.identityExpiry
            let now = self.wallClock.certificateTime() / 1000
            if self.refresh(owner, "files of TLS", tls.refresh), let expiry, expiry - now < Self.renewalMargin {
                renew()
            }
        }
        if self.refresh(owner, "files with user name or password", broker.secrets.refresh) {
            replace(broker.secrets.current)
        }
    }

    /// - Returns: Whether there is anything new.
    private func refresh(_ owner: String, _ what: String, _ refresh: () throws -> Bool) -> Bool {
        do {
            guard try refresh() else { return false }
            self.logger.notice("\(what) are read again", metadata: ["of": "\(owner)"])
            return true
        } catch {
            self.logger.error(
                "\(what) can't be read again: those from before stay in force",
                metadata: ["of": "\(owner)", "error": "\(error)"]
            )
            return false
        }
    }
}
