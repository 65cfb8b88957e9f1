package import Broker
package import MQTTCodec
package import NIOCore
package import OpenSSL

/// What a connection asks of the gateway. Called on the loop only.
package protocol MQTTConnectionDelegate: AnyObject {
    /// TCP, and TLS if the listener has it, is up.
    func opened(_ connection: MQTTConnection, peer: TLSPeer?)
    /// Decide, then call ``MQTTConnection/accept(_:sessionPresent:)`` or ``MQTTConnection/refuse(_:reason:)`` before returning.
    func received(_ connect: Connect)
    func received(_ publish: Publish)
    func received(_ subscribe: Subscribe)
    func received(_ unsubscribe: Unsubscribe)
    func acknowledged(packetID: UInt16)
    /// PUBREL.
    func released(packetID: UInt16)
    /// The socket takes bytes again.
    func hasRoomAgain()
    /// Whether reading should stop until ``MQTTConnection/resumeReading()``.
    var isCongested: Bool { get }
    /// The connection is gone; `will` is to be published. The only call for one whose TLS handshake never finished.
    func closed(_ connection: MQTTConnection, end: MQTTConnection.End, will: Will?)
}

/// One client's connection to an `mqtt` or `mqtts` listener: cuts frames, runs the ``ServerConnection`` machine and
/// writes what the gateway answers, gathered so that a burst of packets costs one write.
///
/// The one handler between socket (or TLS) and gateway: each pipeline hop costs more than decoding a packet does.
package final class MQTTConnection: ChannelDuplexHandler, SessionConnection, BurstFlushing {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// How a connection ended.
    package struct End: Sendable {
        package enum Kind: Sendable {
            /// DISCONNECT, the peer went away, or the gateway closed it.
            case normal
            /// The peer broke the protocol, or sent nothing in time.
            case misbehaved
            /// TLS was not set up.
            case handshakeFailed
        }

        package let kind: Kind
        /// In words for the operator; may hold what the peer sent.
        package let reason: String
    }

    /// Limits and times of one connection.
    package struct Configuration: Sendable {
        /// Largest packet, fixed header included, once the client is connected.
        package var maxPacketBytes = 256 << 10
        /// Largest CONNECT.
        package var maxConnectBytes = 64 << 10
        /// CONNECT must be complete within this time of `accept`.
        package var connectTimeout: TimeAmount = .seconds(5)
        /// Longest keep alive that is watched, in seconds.
        package var maxKeepAliveSeconds: UInt16 = 3600
        /// Bytes that may wait for a slow reader.
        package var maxQueuedBytes = 1 << 20
        /// How long a client may let more than that wait before it is cut off.
        package var slowReaderTimeout: TimeAmount = .seconds(30)
        /// Most filters of one SUBSCRIBE or UNSUBSCRIBE.
        package var maxFiltersPerPacket = 128

        package init() {}
    }

    /// The longest time for which the gateway does not listen to a client.
    static let maxPause: TimeAmount = .minutes(1)

    private let configuration: Configuration
    private let delegate: any MQTTConnectionDelegate
    private let burst: WriteBurst
    private let expectsTLS: Bool
    private(set) var context: ChannelHandlerContext?
    private var machine: ServerConnection
    private var frames: MQTTFrameDecoder
    /// Bytes of an incomplete frame.
    private var partial = PartialFrame()
    private var output: ByteBuffer?
    private var isInBurst = false
    private var isClosed = false
    /// TCP, and TLS if the listener has it, was up.
    private var isOpen = false
    private var isReadPending = false
    private var isReadPaused = false
    private var timer: Scheduled<Void>?
    private var pause: Scheduled<Void>?
    /// Runs while the client does not take what it is sent.
    private var slowReader: Scheduled<Void>?
    private var closeReason: ServerConnection.Closure?
    private var ownReason: String?
    /// The network address of the peer; never an identity.
    package private(set) var address = PeerAddress(nil)

    /// - Parameter expectsTLS: A TLS handler sits between the socket and this one, and says who the peer is.
    package init(
        configuration: Configuration,
        delegate: any MQTTConnectionDelegate,
        burst: WriteBurst,
        expectsTLS: Bool
    ) {
        self.configuration = configuration
        self.delegate = delegate
        self.burst = burst
        self.expectsTLS = expectsTLS
        self.machine = ServerConnection(now: .now(), maxFiltersPerPacket: configuration.maxFiltersPerPacket)
        self.frames = MQTTFrameDecoder(maxPacketSize: configuration.maxConnectBytes, expectsConnect: true)
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.address = PeerAddress(context.remoteAddress)
        if context.channel.isActive { self.start(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        self.start(context)
        context.fireChannelActive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let completed = event as? TLSHandshakeCompleted {
            self.isOpen = true
            self.delegate.opened(self, peer: completed.peer)
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.partial.join(self.unwrapInboundIn(data))
        let now = context.eventLoop.now
        do throws(MQTTDecodeError) {
            while !self.isClosed, let frame = try self.frames.nextFrame(&buffer) {
                self.perform(self.machine.received(frame, now: now))
            }
        } catch {
            self.perform(self.machine.failed(error))
        }
        if !self.isClosed { self.partial.keep(buffer) }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        self.flushBurst()
        context.fireChannelReadComplete()
    }

    /// Reads on only while the peer takes its answers and the gateway keeps up with the disk.
    package func read(context: ChannelHandlerContext) {
        guard !self.isReadPaused, context.channel.isWritable || self.isClosed, !self.delegate.isCongested else {
            self.isReadPending = true
            return
        }
        context.read()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            self.slowReader?.cancel()
            self.slowReader = nil
            self.delegate.hasRoomAgain()
            self.resumeReading()
        } else if self.slowReader == nil, !self.isClosed {
            let loop = context.eventLoop.assumeIsolated()
            self.slowReader = loop.scheduleTask(in: self.configuration.slowReaderTimeout) { [weak self] in
                self?.close(reason: "too slow a reader")
            }
        }
        context.fireChannelWritabilityChanged()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.ownReason == nil { self.ownReason = TransportWords.describe(error) }
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.end()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.end()
        self.context = nil
    }

    // MARK: What the gateway calls

    /// Lets the client in: CONNACK 0.
    package func accept(_ connect: Connect, sessionPresent: Bool) {
        self.machine.accept(connect, maxKeepAlive: self.configuration.maxKeepAliveSeconds)
        self.frames.maxPacketSize = self.configuration.maxPacketBytes
        self.frames.expectsConnect = false
        self.timer?.cancel()
        self.timer = nil
        self.write { $0.writeMultipleIntegers(UInt8(0x20), UInt8(2), UInt8(sessionPresent ? 1 : 0), UInt8(0)) }
        self.armKeepAlive()
    }

    /// Turns the client away: CONNACK with this code, then close `[MQTT-3.2.2-5]`.
    package func refuse(_ code: ConnectReturnCode, reason: String) {
        self.write { $0.writeMultipleIntegers(UInt8(0x20), UInt8(2), UInt8(0), code.rawValue) }
        self.close(reason: reason)
    }

    /// PUBACK, or another acknowledgement of a PUBLISH or PUBREL that is nothing but its identifier.
    package func acknowledge(_ packetID: UInt16, with type: MQTTPacketType = .puback) {
        guard !self.isClosed else { return }
        self.write { PubAck.write(type, packetID: packetID, into: &$0) }
    }

    /// SUBACK, UNSUBACK: any packet that is not on the per-message path.
    package func send(_ packet: MQTTPacket) {
        guard !self.isClosed else { return }
        let version = self.machine.version
        self.write { packet.encode(into: &$0, version: version) }
    }

    package var hasRoom: Bool {
        guard !self.isClosed, let context = self.context, context.channel.isWritable else { return false }
        return (self.output?.readableBytes ?? 0) < self.configuration.maxQueuedBytes
    }

    package func send(_ message: Message, as delivery: Delivery) -> Bool {
        guard !self.isClosed else { return true }
        let version = self.machine.version
        let publish = Publish(
            topic: message.topic,
            payload: message.payload,
            qos: delivery.qos,
            retain: delivery.retain,
            dup: delivery.isDuplicate,
            packetID: delivery.packetID
        )
        self.write { publish.encode(into: &$0, version: version) }
        return true
    }

    package func release(_ packetID: UInt16) {
        self.acknowledge(packetID, with: .pubrel)
    }

    /// Ends the connection for a reason of the gateway's; what is written already is sent first.
    package func close(reason: String) {
        guard !self.isClosed else { return }
        self.ownReason = reason
        self.machine.close()
        self.closeNow()
    }

    /// The gateway can take more: ``MQTTConnectionDelegate/isCongested`` is over.
    package func resumeReading() {
        guard self.isReadPending, !self.isReadPaused, let context = self.context else { return }
        self.isReadPending = false
        self.machine.touch(now: context.eventLoop.now)
        self.read(context: context)
    }

    /// Stops reading for a time, ``maxPause`` at most: the sender is over its rate.
    package func pauseReading(for time: TimeAmount) {
        guard !self.isReadPaused, let context = self.context else { return }
        self.isReadPaused = true
        let time = min(time, Self.maxPause)
        self.pause = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [weak self] in
            guard let self else { return }
            self.pause = nil
            self.isReadPaused = false
            self.resumeReading()
        }
    }

    /// Writes and flushes what gathered since the last time.
    package func flushBurst() {
        self.isInBurst = false
        guard let output = self.output.take(), let context = self.context else { return }
        context.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
        self.burst.giveBack(output)
    }

    // MARK: Inside

    private func start(_ context: ChannelHandlerContext) {
        guard self.timer == nil else { return }
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: self.configuration.connectTimeout) {
            self.perform(self.machine.connectTimedOut())
        }
        guard !self.expectsTLS else { return }
        self.isOpen = true
        self.delegate.opened(self, peer: nil)
    }

    private func perform(_ event: ServerConnection.Event) {
        switch event {
        case .none: break
        case .publish(let publish): self.delegate.received(publish)
        case .acknowledged(let packetID): self.delegate.acknowledged(packetID: packetID)
        case .release(let packetID): self.delegate.released(packetID: packetID)
        case .connect(let connect): self.delegate.received(connect)
        case .subscribe(let subscribe): self.delegate.received(subscribe)
        case .unsubscribe(let unsubscribe): self.delegate.received(unsubscribe)
        case .ping: self.write { $0.writeInteger(0xD000, as: UInt16.self) }
        case .close(let closure):
            self.closeReason = closure
            if closure == .unsupportedProtocol {
                // CONNACK 0x01, or for 5.0 its own form of "unsupported protocol version".
                let answer: [UInt8] = self.machine.version == .v5 ? [0x20, 3, 0, 0x84, 0] : [0x20, 2, 0, 1]
                self.write { $0.writeBytes(answer) }
            }
            self.closeNow()
        }
    }

    private func write(_ body: (inout ByteBuffer) -> Void) {
        var buffer = self.output.take() ?? self.burst.takeBuffer()
        body(&buffer)
        self.output = buffer
        guard !self.isInBurst else { return }
        self.isInBurst = true
        self.burst.add(self)
    }

    private func closeNow() {
        self.flushBurst()
        self.isClosed = true
        self.context?.close(promise: nil)
    }

    private var endKind: End.Kind {
        if !self.isOpen { return .handshakeFailed }
        switch self.closeReason {
        case .malformed, .protocolError, .unsupportedProtocol, .connectTimeout: return .misbehaved
        case .disconnected, .keepAliveExpired, nil: return .normal
        }
    }

    private func end() {
        guard self.context != nil else { return }
        self.context = nil
        self.isClosed = true
        for task in [self.timer, self.pause, self.slowReader] { task?.cancel() }
        self.timer = nil
        self.pause = nil
        self.slowReader = nil
        self.output = nil
        self.partial.clear()
        let reason = self.ownReason ?? self.closeReason?.description ?? "the client closed the connection"
        self.delegate.closed(self, end: End(kind: self.endKind, reason: reason), will: self.machine.takeWill())
    }

    private func armKeepAlive() {
        guard let deadline = self.machine.deadline, let context = self.context else { return }
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
            guard let self else { return }
            // What the gateway does not read says nothing about the client.
            if self.isReadPaused || self.isReadPending { self.machine.touch(now: context.eventLoop.now) }
            self.perform(self.machine.tick(now: context.eventLoop.now))
            if self.machine.isConnected { self.armKeepAlive() }
        }
    }
}
