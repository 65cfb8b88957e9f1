package import MQTTCodec
package import NIOCore
package import OpenSSL

/// Hears of one uplink's connections. Every call comes on the uplink's event loop, and none after ``UplinkChannel/close()``
/// or ``UplinkConnector/cancel()``.
package protocol UplinkChannelDelegate: AnyObject {
    /// TCP, TLS if there is any, and the WebSocket if there is one, are up: time for CONNECT.
    func uplinkConnected(_ channel: UplinkChannel)
    /// One frame, in the order of the stream. The channel may be closed from here; no further frame comes then.
    func uplink(_ channel: UplinkChannel, received frame: MQTTFrame)
    /// A PUBLISH larger than the limit has begun; what comes of it is thrown away as it arrives, and no frame follows before
    /// its end. `packetID` is as it arrived, 0 at QoS 0; `size` in bytes, fixed header included.
    func uplink(_ channel: UplinkChannel, skipped firstByte: UInt8, packetID: UInt16, size: Int)
    /// The frames of one burst of reads have all been delivered: the moment to take stock of acknowledgements.
    func uplinkReadCompleted(_ channel: UplinkChannel)
    /// ``UplinkChannel/isWritable`` is true again after it was found false.
    func uplinkBecameWritable(_ channel: UplinkChannel)
    /// While the delegate has a connection, one to a better address, or with a newer certificate, is up: the next
    /// ``UplinkConnector/connect(delegate:)`` gets it at once. To be left alone if there is a reason; it is closed after
    /// ``UplinkConnector/holdTime``, and tried again another time.
    func uplinkCanChangeOver(to address: String)
    /// The connection ended, or none of the addresses could be reached; `reason` in words. Neither comes more than once for
    /// one ``UplinkConnector/connect(delegate:)``.
    func uplinkDisconnected(reason: String)
}

