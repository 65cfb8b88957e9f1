import CDatagrams
package import CoAPEndpoint
package import Logging
package import NIOCore
import NIOPosix
package import OpenSSL

/// One `coap` or `coaps` listener on UDP: a socket with its ``CoAPChannel``.
package struct CoAPListener {
    /// What a listener needs to know.
    package struct Configuration: Sendable {
        /// Name or address to bind; `0.0.0.0` and `::` for all.
        package var host: String
        /// 0 lets the system choose.
        package var port: Int
        /// Of this listener, in ``CoAPPeer/listener``.
        package var number: UInt16
        package var server = CoAPServerConfiguration()
        /// Also hears the groups All CoAP Nodes (RFC 7252 §12.8): 224.0.1.187, ff02::fd and ff05::fd. Only where all addresses are bound, and
        /// never over DTLS.
        package var multicast = false

        package init(host: String, port: Int, number: UInt16) {
            self.host = host
            self.port = port
            self.number = number
        }
    }

    private let configuration: Configuration
    private let dtls: DTLSConfiguration?
    private let protection: (any CoAPProtection)?
    private let logger: Logger
    private let delegate: any CoAPChannelDelegate

    /// - Parameters:
    ///   - dtls: `nil`: plain CoAP.
    ///   - protection: OSCORE; `nil`: not understood here.
    package init(
        configuration: Configuration,
        dtls: DTLSConfiguration?,
        protection: (any CoAPProtection)?,
        logger: Logger,
        delegate: any CoAPChannelDelegate
    ) {
        self.configuration = configuration
        self.dtls = dtls
        self.protection = protection
        self.logger = logger
        self.delegate = delegate
    }

    /// The channel, which ``start(_:on:)`` puts on a socket; what is given to it before or after it has one is dropped. Call on the loop.
    ///
    /// - Throws: DTLS can't be set up.
    package func makeChannel(on loop: any EventLoop) throws(TLSError) -> CoAPChannel {
        try CoAPChannel(
            configuration: self.configuration,
            dtls: self.dtls,
            protection: self.protection,
            logger: self.logger,
            delegate: self.delegate,
            loop: loop
        )
    }

    /// Binds and begins to read. Call on the loop.
    ///
    /// - Returns: The datagram channel; closing it ends the listener, and says so to the peers of its DTLS sessions.
    package func start(on loop: any EventLoop) -> EventLoopFuture<any Channel> {
        do {
            return self.start(try self.makeChannel(on: loop), on: loop)
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    /// Binds `channel`, which ``makeChannel(on:)`` made, and begins to read. Call on the loop.
    package func start(_ channel: CoAPChannel, on loop: any EventLoop) -> EventLoopFuture<any Channel> {
        let descriptor: Int32
        do {
            let address = try SocketAddress.makeAddressResolvingHost(
                self.configuration.host,
                port: self.configuration.port
            )
            descriptor = address.withSockAddr { datagrams_bind($0, $1, Int32(CoAPChannel.receiveQueueBytes)) }
            guard descriptor >= 0 else { throw IOError(errnoCode: -descriptor, reason: "bind") }
            channel.opened(descriptor, isIPv6: address.protocol == .inet6)
        } catch {
            return loop.makeFailedFuture(error)
        }
        let handler = NIOLoopBound(channel, eventLoop: loop)
        return DatagramBootstrap(group: loop)
            // The first datagram tells that there are some; the others are read past the channel.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(capacity: channel.maxReceiveBytes + 1)
            )
            .channelInitializer { datagrams in
                datagrams.eventLoop.makeCompletedFuture {
                    try datagrams.pipeline.syncOperations.addHandler(handler.value)
                }
            }
            .withBoundSocket(descriptor)
    }
}
