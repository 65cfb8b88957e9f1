import CoAPEndpoint
package import NIOCore
import NIOPosix

// The channel as the one handler of its socket.
extension CoAPChannel: ChannelDuplexHandler {
    package typealias InboundIn = AddressedEnvelope<ByteBuffer>
    package typealias OutboundIn = Never

    /// Bytes that the system may hold for a socket before it is read, if it allows so many: some hundreds of messages.
    static let receiveQueueBytes = 1 << 20

    package func channelActive(context: ChannelHandlerContext) {
        self.context = context
        // Only on all addresses can something arrive that was sent to a group, or to one address of several.
        if context.channel.localAddress.flatMap(DatagramAddress.init)?.isUnspecified == true {
            try? context.channel.syncOptions?.setOption(.receivePacketInfo, value: true)
        }
        self.joinGroups()
        context.fireChannelActive()
    }

    /// The socket is bound, and nothing of it was read.
    ///
    /// - Parameter descriptor: Owned by the channel of swift-nio.
    func opened(_ descriptor: Int32, isIPv6: Bool) {
        self.sender = DatagramSender(descriptor: descriptor, isIPv6: isIPv6)
        self.reader = DatagramReader(
            descriptor: descriptor,
            count: Self.datagramsAtOnce,
            maxBytes: self.maxReceiveBytes
        )
        if self.configuration.multicast { self.groups = MulticastGroups(descriptor: descriptor) }
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = Self.unwrapInboundIn(data)
        guard envelope.data.readableBytes <= self.maxReceiveBytes else { return self.receive(nil) }
        let local = envelope.metadata?.packetInfo.flatMap { DatagramAddress($0.destinationAddress) }
        guard let address = DatagramAddress(envelope.remoteAddress) else { return }
        envelope.data.withUnsafeReadableBytes {
            let isGroup = local?.isMulticast ?? false
            self.receive(DatagramReader.Datagram(address: address, local: local, isGroup: isGroup, bytes: $0))
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        do {
            var reads = 0
            while reads < Self.readsAtOnce, try self.reader?.read({ self.receive($0) }) == true { reads += 1 }
        } catch {
            self.note(error)
        }
        self.burst = nil
        self.endTurn()
    }

    /// - Parameter datagram: `nil`: one that was too long.
    private func receive(_ datagram: DatagramReader.Datagram?) {
        let now = self.burst ?? .now()
        self.burst = now
        self.traffic.received += 1
        guard let datagram else {
            self.traffic.oversized += 1
            return
        }
        self.traffic.receivedBytes += UInt64(datagram.bytes.count)
        guard datagram.address.port != 0, !datagram.address.isMulticast else { return }
        guard !datagram.isGroup || (self.configuration.multicast && !self.isSecure) else {
            self.traffic.unwantedMulticasts += 1
            return
        }
        self.receive(
            datagram.bytes,
            from: datagram.address,
            local: datagram.isGroup ? 0 : datagram.local.map { self.locals.number(of: $0) } ?? 0,
            isMulticast: datagram.isGroup,
            now: now
        )
    }

    /// An error of one datagram, such as an ICMP message about a peer that is gone, is nobody else's.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) { self.note(error) }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if !self.isClosing {
            self.isClosing = true
            self.sayFarewell()
            self.sender = nil
            self.reader = nil
        }
        context.close(mode: mode, promise: promise)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if !self.isClosing { self.closedByItself(context.channel.localAddress) }
        self.closed()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.closed() }
}
