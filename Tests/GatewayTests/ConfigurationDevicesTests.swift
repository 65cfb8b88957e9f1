import Devices
import OpenSSL
import Testing

@testable import Gateway

@Suite("Connections of devices, in gateway.conf")
struct ConfigurationDevicesTests {
    private func parse(_ lines: String, more: String = "") throws -> GatewayConfiguration {
        let text = BadFile.head + "[uplink.cloud]\naddress = \"mqtts://h\"\n" + lines + "\n" + more
        return try GatewayConfiguration.parse(text, file: "F", directory: "d")
    }

    private func uplink(_ lines: String) throws -> UplinkConfiguration {
        try #require(try self.parse(lines).uplinks.first)
    }

    @Test(
        "the gateway has one connection for all unless it says otherwise",
        arguments: ["", "connect_as = \"gateway\""]
    )
    func gateway(lines: String) throws {
        let uplink = try self.uplink(lines)
        #expect(uplink.devices == nil && uplink.clientID == "attic" && !uplink.stamp)
    }

    @Test("a device has its own key, its own client id, and the defaults")
    func keys() throws {
        let uplink = try self.uplink("connect_as = \"device\"\npsk = { identity = \"%g-%d\" }")
        let devices = try #require(uplink.devices)
        #expect(devices.keyIdentity?.expand(device: "lamp", gateway: "attic") == "attic-lamp")
        #expect(devices.idleTimeout == .seconds(600) && devices.maxConnections == 1000)
        #expect(uplink.psk == nil && uplink.files.isEmpty && !uplink.hasDeviceFiles)
        let own = uplink.forDevice(try DeviceID("lamp"))
        #expect(own.clientID == "lamp" && own.username == nil)
        #expect(try uplink.tls().expectsOwnKeys)
    }

    @Test("or files of its own, which nobody looks for before")
    func files() throws {
        let uplink = try self.uplink(
            """
            connect_as = "device"
            certificate = "certs/%d.crt"
            key = "certs/%g/%d.key"
            ca = "certs/%d-ca.crt"
            client_id = "%g.%d"
            username = "%d@100%%"
            password_file = "shared.password"
            idle_timeout = "0s"
            max_device_connections = 30000
            """
        )
        let devices = try #require(uplink.devices)
        #expect(devices.idleTimeout == nil && devices.maxConnections == 30_000 && devices.keyIdentity == nil)
        #expect(uplink.files.map(\.path) == ["d/certs/%d-ca.crt", "d/shared.password"])
        #expect(uplink.hasDeviceFiles)
        let own = uplink.forDevice(try DeviceID("lamp"))
        #expect(own.clientID == "attic.lamp" && own.username == "lamp@100%")
        #expect(own.certificate?.path == "d/certs/lamp.crt" && own.key?.path == "d/certs/attic/lamp.key")
        #expect(uplink.ofAllDevices.certificate == nil && uplink.ofAllDevices.ca != nil)
        #expect(throws: CredentialsError.self) { try DeviceCredentials(uplink, device: DeviceID(".."), key: nil) }
        #expect(throws: CredentialsError.self) { try DeviceCredentials(uplink, device: DeviceID("lamp"), key: nil) }
    }

    @Test("a device without a key has nothing to show")
    func noKey() throws {
        let uplink = try self.uplink("connect_as = \"device\"\npsk = { identity = \"%d\" }")
        #expect(throws: CredentialsError.self) { try DeviceCredentials(uplink, device: DeviceID("lamp"), key: nil) }
        let key = Array("0123456789abcdef".utf8)
        #expect(throws: Never.self) { try DeviceCredentials(uplink, device: DeviceID("lamp"), key: key) }
    }

