import CoAPCodec
import CoAPEndpoint
import Logging
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport

@testable import Transport

/// A CoAP listener on a real socket of loopback, whose delegate writes down what it hears.
final class CoAPSocketSite: Sendable {
    static let key: [UInt8] = Array(repeating: 7, count: 16)

    /// Answers in the way that the path says: `/echo`, `/later` (in a later turn), `/watch` (observed), `/ignore`, `/challenge`.
    final class Delegate: CoAPChannelDelegate {
        let log: OutputLog
        /// Waits for ``CoAPSocketSite/answerHeld()``.
        var held: [CoAPRequest] = []
        var observations: [CoAPObservationID] = []
        /// Identities that are not let in.
        var unwelcome: Set<String> = ["node-unwelcome"]
        /// A call came from within a method of the channel.
        var isInside = false

        init(log: OutputLog) { self.log = log }

        private func within(_ body: () -> Void) {
            self.isInside = true
            body()
            self.isInside = false
        }

        private func note(_ line: String) { self.log.append(self.isInside ? "re-entrant: \(line)" : line) }

        func received(_ request: CoAPRequest, on channel: CoAPChannel) {
            let path = request.options.filter { $0.number == .uriPath }.map { String(buffer: $0.value) }
            let session = request.peer.session == 0 ? "" : " in session \(request.peer.session)"
            self.note(
                "\(request.isMulticast ? "group " : "")request /\(path.joined(separator: "/"))\(session) "
                    + "from \(channel.address(of: request.peer))"
            )
            let answer = CoAPResponse(.content, payload: request.payload)
            self.within {
                switch path.first {
                case "later": channel.address(of: request.peer).text.isEmpty ? () : self.held.append(request)
                case "watch":
                    if let id = channel.respond(to: request.id, answer, observing: true) {
                        self.observations.append(id)
                        self.log.append("observed")
                    }
                case "ignore": channel.ignore(request.id)
                case "challenge" where request.age == nil: channel.challenge(request.id)
                case "bye":
                    channel.respond(to: request.id, answer)
                    channel.closeSession(request.peer.session)
                default: channel.respond(to: request.id, answer)
                }
            }
        }

        func observationDue(_ id: CoAPObservationID, on channel: CoAPChannel) { self.note("due") }
        func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: CoAPChannel) {
            self.note("observation ended: \(end)")
        }
        func notificationConfirmed(_ id: CoAPObservationID, on channel: CoAPChannel) { self.note("confirmed") }

        func established(
            session: UInt32,
            identity: [UInt8],
            isResumed: Bool,
            from address: PeerAddress,
            on channel: CoAPChannel
        ) -> Bool {
            let name = String(decoding: identity, as: UTF8.self)
            self.note("established \(session): \(name) from \(address)\(isResumed ? ", resumed" : "")")
            return !self.unwelcome.contains(name)
        }
        func ended(session: UInt32, _ end: DTLSEnd, on channel: CoAPChannel) { self.note("ended \(session): \(end)") }
        func handshakeFailed(
            identity: [UInt8],
            isIdentityKnown: Bool,
            from address: PeerAddress,
            on channel: CoAPChannel
        ) {
            self.note("failed \(String(decoding: identity, as: UTF8.self)) \(isIdentityKnown)")
        }
        func misdirected(_ kind: MisdirectedProtocol, from address: PeerAddress, on channel: CoAPChannel) {
            self.note("looks like \(kind), from \(address)")
        }
    }

    let log: OutputLog
    let channel: any Channel
    let port: Int
    private let loop: any EventLoop
    private let parts: NIOLoopBound<(channel: CoAPChannel, delegate: Delegate)>

    static func start(
        host: String = "127.0.0.1",
        port: Int = 0,
        dtls: Bool = false,
        _ change: (inout CoAPListener.Configuration) -> Void = { _ in },
        dtlsChange: @escaping @Sendable (inout DTLSConfiguration) -> Void = { _ in }
    ) async throws -> CoAPSocketSite {
        var configuration = CoAPListener.Configuration(host: host, port: port, number: 3)
        // A busy machine answers late.
        configuration.server.piggybackWithin = .seconds(100)
        configuration.server.ackTimeout = .seconds(100)
        change(&configuration)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let log = OutputLog()
        let (channel, parts) = try await loop.flatSubmit { [configuration] in
            let delegate = Delegate(log: log)
            var secure: DTLSConfiguration?
            if dtls {
                var configuration = DTLSConfiguration { identity in
                    String(decoding: identity, as: UTF8.self).hasPrefix("node") ? Self.key : nil
                }
                dtlsChange(&configuration)
                secure = configuration
            }
            let listener = CoAPListener(
                configuration: configuration,
                dtls: secure,
                protection: nil,
                logger: Logger(label: "test") { _ in LogRecorder(log: log) },
                delegate: delegate
            )
            do {
                let channel = try listener.makeChannel(on: loop)
                let parts = NIOLoopBound((channel: channel, delegate: delegate), eventLoop: loop)
                return listener.start(channel, on: loop).map { ($0, parts) }
            } catch {
                return loop.makeFailedFuture(error)
            }
        }.get()
        return CoAPSocketSite(log: log, channel: channel, loop: loop, parts: parts)
    }

    private init(
        log: OutputLog,
        channel: any Channel,
        loop: any EventLoop,
        parts: NIOLoopBound<(channel: CoAPChannel, delegate: Delegate)>
    ) {
        self.log = log
        self.channel = channel
        self.port = channel.localAddress?.port ?? 0
        self.loop = loop
        self.parts = parts
    }

    /// On the loop.
    func run<Result: Sendable>(_ body: @escaping @Sendable (CoAPChannel, Delegate) -> Result) async throws -> Result {
        try await self.loop.submit { [parts = self.parts] in body(parts.value.channel, parts.value.delegate) }.get()
    }

    /// Answers all that came to `/later`, in one turn.
    func answerHeld() async throws {
        try await self.run { channel, delegate in
            for request in delegate.held {
                channel.respond(to: request.id, CoAPResponse(.content, payload: request.payload))
            }
            delegate.held = []
        }
    }

    func client() throws -> RawUDPClient { try RawUDPClient(port: self.port) }
    func stop() async throws { try await self.channel.close() }
}

/// Writes the messages of a logger to an ``OutputLog``.
struct LogRecorder: LogHandler {
    let log: OutputLog
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    init(log: OutputLog) { self.log = log }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) { self.log.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}

/// Requests and answers as bytes.
enum CoAPBytes {
    static func request(
        _ path: String,
        _ type: CoAPMessageType = .confirmable,
        code: CoAPCode = .post,
        id: UInt16,
        payload: String = "",
        _ change: (inout CoAPOptions) -> Void = { _ in }
    ) -> [UInt8] {
        var options = CoAPOptions()
        options.append(.uriPath, path)
        change(&options)
        let message = CoAPMessage(
            type: type,
            code: code,
            messageID: id,
            options: options,
            payload: ByteBuffer(string: payload)
        )
        return Array(message.encoded().readableBytesView)
    }

    static func acknowledgement(_ messageID: UInt16) -> [UInt8] {
        Array(CoAPMessage.empty(.acknowledgement, messageID: messageID).encoded().readableBytesView)
    }

    static func decode(_ bytes: [UInt8]) throws -> CoAPMessage { try CoAPMessage(decoding: ByteBuffer(bytes: bytes)) }
}

extension RawUDPClient {
    func receiveMessage() throws -> CoAPMessage { try CoAPBytes.decode(self.receive()) }
}
