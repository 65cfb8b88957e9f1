import Logging
package import NIOCore
import NIOPosix

// The channel as the one handler of its socket.
extension CoAPObserverChannel: ChannelInboundHandler {
    package typealias InboundIn = AddressedEnvelope<ByteBuffer>

    package func channelActive(context: ChannelHandlerContext) {
        self.opened(context)
        context.fireChannelActive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = Self.unwrapInboundIn(data)
        let now = self.burst ?? .now()
        self.burst = now
        let count = envelope.data.readableBytes
        self.traffic.received += 1
        self.traffic.receivedBytes += UInt64(count)
        guard count <= self.maxReceiveBytes else {
            self.traffic.oversized += 1
            return
        }
        guard let address = DatagramAddress(envelope.remoteAddress), address.port != 0, !address.isMulticast else {
            return
        }
        // In memory of its own: what is kept of it shall not keep all that came with it.
        self.receive(ByteBuffer(bytes: envelope.data.readableBytesView), from: address, now: now)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        self.burst = nil
        self.endTurn()
    }

    /// An error of one datagram, such as an ICMP message about a node that is gone, is nobody else's.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.lastError = "\(error)"
        self.logger.debug("an error of a UDP socket", metadata: ["error": "\(error)"])
    }

    package func channelInactive(context: ChannelHandlerContext) {
        // Not that of a socket that was never bound.
        if context === self.context { self.lostSocket(self.lastError ?? "closed") }
        context.fireChannelInactive()
    }
}
