package import Broker
package import MQTTCodec
package import NIOCore

/// One client's connection to a listener: cuts frames, runs the ``ServerConnection`` machine and writes what the gateway
/// answers, gathered so that a burst of packets costs one write.
///
/// The one handler between socket (or TLS) and gateway: each pipeline hop costs more than decoding a packet does.
package final class MQTTConnection: ChannelDuplexHandler, SessionConnection, BurstFlushing {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// The longest time for which the gateway does not listen to a client.
    static let maxPause: TimeAmount = .minutes(1)
    /// What may wait behind a CONNECT while the gateway decides, in bytes. No reading is asked for meanwhile, so that it is
    /// what one turn of the loop had read already, which is less; only the last bytes before a peer's close can be more.
    static let maxHeldBytes = 128 << 10

    let configuration: Configuration
    package let delegate: any MQTTConnectionDelegate
    private let burst: WriteBurst
    private let expectsTLS: Bool
    private(set) var context: ChannelHandlerContext?
    var machine: ServerConnection
    private var frames: MQTTFrameDecoder
    /// Bytes of an incomplete frame, or those behind a CONNECT that is not decided about.
    private var partial = PartialFrame()
    private(set) var output: ByteBuffer?
    private var isInBurst = false
    /// Of the channel, kept since it is asked for each delivery.
    private(set) var isWritable = true
    private(set) var isClosed = false
    /// TCP, and TLS if the listener has it, was up.
    private var isOpen = false
    /// Frames are being taken from what was read.
    private var isTaking = false
    private var isReadPending = false
    private var isReadPaused = false
    /// Of CONNECT, then of the decision, then of the keep alive.
    private var timer: Scheduled<Void>?
    private var pause: Scheduled<Void>?
    /// Runs while the client does not take what it is sent.
    private var slowReader: Scheduled<Void>?
    private var closeReason: ServerConnection.Closure?
    private var ownReason: String?
    /// The client has closed. What it sent behind a CONNECT is still heard if that is accepted.
    private var isInputEnded = false
    /// The peer broke the protocol below MQTT.
    private var hasBrokenFrames = false
    /// Of the listener's limiter, which counts the connection until its socket is closed.
    var place: ConnectionPlace?
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
        self.machine = ServerConnection(now: .now(), limits: configuration.limits)
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
        } else if event as? ChannelEvent == .inputClosed {
            self.isInputEnded = true
            if !self.machine.isDeciding { self.closeChannel(lingers: false) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let read = self.unwrapInboundIn(data)
        self.burst.bytesRead += read.readableBytes
        let buffer = self.partial.join(read)
        self.take(buffer, now: context.eventLoop.now)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        self.flushBurst()
        context.fireChannelReadComplete()
    }

    /// Reads on only while the peer takes its answers and the gateway keeps up with it, the disk and CONNECT.
    package func read(context: ChannelHandlerContext) {
        guard !self.isReadPaused, !self.machine.isDeciding, context.channel.isWritable || self.isClosed,
            !self.delegate.isCongested
        else {
            self.isReadPending = true
            return
        }
        context.read()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        if self.isClosed {
            // Its last words are on their way; nobody waits for room.
        } else if context.channel.isWritable {
            self.slowReader?.cancel()
            self.slowReader = nil
            self.delegate.hasRoomAgain()
            self.resumeReading()
        } else if self.slowReader == nil {
            let loop = context.eventLoop.assumeIsolated()
            self.slowReader = loop.scheduleTask(in: self.configuration.slowReaderTimeout) { [weak self] in
                self?.close(.quotaExceeded, reason: "too slow a reader")
            }
        }
        context.fireChannelWritabilityChanged()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.ownReason == nil { self.ownReason = TransportWords.describe(error) }
        guard !self.isClosed else { return context.close(promise: nil) }
        self.hasBrokenFrames = error is WebSocketError
        // It has been answered in words of HTTP or with a Close frame.
        self.closeChannel(lingers: self.hasBrokenFrames)
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

    /// Lets the client in: CONNACK 0, then what came behind its CONNECT, not before this returns. Nothing happens if the
    /// connection has ended since.
    ///
    /// - Returns: False if the connection is over, or was refused since CONNACK is larger than the client takes.
    @discardableResult
    package func accept(_ connect: Connect, _ acceptance: Acceptance) -> Bool {
        guard !self.isClosed, self.machine.isDeciding, let context = self.context else { return false }
        guard let connAck = self.machine.accept(connect, acceptance, now: context.eventLoop.now) else {
            self.refuse(.packetTooLarge, reason: "its maximum packet size leaves no room for CONNACK")
            return false
        }
        self.timer?.cancel()
        self.timer = nil
        self.frames.maxPacketSize = self.configuration.maxPacketBytes
        self.frames.expectsConnect = false
        let version = self.machine.version
        // [MQTT-3.1.4-5]
        self.write { MQTTPacket.connack(connAck).encode(into: &$0, version: version) }
        self.armKeepAlive()
        guard !self.isTaking else { return true }
        // The caller may have more to do before it can hear of packets.
        context.eventLoop.assumeIsolated().execute {
            if let context = self.context { self.take(self.partial.join(ByteBuffer()), now: context.eventLoop.now) }
            if self.isInputEnded { return self.closeChannel(lingers: false) }
            self.resumeReading()
        }
        return true
    }

    /// Turns the client away: CONNACK with this code, where its version has a word for it, then close `[MQTT-3.2.2-7]`.
    ///
    /// - Parameter reason: for the operator's log; the client is not told.
    package func refuse(_ code: ReasonCode, reason: String) {
        self.close(code, reason: reason)
    }

    /// Ends the connection for a reason of the gateway's; what is written already is sent first, and a client of MQTT 5.0 is
    /// told the code `[MQTT-3.14.4-1]`.
    ///
    /// - Parameter reason: for the operator's log; the client is not told.
    package func close(_ code: ReasonCode, reason: String) {
        guard !self.isClosed else { return }
        self.ownReason = reason
        self.closeNow(code)
    }

    package func close(reason: String) {
        self.close(.unspecifiedError, reason: reason)
    }

    /// Ends the connection and gives its socket back at once: another one gets its place.
    func displace() {
        guard !self.isClosed else { return }
        self.ownReason = "it sent no CONNECT, and others wait for its place"
        self.closeNow(.unspecifiedError, lingers: false)
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

    /// Adds bytes to what is sent at the end of the burst.
    func write(_ body: (inout ByteBuffer) -> Void) {
        var buffer = self.output.take() ?? self.burst.takeBuffer()
        body(&buffer)
        self.output = buffer
        guard !self.isInBurst else { return }
        self.isInBurst = true
        self.burst.add(self)
    }

    /// Writes and flushes what gathered since the last time.
    package func flushBurst() {
        self.isInBurst = false
        guard let output = self.output.take(), let context = self.context else { return }
        self.burst.bytesWritten += output.readableBytes
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

    /// Takes frame after frame, up to a CONNECT that has to be decided about; keeps what is left.
    private func take(_ buffer: ByteBuffer, now: NIODeadline) {
        var buffer = buffer
        self.isTaking = true
        do throws(MQTTDecodeError) {
            while !self.isClosed, !self.machine.isDeciding, let frame = try self.frames.nextFrame(&buffer) {
                self.perform(self.machine.received(frame, now: now))
            }
        } catch {
            self.perform(self.machine.failed(error))
        }
        self.isTaking = false
        guard !self.isClosed else { return }
        guard !self.machine.isDeciding || buffer.readableBytes <= Self.maxHeldBytes else {
            return self.close(.quotaExceeded, reason: "too much sent behind CONNECT")
        }
        self.partial.keep(buffer)
    }

    private func perform(_ event: ServerConnection.Event) {
        switch event {
        case .none: break
        case .publish(let publish): self.delegate.received(publish)
        case .acknowledged(let packetID, let code): self.delegate.acknowledged(packetID: packetID, code: code)
        case .recorded(let packetID, let code): self.delegate.recorded(packetID: packetID, code: code)
        case .completed(let packetID, let code): self.delegate.completed(packetID: packetID, code: code)
        case .release(let packetID): self.delegate.released(packetID: packetID)
        case .connect(let connect): self.received(connect)
        case .subscribe(let subscribe): self.delegate.received(subscribe)
        case .unsubscribe(let unsubscribe): self.delegate.received(unsubscribe)
        case .ping: self.write { $0.writeInteger(0xD000, as: UInt16.self) }
        case .close(let closure):
            self.closeReason = closure
            self.closeNow(closure.reasonCode)
        }
    }

    private func received(_ connect: Connect) {
        self.timer?.cancel()
        self.timer = nil
        self.place?.isDeciding = true
        self.delegate.received(connect)
        guard self.machine.isDeciding, !self.isClosed, let context = self.context else { return }
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: self.configuration.decisionTimeout) {
            [weak self] in
            guard let self else { return }
            self.perform(self.machine.decisionTimedOut())
        }
    }

    private func closeNow(_ code: ReasonCode?, lingers: Bool = true) {
        var isTold = false
        if let code, let farewell = self.machine.farewell(code) {
            isTold = true
            let version = self.machine.version
            self.write { farewell.encode(into: &$0, version: version) }
        }
        self.machine.close()
        self.flushBurst()
        self.closeChannel(lingers: isTold && lingers)
    }

    /// Closes the channel, which may take a moment if the peer has to hear a last word; for the gateway it is over now.
    private func closeChannel(lingers: Bool) {
        self.isClosed = true
        guard let context = self.context else { return }
        if lingers, context.channel.isActive {
            let lingering = LingeringClose(
                time: self.configuration.lingerTime,
                maxBytes: self.configuration.maxLingerBytes
            )
            if (try? context.pipeline.syncOperations.addHandler(lingering, position: .first)) != nil {
                self.place?.linger { [weak lingering] in lingering?.cut() }
            }
        }
        context.close(promise: nil)  // [MQTT-3.14.4-2], [MQTT-4.13.2-1]
        self.end()
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
        let end = End(
            kind: !self.isOpen ? .handshakeFailed : self.hasBrokenFrames ? .misbehaved : End.Kind(self.closeReason),
            reason: self.ownReason ?? self.closeReason?.description ?? "the client closed the connection",
            sessionExpiryInterval: self.machine.changedSessionExpiry
        )
        self.delegate.closed(self, end: end, will: self.machine.takeWill())
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