/// One connection to an outside broker: cuts frames, and gathers what is written in one buffer that goes out once per
/// burst, so that a hundred messages cost one system call and as few TLS records as can be.
///
/// Holds no protocol: that is the client machine's, which the delegate joins to it. All on one event loop.
package final class UplinkChannel: ChannelDuplexHandler, BurstFlushing {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Limits of one connection.
    package struct Configuration: Sendable {
        /// Largest packet of the broker's, fixed header included, in bytes. A larger PUBLISH is skipped, anything else ends
        /// the connection.
        package var maxPacketBytes = 256 << 10
        /// Bytes that may wait for the broker before ``UplinkChannel/isWritable`` says no.
        package var maxQueuedBytes = 256 << 10
        /// For all that comes before CONNECT, each address.
        package var connectTimeout: Duration = .seconds(10)
        /// A connection whose peer acknowledges no bytes for so long is over, whatever waits in it (`TCP_USER_TIMEOUT`); nil:
        /// as long as the system likes, a quarter of an hour and more.
        package var deadAfter: Duration?
        /// Whether TCP itself looks if the peer is there when nothing is said (`SO_KEEPALIVE`), within ``deadAfter``.
        package var probesIdle = false

        /// The defaults.
        package init() {}
    }

    /// What has to be up before CONNECT.
    private enum Readiness {
        case tcp
        case tls
        case webSocket
    }

    /// How setting up a connection went.
    enum Outcome {
        case ready
        case failed(reason: String)
    }

    /// The address that answered.
    package let address: String
    private let configuration: Configuration
    private let burst: WriteBurst
    private let frames: MQTTFrameDecoder
    private let readiness: Readiness
    /// Set while the connector waits for the connection to be ready.
    private var onOutcome: ((Outcome) -> Void)?
    /// Set while the connector holds a connection that is ready.
    private var onEnd: (() -> Void)?
    private weak var delegate: (any UplinkChannelDelegate)?
    private(set) var context: ChannelHandlerContext?
    /// Bytes of an incomplete frame.
    private(set) var partial = PartialFrame()
    /// The oversized PUBLISH that is being thrown away.
    private var skipped: SkippedPublish?
    private var output: ByteBuffer?
    private var isInBurst = false
    private var isReady = false
    private var isOver = false
    private var wasFull = false
    private var isReadPending = false
    /// What an error said before the connection ended.
    private var reason: String?

    /// What the other side proved during the TLS handshake; `nil` for plain TCP.
    package private(set) var peer: TLSPeer?

    /// Whether bytes are taken from the broker. Set to `false` while too many of its messages wait; TCP then slows it down.
    package var isReading = true {
        didSet { self.readOn() }
    }

    /// A channel that is not connected yet.
    init(address: UplinkAddress, configuration: Configuration, burst: WriteBurst) {
        self.address = address.description
        self.readiness = address.webSocketPath != nil ? .webSocket : address.tls != nil ? .tls : .tcp
        self.configuration = configuration
        self.burst = burst
        self.frames = MQTTFrameDecoder(maxPacketSize: configuration.maxPacketBytes)
    }

    /// Calls `onOutcome` once, maybe at once: when the connection can carry MQTT, or has ended before.
    func awaitReady(_ onOutcome: @escaping (Outcome) -> Void) {
        switch (self.isReady, self.isOver) {
        case (_, true): onOutcome(.failed(reason: self.reason ?? "the broker closed the connection"))
        case (true, false): onOutcome(.ready)
        case (false, false): self.onOutcome = onOutcome
        }
    }

    /// Names the delegate; before that nobody hears of the connection.
    func attach(_ delegate: any UplinkChannelDelegate) {
        self.onEnd = nil
        self.delegate = delegate
    }

    /// Calls `onEnd` if the connection ends by itself before a delegate is named.
    func hold(onEnd: @escaping () -> Void) {
        self.onEnd = onEnd
    }

    /// What a connection that is not ready yet still needs, in words.
    var stage: String {
        switch self.readiness {
        case .tcp: "the tunnel through the proxy"
        case .tls: "TLS"
        case .webSocket: "the WebSocket"
        }
    }

    /// Whether the connection has not ended.
    var isUp: Bool { !self.isOver }

    // MARK: What the owner calls

    /// Whether more may be written: the broker takes bytes, and not too many wait for the end of this burst. After
    /// `false`, ``UplinkChannelDelegate/uplinkBecameWritable(_:)`` tells of the change.
    package var isWritable: Bool {
        guard !self.isOver, let context = self.context else { return false }
        let waiting = self.output?.readableBytes ?? 0
        if waiting < self.configuration.maxQueuedBytes, context.channel.isWritable { return true }
        self.wasFull = true
        return false
    }

    /// Whether the end of a PUBLISH that ``UplinkChannelDelegate/uplink(_:skipped:packetID:size:)`` told of has yet to come.
    package var isSkipping: Bool { self.skipped != nil }

    /// Lets `body` append to what goes out at the end of this burst. After the end of the connection the bytes are dropped.
    package func write<Result>(_ body: (inout ByteBuffer) -> Result) -> Result {
        var buffer = self.output.take() ?? self.burst.takeBuffer()
        let result = body(&buffer)
        guard buffer.readableBytes > 0, !self.isOver else {
            self.burst.giveBack(buffer)
            return result
        }
        self.output = buffer
        if !self.isInBurst {
            self.isInBurst = true
            self.burst.add(self)
        }
        return result
    }

    /// Sends what is written, then closes. The delegate hears no more.
    package func close() {
        guard !self.isOver else { return }
        self.sendOutput()
        self.end(reason: nil)
        self.context?.close(promise: nil)
    }

    /// Writes and flushes what gathered since the last time.
    package func flushBurst() {
        self.isInBurst = false
        self.sendOutput()
        self.tellIfWritable()
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.end(reason: self.reason ?? "the connection was closed")
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        self.start(context)
        context.fireChannelActive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let completed = event as? TLSHandshakeCompleted {
            self.peer = completed.peer
            if self.readiness == .tls { self.becomeReady() }
        } else if event is WebSocketOpened {
            self.becomeReady()
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = self.partial.join(self.unwrapInboundIn(data))
        do throws(MQTTDecodeError) {
            while !self.isOver, try self.takeNext(&buffer) {}
        } catch {
            self.end(reason: "the broker sent a malformed packet: \(error)")
            context.close(promise: nil)
        }
        if !self.isOver { self.partial.keep(buffer) }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if !self.isOver { self.delegate?.uplinkReadCompleted(self) }
        context.fireChannelReadComplete()
    }

    /// Takes bytes of the broker only while it takes the answers: one that sends and never reads would let them grow
    /// without end.
    package func read(context: ChannelHandlerContext) {
        guard self.isReading, context.channel.isWritable || self.isOver else {
            self.isReadPending = true
            return
        }
        context.read()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.tellIfWritable()
        self.readOn()
        context.fireChannelWritabilityChanged()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.reason == nil { self.reason = TransportWords.describe(error) }
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.end(reason: self.reason ?? "the broker closed the connection")
        context.fireChannelInactive()
    }

    // MARK: Inside

    private func start(_ context: ChannelHandlerContext) {
        if self.readiness == .tcp { self.becomeReady() }
    }

    private func becomeReady() {
        guard !self.isReady, !self.isOver else { return }
        self.isReady = true
        self.onOutcome.take()?(.ready)
    }

    /// Delivers one frame, or throws away a part of one that is too large; `false` when more bytes have to come.
    private func takeNext(_ buffer: inout ByteBuffer) throws(MQTTDecodeError) -> Bool {
        if self.skipped != nil { return try self.skipOn(&buffer) }
        do throws(MQTTDecodeError) {
            guard let frame = try self.frames.nextFrame(&buffer) else { return false }
            self.delegate?.uplink(self, received: frame)
        } catch {
            guard let skipped = SkippedPublish(error, at: &buffer) else { throw error }
            self.skipped = skipped
        }
        return true
    }

    private func skipOn(_ buffer: inout ByteBuffer) throws(MQTTDecodeError) -> Bool {
        guard var skipped = self.skipped else { return true }
        let packetID = try skipped.consume(&buffer)
        let isDone = skipped.isDone
        self.skipped = isDone ? nil : skipped
        if let packetID {
            self.delegate?.uplink(self, skipped: skipped.firstByte, packetID: packetID, size: skipped.size)
        }
        return isDone
    }

    private func sendOutput() {
        guard let output = self.output.take() else { return }
        self.context?.writeAndFlush(self.wrapOutboundOut(output), promise: nil)
        self.burst.giveBack(output)
    }

    private func readOn() {
        guard self.isReading, self.isReadPending, let context = self.context else { return }
        self.isReadPending = false
        self.read(context: context)
    }

    private func tellIfWritable() {
        guard self.wasFull, !self.isOver, let context = self.context, context.channel.isWritable else { return }
        self.wasFull = false
        self.delegate?.uplinkBecameWritable(self)
    }

    /// Reports the end once: with `nil` to nobody, for the owner wanted it.
    private func end(reason: String?) {
        guard !self.isOver else { return }
        self.isOver = true
        self.output = nil
        self.partial.clear()
        self.skipped = nil
        self.reason = reason
        guard let reason else { return }
        self.onOutcome.take()?(.failed(reason: reason))
        self.onEnd.take()?()
        self.delegate?.uplinkDisconnected(reason: reason)
    }
}
