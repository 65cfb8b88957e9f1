import MQTTCodec
import NIOCore
import Transport

/// What a node of the demo has been sent.
struct DemoMessage: Sendable, Equatable {
    let topic: TopicName
    let payload: ByteBuffer
}

/// The MQTT 3.1.1 side of one ``DemoClient``: writes its packets and keeps the promises that the answers fulfil.
///
/// Bound to the loop of its channel. Every promise is fulfilled: by the answer, by the end of the connection, or when
/// ``timeLimit`` is over.
final class DemoClientHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What became of a message at QoS 1.
    enum Answer: Sendable {
        /// PUBACK.
        case acknowledged
        /// The connection was closed, and no PUBACK had come.
        case closed
    }

    /// How long anything is waited for.
    static let timeLimit = TimeAmount.seconds(15)

    private struct Waiter {
        let isWanted: @Sendable (DemoMessage) -> Bool
        let promise: EventLoopPromise<DemoMessage>
    }

    /// What came and nobody has taken yet, oldest first.
    private(set) var unread: [DemoMessage] = []

    private let name: String
    private let loop: any EventLoop
    private let frames = MQTTFrameDecoder(maxPacketSize: 1 << 20)
    private var input = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var lastPacketID: UInt16 = 0
    private var connected: EventLoopPromise<Void>?
    private var publishing: [UInt16: EventLoopPromise<Answer>] = [:]
    private var subscribing: [UInt16: EventLoopPromise<Bool>] = [:]
    private var waiters: [Waiter] = []
    /// Why the connection ended; nil while it has not.
    private var end: DemoFailure?

    /// `name`: the client identifier.
    init(name: String, loop: any EventLoop) {
        self.name = name
        self.loop = loop
    }

    // MARK: What the client asks for

    /// Sends CONNECT; fails unless the answer is CONNACK 0.
    func connect() -> EventLoopFuture<Void> {
        let promise = self.promise(of: Void.self, for: "CONNACK")
        guard self.end == nil, let clientID = try? MQTTString(self.name) else { return self.fail(promise) }
        self.connected = promise
        self.send(.connect(Connect(version: .v311, clientID: clientID)))
        return promise.futureResult
    }

    /// Sends SUBSCRIBE for one filter at QoS 1; the answer is whether it was granted.
    func subscribe(_ filter: TopicFilter) -> EventLoopFuture<Bool> {
        let promise = self.promise(of: Bool.self, for: "SUBACK")
        guard self.end == nil else { return self.fail(promise) }
        let packetID = self.nextPacketID()
        self.subscribing[packetID] = promise
        let subscription = Subscription(filter: filter, qos: .atLeastOnce)
        self.send(.subscribe(Subscribe(packetID: packetID, subscriptions: [subscription])))
        return promise.futureResult
    }

    /// Sends a message at QoS 1. A repetition has the packet identifier of the message before it.
    func publish(_ message: DemoMessage, isRepetition: Bool) -> EventLoopFuture<Answer> {
        let promise = self.promise(of: Answer.self, for: "PUBACK")
        guard self.end == nil else {
            promise.succeed(.closed)
            return promise.futureResult
        }
        let packetID = isRepetition ? self.lastPacketID : self.nextPacketID()
        self.publishing[packetID] = promise
        self.send(
            .publish(
                Publish(
                    topic: message.topic,
                    payload: message.payload,
                    qos: .atLeastOnce,
                    dup: isRepetition,
                    packetID: packetID
                )
            )
        )
        return promise.futureResult
    }

    /// Takes the first unread message of that kind, or waits for it; `what` is for the failure.
    func take(
        _ what: String,
        where isWanted: @escaping @Sendable (DemoMessage) -> Bool
    ) -> EventLoopFuture<DemoMessage> {
        let promise = self.promise(of: DemoMessage.self, for: what)
        if let index = self.unread.firstIndex(where: isWanted) {
            promise.succeed(self.unread.remove(at: index))
        } else if self.end != nil {
            return self.fail(promise)
        } else {
            self.waiters.append(Waiter(isWanted: isWanted, promise: promise))
        }
        return promise.futureResult
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var data = Self.unwrapInboundIn(data)
        self.input.writeBuffer(&data)
        do throws(MQTTDecodeError) {
            while let frame = try self.frames.nextFrame(&self.input) {
                self.received(try MQTTPacket(frame: frame, version: .v311, from: .server))
            }
            self.input.discardReadBytes()
        } catch {
            self.finish("was sent a malformed packet: \(error)")
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.finish("lost its connection: \(TransportWords.describe(error))")
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.finish("was disconnected")
        self.context = nil
    }

    // MARK: Inside

    private func received(_ packet: MQTTPacket) {
        switch packet {
        case .connack(let connAck):
            guard connAck.reasonCode == .success else { return self.finish("was turned away: \(connAck.reasonCode)") }
            self.connected.take()?.succeed()
        case .suback(let subAck):
            let isGranted = subAck.reasonCodes.allSatisfy { !$0.isFailure }
            self.subscribing.removeValue(forKey: subAck.packetID)?.succeed(isGranted)
        case .puback(let pubAck):
            self.publishing.removeValue(forKey: pubAck.packetID)?.succeed(.acknowledged)
        case .publish(let publish):
            if publish.qos == .atLeastOnce { self.send(.puback(PubAck(packetID: publish.packetID))) }
            let message = DemoMessage(topic: publish.topic.compacted(), payload: publish.payload)
            guard let index = self.waiters.firstIndex(where: { $0.isWanted(message) }) else {
                return self.unread.append(message)
            }
            self.waiters.remove(at: index).promise.succeed(message)
        case .pingresp: break
        default: self.finish("was sent \(packet.type), which no broker sends here")
        }
    }

    private func send(_ packet: MQTTPacket) {
        guard let context = self.context else { return }
        var buffer = ByteBuffer()
        packet.encode(into: &buffer, version: .v311)
        context.writeAndFlush(Self.wrapOutboundOut(buffer), promise: nil)
    }

    private func nextPacketID() -> UInt16 {
        self.lastPacketID = self.lastPacketID == .max ? 1 : self.lastPacketID + 1
        return self.lastPacketID
    }

    private func promise<Value: Sendable>(of type: Value.Type, for what: String) -> EventLoopPromise<Value> {
        let promise = self.loop.makePromise(of: type)
        let name = self.name
        let seconds = Self.timeLimit.nanoseconds / 1_000_000_000
        let timer = self.loop.scheduleTask(in: Self.timeLimit) {
            promise.fail(DemoFailure("\(name) waited \(seconds) s for \(what)"))
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        return promise
    }

    private func fail<Value>(_ promise: EventLoopPromise<Value>) -> EventLoopFuture<Value> {
        promise.fail(self.end ?? DemoFailure("\(self.name) is no client identifier"))
        return promise.futureResult
    }

    private func finish(_ what: String) {
        guard self.end == nil else { return }
        let end = DemoFailure("\(self.name) \(what)")
        self.end = end
        self.connected.take()?.fail(end)
        for promise in self.publishing.values { promise.succeed(.closed) }
        for promise in self.subscribing.values { promise.fail(end) }
        for waiter in self.waiters { waiter.promise.fail(end) }
        self.publishing = [:]
        self.subscribing = [:]
        self.waiters = []
    }
}
