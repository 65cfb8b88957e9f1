import Broker
import CoAPCodec
import CoAPEndpoint
import Devices
import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import Sealing
import Store
import TestSupport
import Testing

@testable import Gateway

extension DeviceID {
    static func of(_ text: String) -> DeviceID? { try? DeviceID(text) }
}

/// A gateway's core without sockets, with CoAP peers that a test plays. Runs on the core's loop.
actor DownlinkSite {
    static let node = CoAPPeer(ipv4: 0x0A00_0001, port: 5683)
    static let other = CoAPPeer(ipv4: 0x0A00_0002, port: 5683)
    /// Behind a handshake, so its address is proven.
    static let secure = CoAPPeer(ipv4: 0x0A00_0003, port: 40_001, session: 1)

    private struct Parts {
        let core: GatewayCore
        let link: CoAPLink
    }

    nonisolated let loop: any EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.loop.executor.asUnownedSerialExecutor() }
    private let store: Store
    private let parts: NIOLoopBound<Parts>
    private var messageID: UInt16 = 0

    var core: GatewayCore { self.parts.value.core }
    var link: CoAPLink { self.parts.value.link }

    /// - Parameter directory: What `body` leaves in its store is there for the next.
    static func run(
        _ configuration: String,
        devices: [Device] = [],
        in directory: TemporaryDirectory? = nil,
        server: CoAPServerConfiguration = CoAPServerConfiguration(),
        body: (DownlinkSite) async throws -> Void
    ) async throws {
        let directory = try directory ?? TemporaryDirectory()
        let head = """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = true

            """
        let parsed = try GatewayConfiguration.parse(head + configuration, directory: directory.path)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
        defer { store.close() }
        if try store.devices().isEmpty { for device in devices { try store.insert(device) } }
        let assembly = try Assembly(configuration: parsed, store: store, logger: logger)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let parts = try await loop.submit {
            let core = try assembly.makeCore(on: loop)
            return NIOLoopBound(Parts(core: core, link: CoAPLink(core: core, server)), eventLoop: loop)
        }.get()
        let site = DownlinkSite(loop: loop, store: store, parts: parts)
        do {
            try await body(site)
        } catch {
            try await site.stop()
            throw error
        }
        try await site.stop()
    }

    private init(loop: any EventLoop, store: Store, parts: NIOLoopBound<Parts>) {
        self.loop = loop
        self.store = store
        self.parts = parts
    }

    private func stop() async throws {
        try await self.core.drain(until: .now() + .seconds(30)).get()
    }

    /// For what a test looks at by itself.
    func look<Value: Sendable>(_ body: @Sendable (GatewayCore, CoAPLink) throws -> Value) rethrows -> Value {
        try body(self.core, self.link)
    }

    // MARK: Peers

    /// The transport has proven a device at this peer, or a query names one.
    func introduce(_ peer: CoAPPeer, device: String? = nil, claimed: String? = nil, isGuest: Bool = false) {
        var person = CoAPLink.Person(claimed: claimed)
        if let id = device.flatMap(DeviceID.of) { person.identity = .device(id) }
        if isGuest { person.identity = .guest }
        self.link.people[peer] = person
    }

    /// A GET; its response.
    @discardableResult
    func get(
        _ path: String,
        from peer: CoAPPeer = DownlinkSite.secure,
        token: String = "t",
        observe: UInt8? = nil,
        type: CoAPMessageType = .confirmable,
        _ options: [(CoAPOptionNumber, [UInt8])] = []
    ) throws -> CoAPMessage {
        self.messageID += 1
        var list = CoAPOptions()
        if let observe { list.append(.observe, ByteBuffer(bytes: observe == 0 ? [] : [observe])) }
        for segment in path.split(separator: "/") { list.append(.uriPath, String(segment)) }
        for (number, value) in options { list.append(number, ByteBuffer(bytes: value)) }
        let message = CoAPMessage(
            type: type,
            code: .get,
            messageID: self.messageID,
            token: try #require(CoAPToken(Array(token.utf8))),
            options: list,
            payload: ByteBuffer()
        )
        self.link.receive(message, from: peer)
        return try #require(self.link.takeAnswer(to: message, from: peer))
    }

    /// What came to the peer since the last time.
    func take(_ peer: CoAPPeer = DownlinkSite.secure) -> [CoAPMessage] { self.link.take(peer) }

    /// The peer acknowledges, or rejects; what it is sent then.
    @discardableResult
    func answer(
        _ message: CoAPMessage,
        _ type: CoAPMessageType = .acknowledgement,
        from peer: CoAPPeer = DownlinkSite.secure
    ) -> [CoAPMessage] {
        self.link.receive(.empty(type, messageID: message.messageID), from: peer)
        return self.link.take(peer)
    }

    func pass(_ time: TimeAmount) { self.link.pass(time) }

    // MARK: Posts

    struct Command: Sendable, Equatable {
        let topic: String
        let payload: [UInt8]
        var text: String { String(decoding: self.payload, as: UTF8.self) }
    }

    /// The device has posted something; what the response takes along.
    ///
    /// - Parameters:
    ///   - room: Bytes that the response can take.
    ///   - arrives: False if the response can't be sent.
    func post(
        _ device: String,
        sessionID: String? = nil,
        isProven: Bool = false,
        room: Int = .max,
        arrives: Bool = true
    ) async -> Command? {
        await withCheckedContinuation { continuation in
            self.begin(device, sessionID, isProven, room, arrives) { continuation.resume(returning: $0) }
        }
    }

    /// The same without waiting; nil: the response is not ready.
    func postAtOnce(
        _ device: String,
        sessionID: String? = nil,
        isProven: Bool = false,
        room: Int = .max
    ) -> Command?? {
        var answer: Command??
        self.begin(device, sessionID, isProven, room) { answer = .some($0) }
        return answer
    }

    /// Two posts, of which the second comes while the response to the first is being made.
    func postTwice(_ device: String, sessionIDs: (String, String)) async -> (Command?, Command??) {
        var second: Command??
        let first = await withCheckedContinuation { continuation in
            self.begin(device, sessionIDs.0, false) { continuation.resume(returning: $0) }
            second = self.postAtOnce(device, sessionID: sessionIDs.1)
        }
        return (first, second)
    }

    private func begin(
        _ device: String,
        _ sessionID: String?,
        _ isProven: Bool,
        _ room: Int = .max,
        _ arrives: Bool = true,
        _ done: @escaping (Command?) -> Void
    ) {
        guard let id = DeviceID.of(device) else { return done(nil) }
        self.core.piggyback.begin(
            for: id,
            sessionID: sessionID.map { ByteBuffer(string: $0) },
            isProven: isProven,
            room: { $1 <= room }
        ) { command in
            done(command.map { Command(topic: $0.topic.description, payload: Array($0.payload.readableBytesView)) })
            return arrives
        }
    }

    // MARK: Others

    /// What somebody publishes here, or an uplink brings.
    func publish(
        _ topic: String,
        _ payload: String,
        qos: QoS = .atLeastOnce,
        retain: Bool = false,
        by publisher: String? = nil,
        expiry: NIODeadline? = nil,
        contentType: String? = nil
    ) throws {
        var message = Message(
            topic: try TopicName(topic),
            payload: ByteBuffer(string: payload),
            qos: qos,
            retain: retain,
            publisher: publisher,
            expiry: expiry
        )
        if let contentType { message.properties.contentType = try MQTTString(contentType) }
        let device = self.core.registry.commandDevice(message.topic)
        self.core.distribute(
            message,
            isStored: publisher != nil,
            sealedFor: device?.text == publisher ? nil : device
        )
    }

    /// The devices of the registry, changed by `body`.
    ///
    /// - Parameter ended: Those that are revoked, removed or re-keyed.
    func change(ending ended: [String] = [], _ body: @Sendable (inout [Device]) -> Void) {
        var devices = self.core.registry.devices
        body(&devices)
        self.core.replaceDevices(devices)
        self.link.reader.endObservations(of: Set(ended.compactMap { DeviceID.of($0) }))
    }

    var sessionCount: Int { self.core.broker.sessionCount }
    var counters: Counters { self.core.counters }
}

extension CoAPMessage {
    var text: String { String(buffer: self.payload) }
    /// The value of an option that is a number.
    func number(_ number: CoAPOptionNumber) -> UInt64? { self.options.first { $0.number == number }.flatMap(\.uint) }
    func bytes(_ number: CoAPOptionNumber) -> [UInt8]? {
        self.options.first(number).map { Array($0.readableBytesView) }
    }
    var isObserved: Bool { self.options.first(.observe) != nil }
}
