import CoAPEndpoint
import NIOCore
import OpenSSL
import Transport

/// The `coap` and `coaps` listeners.
extension Assembly {
    /// Datagrams that go out are no longer, so that they fit the smallest MTU of IPv6 with the headers of IP, UDP and DTLS.
    private static let maxDatagramBytes = 1232

    /// Makes one listener, not yet bound. On the loop.
    func makeCoAPListener(_ index: Int, core: GatewayCore) -> CoAPListener {
        let listener = self.configuration.listeners[index]
        let limits = self.configuration.limits
        var configuration = CoAPListener.Configuration(host: listener.bind.host, port: listener.bind.port)
        configuration.number = UInt16(clamping: index)
        configuration.multicast = listener.multicast
        configuration.server.piggybackWithin = TimeAmount(listener.piggybackWithin)
        configuration.server.maxPeers = limits.maxCoapPeers
        configuration.server.maxObservations = limits.maxCoapObservers
        configuration.server.maxBodyBytes = limits.maxCoapBody
        configuration.server.maxBodiesBytes = max(4 << 20, 4 * limits.maxCoapBody)
        return CoAPListener(
            configuration: configuration,
            dtls: listener.transport == .coaps ? self.dtls(limits) : nil,
            protection: listener.oscore ? core.oscore : nil,
            logger: self.logger,
            delegate: core.makeSite(for: listener)
        )
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
