import Glibc
package import NIOCore
import NIOPosix

/// The UNIX domain socket in the state directory by which `sealgate status` asks a running gateway. Whoever connects gets one
/// answer, and the end of the connection; nothing is read from him. Mode 0600: only the gateway's user may ask.
package enum ControlSocket {
    /// Its name in the state directory.
    package static let name = "control.sock"
    /// Connections that are answered at a time; more are closed at once.
    static let maxConnections = 8
    /// How long one connection may take, on either side.
    package static let timeout = TimeAmount.seconds(5)
    /// Longest answer in bytes that the asking side takes.
    static let maxAnswerBytes = 4 << 20
    /// Longest path in bytes: the system's `sun_path` with its NUL.
    static let maxPathBytes = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Binds the socket. What lies there is of a gateway that has ended, for the store's lock keeps a second one out. Blocks,
    /// shortly; to be called with the lock held.
    ///
    /// - Returns: For ``start(_:on:answer:)``, which takes it over.
    static func bind(in directory: String) throws(ControlSocketError) -> Int32 {
        let path = directory + "/" + Self.name
        var address = try Self.address(path)
        let descriptor = try Self.make()
        _ = unlink(path)
        // Nobody can connect before listen(), so that the wider mode in between does no harm.
        guard Self.with(&address, { Glibc.bind(descriptor, $0, $1) }) == 0, chmod(path, 0o600) == 0 else {
            let code = errno
            close(descriptor)
            throw ControlSocketError(path: path, code: code)
        }
        return descriptor
    }

    /// Begins to answer. On the loop.
    ///
    /// - Parameter answer: Called on the loop for each connection.
    static func start(
        _ descriptor: Int32,
        on loop: any EventLoop,
        answer: @escaping () -> ByteBuffer
    ) -> EventLoopFuture<any Channel> {
        let clerk = NIOLoopBound(ControlClerk(answer: answer), eventLoop: loop)
        return ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 16)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ControlHandler(clerk: clerk.value))
                }
            }
            .withBoundSocket(descriptor)
    }

    /// Takes the name away, for the shutdown.
    static func remove(from directory: String) {
        _ = unlink(directory + "/" + Self.name)
    }

    // MARK: The asking side

    /// Asks the gateway that runs on a state directory. Blocks, for ``timeout`` at most with each step.
    ///
    /// - Returns: The answer; nil if nobody is there.
    package static func ask(in directory: String) throws(ControlSocketError) -> [UInt8]? {
        let path = directory + "/" + Self.name
        var address = try Self.address(path)
        let descriptor = try Self.make()
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Int(Self.timeout.nanoseconds / 1_000_000_000), tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard Self.with(&address, { connect(descriptor, $0, $1) }) == 0 else {
            let code = errno
            if code == ENOENT || code == ECONNREFUSED { return nil }
            throw ControlSocketError(path: path, code: code)
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while answer.count <= Self.maxAnswerBytes {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ControlSocketError(path: path, code: errno) }
            // A gateway that is about to end closes without a word.
            guard count > 0 else { return answer.isEmpty ? nil : answer }
            answer += buffer[..<count]
        }
        throw ControlSocketError(path: path, code: EMSGSIZE)
    }

    private static func make() throws(ControlSocketError) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ControlSocketError(path: Self.name, code: errno) }
        return descriptor
    }

    private static func address(_ path: String) throws(ControlSocketError) -> sockaddr_un {
        guard path.utf8.count <= Self.maxPathBytes else { throw ControlSocketError(path: path, code: ENAMETOOLONG) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    private static func with(_ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32)
        -> Int32
    {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}

/// Why the control socket can't be used.
package struct ControlSocketError: Error, Equatable, CustomStringConvertible {
    let path: String
    /// `errno`.
    let code: Int32

    package var description: String {
        switch self.code {
        case ENAMETOOLONG:
            "\(self.path): a socket's path has \(ControlSocket.maxPathBytes) bytes at most, and this has "
                + "\(self.path.utf8.count): give state in gateway.conf a shorter one"
        case EAGAIN: "\(self.path): the gateway does not answer"
        default: "\(self.path): \(String(cString: strerror(self.code)))"
        }
    }
}

/// Counts who is being answered. Bound to the gateway's loop.
private final class ControlClerk {
    let answer: () -> ByteBuffer
    var connections = 0

    init(answer: @escaping () -> ByteBuffer) {
        self.answer = answer
    }
}

/// One connection of the control socket.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let clerk: ControlClerk
    private var timer: Scheduled<Void>?
    private var isCounted = false

    init(clerk: ControlClerk) {
        self.clerk = clerk
    }

    func channelActive(context: ChannelHandlerContext) {
        guard self.clerk.connections < ControlSocket.maxConnections else { return context.close(promise: nil) }
        self.clerk.connections += 1
        self.isCounted = true
        let channel = context.channel
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: ControlSocket.timeout) {
            channel.close(promise: nil)
        }
        channel.writeAndFlush(self.clerk.answer()).whenComplete { _ in channel.close(promise: nil) }
    }

    /// Nobody has anything to say here.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        if self.isCounted { self.clerk.connections -= 1 }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
