import NIOCore
import Sealing
import TestSupport
import Testing

/// A gateway with a sealed node `kitchen` (v1), whose clients prove nothing at one listener, and are guests or give passwords
/// at another.
struct SealedCommandSite {
    static let topic = "nodes/kitchen/cmd/light"
    static let sessionTopic = topic + "/sessionID"

    let gateway: GatewayProcess
    /// Where nothing is proven.
    let openPort: Int
    /// Where guests are, and devices with a password.
    let guestPort: Int

    static func home(uplink: Int = 1, sensor: [String] = [], extra: String = "") async throws -> GatewayProcess.Home {
        var configuration = SiteConfiguration.plain(port: uplink)
        configuration.sensor = sensor
        configuration.extra = """
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"
            password = true

            [profile.guest]
            publish = ["nodes/+/cmd/#"]
            subscribe = ["nodes/#"]
            rate = "100000/s"

            \(extra)
            """
        let home = try GatewayProcess.Home(configuration: configuration.text)
        try await home.importDevices(
            SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 7) + SiteDevices.plain("lamp")
        )
        for device in ["kitchen", "lamp"] {
            let finished = try await home.run(["device", "password", device], input: OpenSite.password)
            try #require(finished.exit == .status(0), "\(finished.all)")
        }
        return home
    }

    static func start(uplink: Int = 1, sensor: [String] = [], extra: String = "") async throws -> SealedCommandSite {
        try Self(await Self.home(uplink: uplink, sensor: sensor, extra: extra).start())
    }

    init(_ gateway: GatewayProcess) throws {
        self.gateway = gateway
        let ports = gateway.log.lines.filter { $0.hasSuffix(" listening") && $0.contains("protocol=mqtt ") }
            .compactMap { $0.split(separator: " ").first { $0.hasPrefix("port=") }.flatMap { Int($0.dropFirst(5)) } }
        try #require(ports.count == 2)
        self.openPort = ports[0]
        self.guestPort = ports[1]
    }

    /// SIGKILL, and the next one in its directory.
    func killed() async throws -> SealedCommandSite {
        try await self.gateway.kill()
        return try Self(try await self.gateway.restart())
    }

    // MARK: Clients

    /// The node, which proves nothing; subscribed to its commands.
    func node(_ opening: MQTTPeer.Opening = .init(id: "kitchen", level: 4)) throws -> MQTTPeer {
        let peer = try MQTTPeer(port: self.openPort, opening)
        if !peer.isPresent { #expect(try peer.subscribe("nodes/kitchen/cmd/#", qos: 1) == [1]) }
        return peer
    }

    func guest(_ id: String = "guest") throws -> MQTTPeer { try MQTTPeer(port: self.guestPort, .init(id: id)) }

    /// Sends a command as a guest; it is safe then.
    func command(_ text: String, on topic: String = Self.topic, properties: [UInt8] = []) throws {
        let guest = try self.guest("sender")
        try guest.publish(topic, text, id: 1, properties: properties)
        try guest.expect(.puback, 1)
        try guest.disconnect()
    }

    /// What the node reads in a command; throws if it is not sealed for it under this session ID.
    static func open(_ payload: String, session: String, secret number: UInt8 = 7) throws -> String {
        let secret = SealedNode.keys(secret: number)
        let keys = try V1Keys(
            staticIV: secret.staticIV,
            ivKey: secret.ivKey,
            dataKey: secret.dataKey,
            passphrase: secret.passphrase
        )
        let opened = try V1Cipher(keys: keys).open(
            ByteBuffer(string: payload),
            nodeID: Array("11242238".utf8),
            sessionIDs: [Array(session.utf8)]
        )
        return String(buffer: opened.data)
    }
}

extension MQTTPeer {
    /// Publishes a session ID for commands, and waits until it is taken; what comes with it, if it was waited for.
    func publishSession(_ id: String, retain: Bool = false, command count: Int = 0) throws -> [MQTTPeer.Message] {
        try self.publish(SealedCommandSite.sessionTopic, id, id: 77, retain: retain)
        var messages: [MQTTPeer.Message] = []
        var isAcknowledged = false
        while !isAcknowledged || messages.count < count {
            let packet = try self.next()
            if packet.first == Acknowledgement.puback.rawValue {
                isAcknowledged = true
            } else if let message = self.message(packet) {
                messages.append(message)
                if message.qos == 1 { try self.send(.puback, message.id) }
            } else {
                throw Unexpected(description: "\(packet), not PUBLISH or PUBACK")
            }
        }
        return messages
    }
}
