import Devices
import MQTTCodec
import Testing

@testable import Gateway

@Suite("Reading gateway.conf")
struct ConfigurationReadingTests {
    private func parse(_ text: String, directory: String = "") throws -> GatewayConfiguration {
        try GatewayConfiguration.parse(text, file: "F", directory: directory)
    }

    @Test("fills in every default")
    func defaults() throws {
        let configuration = try self.parse(BadFile.head + BadFile.uplink + "[profile.x]\npublish = [\"a\"]")
        #expect(configuration.name == "attic")
        #expect(configuration.stateDirectory == "state")
        #expect(configuration.logLevel == .info)
        #expect(configuration.limits == GatewayLimits())
        #expect(configuration.limits.maxConnections == 10_000)
        #expect(configuration.limits.maxPacket == 262_144)
        #expect(configuration.limits.failureRate == Rate(count: 10, interval: .seconds(60)))
        let uplink = try #require(configuration.uplinks.first)
        #expect(uplink.addresses.map(\.description) == ["mqtts://broker.example.org:8883"])
        #expect(uplink.clientID == "attic")
        #expect(uplink.keepAlive == .seconds(60))
        #expect(uplink.inFlight == 100)
        #expect(!uplink.cleanSession)
        #expect(uplink.files.isEmpty)
        #expect(uplink.tlsMin == .tls12)
        #expect(uplink.tlsMax == .tls13)
        #expect(uplink.spool == SpoolLimits())
        #expect(uplink.spool.maxAge == .seconds(604_800))
        #expect(uplink.spool.whenFull == .dropOldest)
        let profile = try #require(configuration.profiles["x"])
        #expect(profile.seal == .none)
        #expect(profile.sessionTopic == nil)
    }

    @Test("reads WebSocket listeners: by default at /mqtt, for pages of all origins")
    func webSockets() throws {
        let configuration = try self.parse(
            BadFile.gateway + """
                [limits]
                max_half_open = 3
                [[listener]]
                protocol = "ws"
                bind = "[::]:8083"
                anonymous = true
                [[listener]]
                protocol = "wss"
                bind = "[::]:8084"
                certificate = "a.crt"
                key = "a.key"
                client_ca = "ca.crt"
                path = "/a/b~c"
                origins = ["https://home.example:8123", "http://[2001:db8::1]"]
                [[listener]]
                protocol = "wss"
                bind = "[::]:8085"
                psk = true
                origins = []
                """
        )
        #expect(configuration.limits.maxHalfOpen == 3)
        let listeners = configuration.listeners
        #expect(listeners.map(\.transport) == [.ws, .wss, .wss])
        #expect(listeners.map(\.path) == ["/mqtt", "/a/b~c", "/mqtt"])
        #expect(listeners.map(\.origins) == [nil, ["https://home.example:8123", "http://[2001:db8::1]"], []])
        #expect(listeners.map(\.isTLS) == [false, true, true] && listeners.allSatisfy(\.isWebSocket))
    }

