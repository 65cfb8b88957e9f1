internal import NIOCore
internal import NIOPosix
internal import OpenSSL

/// Makes channels to the addresses of one uplink. Bound to its event loop.
struct UplinkDialer {
    let addresses: [UplinkAddress]
    let configuration: UplinkChannel.Configuration
    let proxy: HTTPProxy?
    /// The address of this machine to connect from; nil: the system's choice.
    let localAddress: String?
    let loop: any EventLoop
    let burst: WriteBurst

    /// A connection of TCP, with the handlers of the rest at work.
    func dial(_ index: Int, timeout: TimeAmount) -> EventLoopFuture<NIOLoopBound<UplinkChannel>> {
        let address = self.addresses[index]
        var bootstrap = self.bootstrap(address, timeout: timeout)
        if let localAddress = self.localAddress {
            do {
                bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: localAddress, port: 0))
            } catch {
                return self.loop.makeFailedFuture(error)
            }
        }
        // Happy Eyeballs may make several channels of one name; the one it hands over is asked how the rest went.
        return bootstrap.connect(host: self.proxy?.host ?? address.host, port: self.proxy?.port ?? address.port)
            .flatMapThrowing { channel in
                let handler = try channel.pipeline.syncOperations.handler(type: UplinkChannel.self)
                return NIOLoopBound(handler, eventLoop: channel.eventLoop)
            }
    }

    private func bootstrap(_ address: UplinkAddress, timeout: TimeAmount) -> ClientBootstrap {
        let own = NIOLoopBound((self, address), eventLoop: self.loop)
        var bootstrap = ClientBootstrap(group: self.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: self.configuration.maxQueuedBytes))
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 64 << 10)
            )
        for (option, value) in TCPLiveness.options(self.configuration) {
            bootstrap = bootstrap.channelOption(option, value: value)
        }
        return
            bootstrap
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (dialer, address) = own.value
                    try dialer.addHandlers(address, to: channel.pipeline.syncOperations)
                }
            }
    }

    private func addHandlers(_ address: UplinkAddress, to pipeline: ChannelPipeline.SynchronousOperations) throws {
        if let proxy = self.proxy {
            let tunnel = ProxyTunnel(proxy: proxy, target: address)
            try HTTPOpening.add(.tunnel(tunnel), startsAfterTLS: false, to: pipeline)
        }
        if let tls = address.tls {
            let credentials = address.credentials?.current
            try pipeline.addHandler(
                try TLSHandler(context: tls.current, serverName: address.serverName, credentials: credentials)
            )
        }
        if let path = address.webSocketPath {
            // Frames are not collected, and one may carry many packets.
            let purpose = HTTPOpening.Purpose.webSocket(WebSocketOffer(address, path: path), maxFrameBytes: 1 << 31)
            try HTTPOpening.add(purpose, startsAfterTLS: address.tls != nil, to: pipeline)
        }
        try pipeline.addHandler(UplinkChannel(address: address, configuration: self.configuration, burst: self.burst))
    }
}
