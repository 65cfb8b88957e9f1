import CoAPEndpoint
import NIOCore
import OpenSSL
import Transport

/// The `coap` and `coaps` listeners.
extension Assembly {
    /// Datagrams that go out are no longer, so that they fit the smallest MTU of IPv6 with the headers of IP, UDP and DTLS.
    private static let maxDatagramBytes = 1232

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
        configuration.server.maxBodiesBytes = max(4 << 20, 4 * limits.maxCoapBody)
        let site = core.makeSite(for: listener)
        let socket = CoAPListener(
            configuration: configuration,
            dtls: listener.transport == .coaps ? self.dtls(limits) : nil,
            protection: listener.oscore ? core.oscore : nil,
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
        configuration.maxDatagramBytes = Self.maxDatagramBytes
        configuration.maxSessions = limits.maxDtlsSessions
        configuration.idleTimeout = TimeAmount(limits.dtlsIdleTimeout)
        return configuration
    }
}