    @Test("reads every key")
    func everyKey() throws {
        let configuration = try self.parse(
            """
            [gateway]
            name = "attic-2.b"
            state = "/var/lib/sealgate"
            log_level = "debug"
            [limits]
            max_connections = 1
            max_connections_per_address = 2
            connect_timeout = "3s"
            max_packet = "4KiB"
            max_subscriptions = 5
            max_retained = 6
            max_retained_bytes = "7KiB"
            max_queued_bytes = "8KiB"
            max_keep_alive = "0s"
            max_inflight = 10
            failure_rate = "11/h"
            [[listener]]
            protocol = "mqtts"
            bind = "[::]:8883"
            psk = true
            certificate = "certs/gateway.crt"
            key = "certs/gateway.key"
            client_ca = "/etc/ca.crt"
            tls_min = "1.3"
            anonymous = false
            [[listener]]
            protocol = "mqtt"
            bind = "localhost:1884"
            anonymous = "guest"
            [profile.guest]
            publish = ["cmd/#"]
            subscribe = ["#"]
            [profile.sensor]
            seal = "v1"
            plaintext = false
            identify_by = "client_id"
            publish = ["n/%d/#"]
            subscribe = ["n/%d/s"]
            deny = ["n/%d/x"]
            session_topic = "n/%d/s"
            max_payload = "2KiB"
            rate = "3/min"
            window = 4
            lifetime = "5min"
            rotate_on_failure = true
            relay = true
            retain = false
            [uplink.cloud]
            address = ["mqtts://one:1", "mqtts://[2001:db8::1]"]
            ca = "ca.crt"
            certificate = "attic.crt"
            key = "attic.key"
            tls_min = "1.3"
            tls_max = "1.3"
            server_name = "broker.example.org"
            protocol = "3.1.1"
            client_id = "me"
            keep_alive = "30s"
            clean_session = true
            username = "u"
            password_file = "p"
            in_flight = 7
            connect_timeout = "1500ms"
            spool = { max_messages = 1, max_bytes = "1MiB", max_age = "0s", when_full = "reject" }
            [uplink.lan]
            address = "mqtt://10.0.0.1"
            [uplink.psk]
            address = "mqtts://localhost:8884"
            psk = { identity = "attic", key_file = "state/cloud.psk" }
            [[route]]
            direction = "out"
            from = "n/%d/#"
            to = "s/%g/%d/#"
            uplink = "psk"
            qos = 0
            """,
            directory: "/etc/sealgate"
        )
        #expect(configuration.stateDirectory == "/var/lib/sealgate")
        #expect(configuration.logLevel == .debug)
        let limits = configuration.limits
        #expect(limits.maxConnections == 1)
        #expect(limits.maxConnectionsPerAddress == 2)
        #expect(limits.connectTimeout == .seconds(3))
        #expect(limits.maxPacket == 4_096)
        #expect(limits.maxSubscriptions == 5)
        #expect(limits.maxRetained == 6)
        #expect(limits.maxRetainedBytes == 7_168)
        #expect(limits.maxQueuedBytes == 8_192)
        #expect(limits.maxKeepAlive == .zero)
        #expect(limits.maxInflight == 10)
        #expect(limits.failureRate == Rate(count: 11, interval: .seconds(3_600)))

        var first = ListenerConfiguration(transport: .mqtts, bind: NetworkAddress(host: "::", port: 8883), line: 17)
        first.psk = true
        first.tlsMin = .tls13
        first.certificate = ConfigurationFile(
            path: "/etc/sealgate/certs/gateway.crt",
            content: .certificates,
            key: "listener[1].certificate",
            line: 21
        )
        first.key = ConfigurationFile(
            path: "/etc/sealgate/certs/gateway.key",
            content: .privateKey,
            key: "listener[1].key",
            line: 22
        )
        first.clientCA = ConfigurationFile(
            path: "/etc/ca.crt",
            content: .authorities,
            key: "listener[1].client_ca",
            line: 23
        )
        #expect(configuration.listeners.first == first)
        #expect(configuration.listeners.last?.anonymous == .guest)
        #expect(configuration.listeners.last?.bind == NetworkAddress(host: "localhost", port: 1884))

        var sensor = Profile(name: "sensor", line: 33)
        sensor.seal = .v1
        sensor.identifyBy = .clientID
        sensor.publish = [PolicyLine(template: try TopicTemplate("n/%d/#"), line: 37)]
        sensor.subscribe = [PolicyLine(template: try TopicTemplate("n/%d/s"), line: 38)]
        sensor.deny = [PolicyLine(template: try TopicTemplate("n/%d/x"), line: 39)]
        sensor.sessionTopic = try TopicTemplate("n/%d/s")
        sensor.maxPayload = 2_048
        sensor.rate = Rate(count: 3, interval: .seconds(60))
        sensor.window = 4
        sensor.lifetime = .seconds(300)
        sensor.rotateOnFailure = true
        sensor.relay = true
        sensor.retain = false
        #expect(configuration.profiles["sensor"] == sensor)
        #expect(configuration.profiles.keys.sorted() == ["guest", "sensor"])

        #expect(configuration.uplinks.map(\.name) == ["cloud", "lan", "psk"])
        let cloud = configuration.uplinks[0]
        #expect(cloud.addresses.map(\.description) == ["mqtts://one:1", "mqtts://[2001:db8::1]:8883"])
        #expect(cloud.files.map(\.path) == ["ca.crt", "attic.crt", "attic.key", "p"].map { "/etc/sealgate/" + $0 })
        #expect(cloud.files.map(\.content) == [.authorities, .certificates, .privateKey, .secret])
        #expect(cloud.tlsMin == .tls13)
        #expect(cloud.serverName == "broker.example.org")
        #expect(cloud.clientID == "me")
        #expect(cloud.keepAlive == .seconds(30))
        #expect(cloud.cleanSession)
        #expect(cloud.username == "u")
        #expect(cloud.inFlight == 7)
        #expect(cloud.connectTimeout == .milliseconds(1500))
        #expect(cloud.spool.maxMessages == 1)
        #expect(cloud.spool.maxBytes == 1 << 20)
        #expect(cloud.spool.maxAge == nil)
        #expect(cloud.spool.whenFull == .reject)
        #expect(configuration.uplinks[1].addresses.map(\.description) == ["mqtt://10.0.0.1:1883"])
        #expect(!configuration.uplinks[1].isTLS)
        #expect(configuration.uplinks[2].psk?.identity == "attic")
        #expect(configuration.uplinks[2].psk?.keyFile.path == "/etc/sealgate/state/cloud.psk")
        #expect(
            configuration.routes == [
                Route(
                    direction: .out,
                    from: try TopicTemplate("n/%d/#"),
                    to: try TopicTemplate("s/%g/%d/#"),
                    uplink: "psk",
                    qos: .atMostOnce,
                    line: 70
                )
            ]
        )
    }

    @Test("gives a v1 profile its session topic, and takes one that all share")
    func sessionTopics() throws {
        let text =
            BadFile.head + """
                [profile.own]
                seal = "v1"
                [profile.shared]
                seal = "v1"
                session_topic = "mytopic/sessionID"
                """
        let configuration = try self.parse(text)
        #expect(configuration.profiles["own"]?.sessionTopic?.text == "nodes/%d/sessionID")
        #expect(configuration.profiles["shared"]?.sessionTopic?.hasDevice == false)
    }

    private static let addresses: [(text: String, host: String, port: Int)] = [
        ("0.0.0.0:1883", "0.0.0.0", 1883), ("[::]:1883", "::", 1883), ("[::1]:0", "::1", 0),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65_535), ("[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1),
        ("localhost:8883", "localhost", 8883), ("gateway-1.example.org:80", "gateway-1.example.org", 80),
    ]

    @Test("reads where to listen, and writes it the same", arguments: addresses)
    func binds(text: String, host: String, port: Int) throws {
        let address = try NetworkAddress(text)
        #expect(address == NetworkAddress(host: host, port: port))
        #expect(address.description == text)
    }

    private static let badAddresses: [String] = [
        "", ":", ":1883", "1883", "::", "::1:1883", "[::1]", "[::1", "[::1]1883", "[::1]:", "[]:1", "[10.0.0.1]:1",
        "[x::y]:1",
        "10.0.0:1883", "10.0.0.256:1883", "1.2.3.4.5:1", "host:65536", "host:-1", "host:+1", "host:1883x", "host: 1883",
        "ho st:1", "höst:1", "host:٣", "a/b:1", "host:000001883", "*:1883",
    ]

    @Test("refuses what is no address", arguments: badAddresses)
    func badBinds(text: String) {
        #expect(throws: ConfigurationValueError.self) { try NetworkAddress(text) }
    }

    @Test("says that a file is not there, is no file, or is not UTF-8")
    func unreadable() throws {
        let directory = try TemporaryDirectory()
        func error(_ path: String) -> String {
            do throws(ConfigurationError) {
                _ = try GatewayConfiguration.load(path: path)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(error(directory.path + "/none") == "\(directory.path)/none: does not exist")
        #expect(error(directory.path) == "\(directory.path): is no regular file")
        let file = try directory.write("x.conf", Array("[gateway]\nname = \"".utf8) + [0xFF], mode: 0o644)
        #expect(error(file) == "\(file):2: is not well-formed UTF-8")
    }
}
