import CoAPEndpoint
import Logging
import NIOCore
import OpenSSL
import Store
import Transport

/// The `coap` and `coaps` listeners.
extension Assembly {
    /// Datagrams that go out are no longer, so that they fit the smallest MTU of IPv6 with the headers of IP, UDP and DTLS.
    private static let maxDatagramBytes = 1232

    /// Keys of tickets are replaced when they are older than this.
    private static let ticketKeyAge = TimeAmount.hours(7 * 24)

    /// The keys of DTLS tickets, the same over restarts: nodes that sleep come back by a short handshake. `nil`: no listener has DTLS,
    /// or the store has no keys, and each session begins with a whole handshake.
    static func ticketKeys(
        _ configuration: GatewayConfiguration,
        _ store: Store,
        _ clock: WallClock,
        _ logger: Logger
    ) -> [UInt8]? {
        guard configuration.listeners.contains(where: { $0.transport == .coaps }) else { return nil }
        do {
            return try store.secret(
                named: "dtls tickets",
                bytes: DTLSConfiguration.ticketKeyBytes,
                maxAge: Self.ticketKeyAge,
                now: clock.milliseconds
            )
        } catch {
            logger.error("the keys of DTLS tickets can't be had", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// What is known of OSCORE contexts, if a listener has use for it. Without a disk that takes this down, none is used: a
    /// nonce might be used twice, and what was carried out before the start again.
    static func beginOSCORE(_ configuration: GatewayConfiguration, _ store: Store, _ logger: Logger) -> OSCOREStart? {
        guard configuration.listeners.contains(where: { $0.isCoAP && $0.oscore }) else { return nil }
        do {
            return try store.beginOSCORE()
        } catch {
            logger.error("OSCORE is off until the next start", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// Makes one listener and binds it. On the loop.
    func startCoAPListener(_ index: Int, core: GatewayCore) -> EventLoopFuture<any Channel> {
        let listener = self.configuration.listeners[index]
        let limits = self.configuration.limits
        var configuration = CoAPListener.Configuration(
            host: listener.bind.host,
            port: listener.bind.port,
            number: UInt16(clamping: index)
        )
        configuration.multicast = listener.multicast
        configuration.server.piggybackWithin = TimeAmount(listener.piggybackWithin)
        configuration.server.maxPeers = limits.maxCoapPeers
        configuration.server.maxObservations = limits.maxCoapObservers
        configuration.server.maxBodyBytes = limits.maxCoapBody
        // Their bytes are what bounds them.
        configuration.server.maxBodies = 1000
        configuration.server.maxBodiesBytes = max(4 << 20, 4 * limits.maxCoapBody)
        let site = core.makeSite(for: listener)
        let socket = CoAPListener(
            configuration: configuration,
            dtls: listener.transport == .coaps ? self.dtls(limits) : nil,
            protection: listener.oscore ? core.oscore : core.oscoreTurnedOff,
            logger: self.logger,
            delegate: site
        )
        do {
            let channel = try socket.makeChannel(on: core.loop)
            site.channel = channel
            return socket.start(channel, on: core.loop)
        } catch {
            return core.loop.makeFailedFuture(error)
        }
    }

    private func dtls(_ limits: GatewayLimits) -> DTLSConfiguration {
        let keyLookup = self.keyLookup
        var configuration = DTLSConfiguration { keyLookup.find($0) }
        configuration.ticketKeys = self.ticketKeys
        configuration.maxDatagramBytes = Self.maxDatagramBytes
        configuration.maxSessions = limits.maxDtlsSessions
        configuration.idleTimeout = TimeAmount(limits.dtlsIdleTimeout)
        return configuration
    }
}
