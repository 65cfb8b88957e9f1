package import NIOCore
package import OpenSSL

/// Fired up the pipeline when a handshake is complete, before the first plaintext.
package struct TLSHandshakeCompleted: Sendable {
    /// What the handshake proved.
    package var peer: TLSPeer
}

/// Puts a `TLSConnection` between a channel's socket and its other handlers.
///
/// Each read goes up as one plaintext buffer; writes are collected until the flush and leave as one buffer with one
/// system call. A failure is fired as a `TLSError` once the alert for the peer is on its way, and closes the channel.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Writes from above wait for the handshake up to this many bytes, and so do bytes of the peer while the handshake waits
    /// for its turn; more fails the connection.
    private static let maxEarlyBytes = 256 << 10

    /// Answers that TLS itself gives while the channel is not writable.
    private static let maxBlockedAnswers = 16

    private enum State {
        case idle
        case handshaking
        case open
        case closed
    }

    private let connection: TLSConnection
    private let handshakeTimeout: TimeAmount
    private let queue: HandshakeQueue?
    private var context: ChannelHandlerContext?
    private var state = State.idle
    private var deadline: Scheduled<Void>?
    /// Of all writes since the last flush.
    private var writePromise: EventLoopPromise<Void>?
    /// A flush came before the handshake was complete.
    private var isFlushWanted = false
    /// Somebody above asked to read and has got nothing yet.
    private var isReadWanted = false
    /// The handshake has bytes to work on, and waits for its turn. Nothing is read meanwhile.
    private var isWaiting = false
    /// The peer has closed, and the end of the connection waits for its turn.
    private var isEnding = false
    /// Somebody asked to read while it waited.
    private var isReadHeld = false
    /// The peer has got its first answer.
    private var hasAnswered = false
    /// Since the channel was last writable.
    private var blockedAnswers = 0
    private var isOutputClosed = false

    /// - Parameters:
    ///   - serverName: On a client, the host name or IP address that the server's certificate must carry.
    ///   - queue: Where the handshake waits for its turn, if it shall not be worked on at once.
    ///   - credentials: What a client shows in place of what the context has.
    package init(
        context: TLSContext,
        serverName: String? = nil,
        handshakeTimeout: TimeAmount = .seconds(10),
        queue: HandshakeQueue? = nil,
        credentials: TLSClientCredentials? = nil
    ) throws(TLSError) {
        self.connection = try TLSConnection(context: context, serverName: serverName, credentials: credentials)
        self.handshakeTimeout = handshakeTimeout
        self.queue = queue
    }

    /// What the handshake proved; nil until it is complete.
    package var peer: TLSPeer? { self.connection.peer }

    // MARK: Life

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.start(context) }
    }

    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        self.start(context)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.endOfInput(context)
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.finish(ChannelError.ioOnClosedChannel)
        self.context = nil
    }

    private func start(_ context: ChannelHandlerContext) {
        guard self.state == .idle else { return }
        self.state = .handshaking
        self.deadline = context.eventLoop.assumeIsolated().scheduleTask(in: self.handshakeTimeout) {
            self.fail(context, TLSError(.handshakeTimeout, "the TLS handshake took too long"))
        }
        do throws(TLSError) {
            try self.connection.start()
            self.send(context)
        } catch {
            self.fail(context, error)
        }
    }

    // MARK: Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.state == .handshaking || self.state == .open else { return }
        self.connection.receive(Self.unwrapInboundIn(data))
        if self.state == .handshaking, let queue = self.queue {
            if !self.isWaiting { self.isWaiting = !queue.takeStep(self) }
            guard !self.isWaiting else {
                // A peer that closes has all its bytes read.
                guard self.connection.unreadBytes > Self.maxEarlyBytes else { return }
                return self.fail(
                    context,
                    TLSError(.protocolError, "too much came before the TLS handshake was complete")
                )
            }
        }
        self.proceed(context)
    }

    /// The turn of the handshake, or of the end, has come.
    ///
    /// - Returns: Whether there was anything to do.
    func takeTurn() -> Bool {
        guard let context = self.context else { return false }
        if self.isEnding {
            self.isEnding = false
            self.end(context)
            return true
        }
        guard self.isWaiting else { return false }
        self.isWaiting = false
        self.proceed(context)
        guard self.state == .handshaking || self.state == .open else { return true }
        // What the channel does after each read.
        self.channelReadComplete(context: context)
        if self.isReadHeld {
            self.isReadHeld = false
            context.pipeline.read()
        }
        return true
    }

    /// Works on what has come.
    private func proceed(_ context: ChannelHandlerContext) {
        var plaintext = ByteBuffer()
        var failure: TLSError?
        do throws(TLSError) { try self.connection.readPlaintext(into: &plaintext) } catch { failure = error }

        if self.send(context), !context.channel.isWritable {
            // Answers, to key updates for one, would pile up without end for a peer that doesn't read them.
            self.blockedAnswers += 1
            if self.blockedAnswers > Self.maxBlockedAnswers, failure == nil {
                failure = TLSError(.protocolError, "the peer asks for TLS answers faster than it reads them")
            }
        }
        if self.state == .handshaking, let peer = self.connection.peer { self.complete(context, peer) }
        // Each of these calls up may have closed the channel.
        if plaintext.readableBytes > 0, self.state == .open {
            self.isReadWanted = false
            context.fireChannelRead(Self.wrapInboundOut(plaintext))
        }
        if let failure {
            self.fail(context, failure)
        } else if self.connection.isPeerClosed, self.state == .open {
            self.peerClosed(context)
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        guard !self.isWaiting else { return }
        // The handshake, and a record of which only a part has come, need reads that nobody above asks for.
        if self.state == .handshaking || (self.state == .open && self.isReadWanted) { context.read() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed, self.state != .closed {
            self.peerClosed(context)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// The socket is broken: a farewell would cost a record and a failing system call.
    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.finish(error)
        context.fireErrorCaught(error)
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.blockedAnswers = 0 }
        context.fireChannelWritabilityChanged()
    }

    private func complete(_ context: ChannelHandlerContext, _ peer: TLSPeer) {
        self.state = .open
        self.deadline?.cancel()
        self.deadline = nil
        if self.isFlushWanted { self.flush(context: context) }
        context.fireUserInboundEventTriggered(TLSHandshakeCompleted(peer: peer))
    }

    /// The peer has said all that it will. The end costs time too, for the gateway as for TLS: those of a thousand connections
    /// that were cut off at once wait for their turns.
    private func peerClosed(_ context: ChannelHandlerContext) {
        guard !self.isEnding else { return }
        if self.state == .open, let queue = self.queue, !queue.takeStep(self) {
            self.isEnding = true
        } else {
            self.end(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard self.state == .open, self.connection.isPeerClosed else {
            self.endOfInput(context)
            return context.close(promise: nil)
        }
        self.close(context: context, mode: .all, promise: nil)
    }

    private func endOfInput(_ context: ChannelHandlerContext) {
        // Whoever was answered may have sent all that it has to say. The first step is not worth its time any more.
        if self.isWaiting, self.hasAnswered {
            self.isWaiting = false
            self.proceed(context)
        }
        guard self.state != .closed else { return }
        let error = self.connection.endOfInput()
        self.finish(error ?? ChannelError.eof)
        if let error { context.fireErrorCaught(error) }
    }

    // MARK: Outbound

    package func read(context: ChannelHandlerContext) {
        self.isReadWanted = true
        guard !self.isWaiting else {
            self.isReadHeld = true
            return
        }
        context.read()
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard self.state != .closed, !self.isOutputClosed else {
            promise?.fail(self.isOutputClosed ? ChannelError.outputClosed : ChannelError.ioOnClosedChannel)
            return
        }
        self.connection.write(Self.unwrapOutboundIn(data))
        if let promise {
            if let first = self.writePromise {
                first.futureResult.cascade(to: promise)
            } else {
                self.writePromise = promise
            }
        }
        if self.state != .open, self.connection.pendingBytes > Self.maxEarlyBytes {
            self.fail(context, TLSError(.protocolError, "too much was written before the TLS handshake was complete"))
        }
    }

    package func flush(context: ChannelHandlerContext) {
        guard self.state == .open else {
            self.isFlushWanted = true
            return
        }
        do throws(TLSError) {
            try self.connection.flush()
        } catch {
            self.fail(context, error)
            return
        }
        guard !self.send(context) else { return }
        // Nothing but empty writes.
        self.writePromise?.succeed()
        self.writePromise = nil
    }

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, self.state == .open {
            self.connection.close()
            self.send(context)
        }
        switch mode {
        case .all: self.finish(ChannelError.ioOnClosedChannel)
        case .output: self.isOutputClosed = true
        case .input: break
        }
        context.close(mode: mode, promise: promise)
    }

    // MARK: Both

    /// Sends what the connection has to send, and says whether that was anything.
    @discardableResult
    private func send(_ context: ChannelHandlerContext) -> Bool {
        guard let ciphertext = self.connection.takeCiphertext() else { return false }
        var promise: EventLoopPromise<Void>?
        if self.connection.pendingBytes == 0 { swap(&promise, &self.writePromise) }
        self.hasAnswered = true
        context.writeAndFlush(Self.wrapOutboundOut(ciphertext), promise: promise)
        return true
    }

    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard self.state != .closed else { return }
        self.send(context)
        self.finish(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private func finish(_ error: any Error) {
        self.state = .closed
        self.isWaiting = false
        self.isEnding = false
        self.deadline?.cancel()
        self.deadline = nil
        self.writePromise?.fail(error)
        self.writePromise = nil
    }
}
