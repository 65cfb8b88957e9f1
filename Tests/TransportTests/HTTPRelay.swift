import NIOCore
import NIOPosix
import TestSupport

/// A proxy that opens a tunnel to one port of 127.0.0.1, wherever it is asked for.
struct HTTPRelay: Sendable {
    let port: Int
    /// First lines of requests.
    let requests: OutputLog

    static func start(on loop: any EventLoop, to target: Int) async throws -> HTTPRelay {
        let requests = OutputLog()
        let listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Relaying(target: target, requests: requests))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        return HTTPRelay(port: listener.localAddress?.port ?? 0, requests: requests)
    }

    /// One side of a tunnel. Without a partner it takes a request, which comes in one read here.
    private final class Relaying: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let target: Int
        private let requests: OutputLog
        private var partner: (any Channel)?

        init(target: Int, requests: OutputLog, partner: (any Channel)? = nil) {
            self.target = target
            self.requests = requests
            self.partner = partner
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Self.unwrapInboundIn(data)
            if let partner = self.partner {
                partner.writeAndFlush(bytes, promise: nil)
                return
            }
            self.requests.append(String(String(buffer: bytes).prefix { $0 != "\r\n" }))
            let own = context.channel
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            ClientBootstrap(group: context.eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let back = Relaying(target: 0, requests: bound.value.requests, partner: own)
                        try channel.pipeline.syncOperations.addHandler(back)
                    }
                }
                .connect(host: "127.0.0.1", port: self.target)
                .whenSuccess { channel in
                    bound.value.partner = channel
                    own.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), promise: nil)
                }
        }

        func channelInactive(context: ChannelHandlerContext) { self.partner?.close(promise: nil) }
    }
}
