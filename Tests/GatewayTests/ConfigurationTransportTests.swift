import Testing

@testable import Gateway

@Suite("The way to an outside broker, in gateway.conf")
struct ConfigurationTransportTests {
    private static let digest = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

    private func uplink(_ lines: String) throws -> UplinkConfiguration {
        let text = BadFile.head + "[uplink.cloud]\n" + lines
        return try #require(try GatewayConfiguration.parse(text, file: "F", directory: "d").uplinks.first)
    }

    @Test(
        "addresses have their ports and paths",
        arguments: [
            ("mqtt://h", "mqtt://h:1883"), ("MQTTS://h", "mqtts://h:8883"), ("ws://h", "ws://h:80/mqtt"),
            ("wss://h", "wss://h:443/mqtt"),
            ("wss://[2001:db8::1]:8084/a/b?x=1&y=@2", "wss://[2001:db8::1]:8084/a/b?x=1&y=@2"),
            ("ws://h:8083/", "ws://h:8083/"),
        ]
    )
    func addresses(text: String, expected: String) throws {
        #expect(try self.uplink("address = \"\(text)\"").addresses.map(\.description) == [expected])
    }

    @Test("reads every key, and the defaults")
    func everyKey() throws {
        let plain = try self.uplink("address = \"mqtts://h\"")
        #expect(plain.returnAfter == .seconds(600) && plain.proxy == nil && plain.bind == nil)
        #expect(plain.alpn.isEmpty && plain.pins.isEmpty)
        let uplink = try self.uplink(
            """
            address = ["wss://a", "mqtts://b"]
            return_after = "0s"
            alpn = ["mqtt", "x-amzn-mqtt-ca"]
            pin = ["sha256:\(Self.digest)", "sha256:\(Self.digest.dropLast())"]
            certificate = "a.crt"
            key = "a.key"
            key_passphrase_file = "a.pass"
            username_file = "a.user"
            password_file = "a.password"
            proxy = "http://[2001:db8::1]:3128/"
            proxy_username = "attic"
            proxy_password_file = "proxy.password"
            bind = "192.0.2.7"
            """
        )
        #expect(uplink.returnAfter == nil)
        #expect(uplink.alpn == ["mqtt", "x-amzn-mqtt-ca"])
        #expect(uplink.pins == [Array(0..<32), Array(0..<32)])
        #expect(uplink.proxy?.address == NetworkAddress(host: "2001:db8::1", port: 3128))
        #expect(uplink.proxy?.username == "attic")
        #expect(uplink.bind == "192.0.2.7")
        let paths = ["d/a.crt", "d/a.key", "d/a.pass", "d/a.user", "d/a.password", "d/proxy.password"]
        #expect(uplink.files.map(\.path) == paths)
        let one = try self.uplink(
            "address = \"mqtts://h\"\nalpn = \"mqtt\"\npin = \"sha256:\(Self.digest)\"\nbind = \"::1\""
        )
        #expect(one.alpn == ["mqtt"] && one.pins.count == 1 && one.bind == "::1")
    }

    @Test("an attached broker and a listener have theirs")
    func others() throws {
        let configuration = try GatewayConfiguration.parse(
            BadFile.gateway + """
                [[listener]]
                protocol = "attach"
                address = "wss://h/x"
                subscribe = ["nodes/#"]
                pin = "sha256:\(Self.digest)"
                alpn = "mqtt"
                proxy = "http://p:1"
                return_after = "1h"
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:0"
                certificate = "a.crt"
                key = "a.key"
                key_passphrase_file = "a.pass"
                client_ca = "authorities"
                """,
            file: "F"
        )
        let attached = try #require(configuration.attached.first)
        #expect(attached.broker.addresses.map(\.description) == ["wss://h:443/x"])
        #expect(attached.broker.returnAfter == .seconds(3600) && attached.broker.pins.count == 1)
        #expect(configuration.listeners.first?.files.map(\.path) == ["a.crt", "a.key", "a.pass", "authorities"])
    }

