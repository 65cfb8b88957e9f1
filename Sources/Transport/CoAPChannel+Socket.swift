import CoAPEndpoint
package import NIOCore
import NIOPosix

// The channel as the one handler of its socket.
extension CoAPChannel: ChannelDuplexHandler {
    package typealias InboundIn = AddressedEnvelope<ByteBuffer>
    package typealias OutboundIn = AddressedEnvelope<ByteBuffer>
    package typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    /// Bytes that the system may hold for a socket before it is read, if it allows so many: a thousand nodes that answer one multicast.
    private static let receiveQueueBytes = 1 << 20

    package func channelActive(context: ChannelHandlerContext) {
        self.context = context
        let channel = context.channel
        let address = channel.localAddress
        self.isIPv6 = address?.protocol == .inet6
        if let options = channel.syncOptions {
            try? options.setOption(.socketOption(.so_rcvbuf), value: Self.receiveQueueBytes)
            // Only on all addresses can something arrive that was sent to a group.
            if address.flatMap(DatagramAddress.init).map(\.isUnspecified) ?? false {
                try? options.setOption(.receivePacketInfo, value: true)
            }
        }
        context.fireChannelActive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = Self.unwrapInboundIn(data)
        let now = self.burst ?? .now()
        self.burst = now
        let count = envelope.data.readableBytes
        self.datagrams.received += 1
        self.datagrams.receivedBytes += UInt64(count)
        guard count <= self.maxReceiveBytes else {
            self.datagrams.oversized += 1
            return
        }
        guard let address = DatagramAddress(envelope.remoteAddress), address.port != 0, !address.isMulticast else {
            return
        }
        var isMulticast = false
        if let local = envelope.metadata?.packetInfo.flatMap({ DatagramAddress($0.destinationAddress) }) {
            isMulticast = local.isMulticast
        }
        guard !isMulticast || (self.configuration.multicast && !self.isSecure) else {
            self.datagrams.unwantedMulticasts += 1
            return
        }
        // In memory of its own: what is kept of it shall not keep all that came with it.
        let datagram = self.isSecure ? envelope.data : ByteBuffer(bytes: envelope.data.readableBytesView)
        self.receive(datagram, from: address, isMulticast: isMulticast, now: now)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        self.burst = nil
        self.endTurn()
    }

    /// An error of one datagram, such as an ICMP message about a peer that is gone, is nobody else's.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) { self.note(error) }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if !self.isClosing {
            self.isClosing = true
            self.sayFarewell()
        }
        context.close(mode: mode, promise: promise)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        if !self.isClosing { self.closedByItself(context.channel.localAddress) }
        self.closed()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.closed() }

    /// Sends at the end of the turn.
    func send(_ datagram: ByteBuffer, to address: DatagramAddress) {
        guard let context = self.context, context.channel.isWritable else {
            self.datagrams.unsent += 1
            return
        }
        self.datagrams.sent += 1
        self.datagrams.sentBytes += UInt64(datagram.readableBytes)
        let envelope = AddressedEnvelope(remoteAddress: address.socketAddress(isIPv6: self.isIPv6), data: datagram)
        context.write(Self.wrapOutboundOut(envelope), promise: nil)
        self.hasWritten = true
    }
}