    @Test("what is wrong is said", arguments: bad)
    func wrong(file: BadFile) { #expect(file.found == file.findings) }

    private static func file(_ name: String, _ lines: String, _ finding: String, more: String = "") -> BadFile {
        BadFile(name, BadFile.head + BadFile.uplink + lines + "\n" + more, finding)
    }

    private static let bad: [BadFile] = [
        Self.file(
            "nobody's connection",
            "connect_as = \"node\"",
            "9: uplink.cloud.connect_as: \"node\" is not known; use one of \"gateway\", \"device\""
        ),
        Self.file(
            "a timeout of the gateway's",
            "idle_timeout = \"1min\"",
            "9: uplink.cloud.idle_timeout: is of use only with connect_as = \"device\""
        ),
        Self.file(
            "a cap of the gateway's",
            "max_device_connections = 7",
            "9: uplink.cloud.max_device_connections: is of use only with connect_as = \"device\""
        ),
        Self.file(
            "too many connections",
            "connect_as = \"device\"\nmax_device_connections = 30001",
            "10: uplink.cloud.max_device_connections: 30001 is out of range: 1 to 30000"
        ),
        Self.file(
            "one client id",
            "connect_as = \"device\"\nclient_id = \"attic\"",
            "10: uplink.cloud.client_id: is the same for all devices, which would throw each other out: it needs a %d"
        ),
        Self.file(
            "one identity",
            "connect_as = \"device\"\npsk = { identity = \"%g\" }",
            "10: uplink.cloud.psk.identity: is the same for all devices: it needs a %d"
        ),
        Self.file(
            "no identity",
            "connect_as = \"device\"\npsk = { }",
            "10: uplink.cloud.psk.identity: missing; write \"%d\""
        ),
        Self.file(
            "one key",
            "connect_as = \"device\"\npsk = { identity = \"%d\", key_file = \"k\" }",
            "10: uplink.cloud.psk.key_file: each device proves itself with its own TLS-PSK; take this out"
        ),
        Self.file(
            "a long identity",
            "connect_as = \"device\"\npsk = { identity = \"%d%d-\" }",
            "10: uplink.cloud.psk.identity: is longer than 128 bytes with a long device id"
        ),
        Self.file(
            "one certificate",
            "connect_as = \"device\"\ncertificate = \"a.crt\"\nkey = \"%d.key\"",
            "10: uplink.cloud.certificate: is the same for all devices: it needs a %d, as in \"certs/%d.crt\""
        ),
        Self.file(
            "an unknown placeholder",
            "connect_as = \"device\"\nusername = \"%u\"",
            "10: uplink.cloud.username: has a % that means nothing: "
                + "there are %d (device id), %g (gateway name) and %% (a percent sign)"
        ),
        Self.file(
            "a stamp without a place",
            "stamp = true",
            "9: uplink.cloud.stamp: only MQTT 5 has user properties; write protocol = \"5\""
        ),
        Self.file(
            "a route in for all",
            "connect_as = \"device\"",
            "13: route[1].from: has no %d, but each device has its own connection to cloud: "
                + "each would bring every message",
            more: "\n[[route]]\ndirection = \"in\"\nfrom = \"all/#\"\nto = \"nodes/all/#\"\nuplink = \"cloud\"\n"
        ),
    ]

    @Test("what no device sends has no connection, and that is a warning")
    func warnings() throws {
        let text = """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = "guest"
            [profile.guest]
            publish = ["rooms/#"]
            subscribe = ["rooms/#"]
            [profile.sensor]
            plaintext = true
            identify_by = "topic"
            publish = ["nodes/%d/#"]
            [uplink.cloud]
            address = "mqtts://h"
            connect_as = "device"
            psk = { identity = "%d" }
            [[route]]
            direction = "out"
            from = "rooms/#"
            to = "rooms/#"
            uplink = "cloud"
            [[route]]
            direction = "out"
            from = "nodes/%d/#"
            to = "nodes/%d/#"
            uplink = "cloud"
            from_uplinks = true
            """
        let warnings = try GatewayConfiguration.parse(text, file: "F").warnings.map(\.description)
        #expect(warnings.contains { $0.contains("route[1].from") && $0.contains("does not take what guests publish") })
        #expect(warnings.contains { $0.contains("route[2].from_uplinks") && $0.contains("does nothing") })
        #expect(warnings.count { $0.contains("guests") && $0.contains("connection") } == 1)
    }
}