    private static let bad: [BadFile] = [
        BadFile(
            "with addresses of WebSockets that are none",
            BadFile.head + """
                [uplink.a]
                address = ["ws://u:p@h/x", "ws://h/a b", "ws://h?x", "ws://h/#a", "ws://h:0/x", "http://u:p@h"]
                [uplink.b]
                address = ["wss://a", "mqtt://b"]
                """,
            "8: uplink.a.address[1]: has no place for a password; use username and password_file",
            "8: uplink.a.address[2]: expected a path such as /mqtt behind the port: ASCII without spaces and #",
            "8: uplink.a.address[3]: expected a path such as /mqtt behind the port: ASCII without spaces and #",
            "8: uplink.a.address[4]: expected a path such as /mqtt behind the port: ASCII without spaces and #",
            "8: uplink.a.address[5]: \"ws://h:0/x\": the port must be a number, 1 to 65535",
            "8: uplink.a.address[6]: has no place for a password; use username and password_file",
            "10: uplink.b.address: mixes mqtt:// and wss://: messages would go in the clear when the other fails"
        ),
        BadFile(
            "with values that are wrong",
            BadFile.head + BadFile.uplink + """
                return_after = "31d"
                alpn = []
                pin = ["sha256:AAAA", "sha1:\(digest)", "\(digest)"]
                key_passphrase_file = "utf8:c0ffee"
                username_file = "utf8:attic"
                proxy = "http://u:c0ffee@p:1"
                bind = "localhost"
                """,
            "9: uplink.cloud.return_after: \"31d\" is out of range: 0s to 30d",
            "10: uplink.cloud.alpn: names no protocol",
            "11: uplink.cloud.pin[1]: expected \"sha256:\" and 32 bytes in base64: the hash of a public key",
            "11: uplink.cloud.pin[2]: expected \"sha256:\" and 32 bytes in base64: the hash of a public key",
            "11: uplink.cloud.pin[3]: expected \"sha256:\" and 32 bytes in base64: the hash of a public key",
            "12: uplink.cloud.key_passphrase_file: must name a file; the secret itself belongs into that file, not here",
            "12: uplink.cloud.key_passphrase_file: is about the private key, which needs a key",
            "13: uplink.cloud.username_file: must name a file; the secret itself belongs into that file, not here",
            "14: uplink.cloud.proxy: has no place for a password; use proxy_username and proxy_password_file",
            "15: uplink.cloud.bind: \"localhost\" is no address of this machine, such as \"192.0.2.7\", without a port"
        ),
        BadFile(
            "with keys that do not go together",
            BadFile.head + """
                [uplink.a]
                address = "ws://h"
                alpn = "mqtt"
                pin = "sha256:\(digest)"
                proxy_username = "a"
                [uplink.b]
                address = "mqtts://h"
                psk = { identity = "a", key_file = "k" }
                pin = "sha256:\(digest)"
                proxy = "https://p:1"
                proxy_password_file = "x"
                username = "a"
                username_file = "b"
                [uplink.c]
                address = "mqtts://h"
                proxy = "http://p"
                proxy_username = "a:b"
                proxy_password_file = "x"
                """,
            "9: uplink.a.alpn: ws:// has no TLS, so that this would not be used; write wss:// in address",
            "10: uplink.a.pin: ws:// has no TLS, so that this would not be used; write wss:// in address",
            "11: uplink.a.proxy_username: there is no proxy to tell",
            "15: uplink.b.pin: psk proves both sides without certificates; take one of the two out",
            "16: uplink.b.proxy: \"https://p:1\" must start with \"http://\"",
            "12: uplink.b.proxy_username: missing; proxy_password_file needs it",
            "19: uplink.b.username_file: there is a username already; take one of the two out",
            "22: uplink.c.proxy: \"p\" has no port; write \"host:port\"",
            "23: uplink.c.proxy_username: can't hold a colon"
        ),
        BadFile(
            "of listeners",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:0"
                anonymous = true
                key_passphrase_file = "x"
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:0"
                psk = true
                key_passphrase_file = "x"
                pin = "sha256:\(digest)"
                """,
            "9: listener[1].key_passphrase_file: a listener with protocol \"mqtt\" has no TLS; write protocol = \"mqtts\"",
            "14: listener[2].key_passphrase_file: is about the private key, which needs a key",
            "15: listener[2].pin: is for a listener with protocol = \"attach\", which is a client of a broker"
        ),
    ]

    @Test("names what is wrong", arguments: bad)
    func findings(file: BadFile) {
        #expect(file.found.sorted() == file.findings.sorted())
    }

    @Test("base64 is written as it is read", arguments: 0...7)
    func base64(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: 250 + $0) }
        let text = Base64.encode(bytes)
        #expect(Base64.decode(text) == bytes && text.utf8.count == (count + 2) / 3 * 4)
    }
}
