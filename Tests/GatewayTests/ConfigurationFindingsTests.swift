import Testing

@testable import Gateway

@Suite("What is said of a bad gateway.conf")
struct ConfigurationFindingsTests {
    @Test("nothing of a good one")
    func good() {
        #expect(BadFile("", BadFile.head).found.isEmpty)
        #expect(BadFile("", BadFile.head + BadFile.uplink).found.isEmpty)
    }

    @Test("of the file as a whole", arguments: files)
    func ofFiles(file: BadFile) { #expect(file.found == file.findings) }

    @Test("of [gateway] and [limits]", arguments: gateways)
    func ofGateways(file: BadFile) { #expect(file.found == file.findings) }

    @Test("of [[listener]]", arguments: listeners)
    func ofListeners(file: BadFile) { #expect(file.found == file.findings) }

    @Test("of [profile.NAME]", arguments: profiles)
    func ofProfiles(file: BadFile) { #expect(file.found == file.findings) }

    @Test("of [uplink.NAME]", arguments: uplinks)
    func ofUplinks(file: BadFile) { #expect(file.found == file.findings) }

    @Test("of [[route]]", arguments: routes)
    func ofRoutes(file: BadFile) { #expect(file.found == file.findings) }

    // MARK: Tables

    private static let files: [BadFile] = [
        BadFile(
            "an empty file",
            "",
            "1: gateway: missing; write [gateway] and below it a name",
            "1: listener: missing; without a [[listener]] no node can connect"
        ),
        BadFile(
            "a duplicate key",
            "[gateway]\nname = \"a\"\nname = \"b\"",
            "3: not valid TOML: cannot redefine existing string 'name' (in a key-value pair)"
        ),
        BadFile(
            "a missing quote",
            "[gateway]\nname = \"a\n",
            "2: not valid TOML: a quote is missing at the end of the line, or the text holds a control character "
                + "(in a string)"
        ),
        BadFile(
            "no quotes",
            "[gateway]\nname = attic\n",
            "2: not valid TOML: this is no value; text stands in quotes (in a value)"
        ),
        BadFile("a null character", "[gateway]\nname = \"a\"\n\u{0}\n", "3: holds the null character"),
        BadFile(
            "an escaped null character",
            BadFile.head + "\"x\\u0000\" = 1\n",
            "3: listener[1].x: unknown key",
            "7: holds the null character"
        ),
        BadFile(
            "unknown tables",
            BadFile.head + "[listeners]\n[uplnk.x]\n[profiles.x]\n[zzz]\n",
            "7: listeners: unknown key; did you mean \"listener\"?",
            "8: uplnk: unknown key; did you mean \"uplink\"?",
            "9: profiles: unknown key; did you mean \"profile\"?",
            "10: zzz: unknown key"
        ),
        BadFile("tables of a later version", BadFile.head + "[admin]\n", "7: admin: not supported by this version"),
        BadFile(
            "wrong kinds of table",
            "limits = 1\ngateway = \"x\"\nprofile = []\nuplink = { cloud = 1 }\n[listener]\n[route]\n",
            "1: limits: expected [limits] and keys below it, found a whole number",
            "2: gateway: expected [gateway] and keys below it, found a string",
            "3: profile: expected tables with a name of their own, [profile.NAME], found an array",
            "4: uplink.cloud: expected a table, [uplink.NAME], found a whole number",
            "5: listener: expected [[listener]] with two brackets, found a table",
            "6: route: expected [[route]] with two brackets, found a table"
        ),
    ]

    private static let gateways: [BadFile] = [
        BadFile(
            "[gateway] without a name",
            "[gateway]\n[[listener]]\nprotocol = \"mqtt\"\nbind = \"[::]:0\"\nanonymous = true",
            "1: gateway.name: missing; it is the %g in topics and the client id of uplinks"
        ),
        BadFile(
            "a name that is none, and slips",
            """
            [[listener]]
            protocol = "mqtt"
            bind = "[::]:0"
            anonymous = true
            [gateway]
            name = "at/tic"
            sate = "x"
            log_level = "warn"
            state = ""
            """,
            "6: gateway.name: the name has the character /, which is not one of A-Z a-z 0-9 . _ -",
            "7: gateway.sate: unknown key; did you mean \"state\"?",
            "8: gateway.log_level: \"warn\" is not known; did you mean \"warning\"?",
            "9: gateway.state: is empty"
        ),
        BadFile(
            "state topics and a clock that are none",
            """
            [[listener]]
            protocol = "mqtt"
            bind = "[::]:0"
            anonymous = true
            [limits]
            state_interval = "0s"
            [gateway]
            name = "attic"
            base = "sealgate/%d"
            clock = "floors"
            clock_wait = "2d"
            """,
            "6: limits.state_interval: \"0s\" is out of range: 1s to 1d",
            "9: gateway.base: \"sealgate/%d\" has %d, but it is about the gateway, and no device",
            "10: gateway.clock: \"floors\" is not known; did you mean \"floor\"?",
            "11: gateway.clock_wait: \"2d\" is out of range: 0s to 1d"
        ),
        BadFile(
            "bases that are no topic of the gateway's own",
            BadFile.head.replacing(
                "[[listener]]",
                with: "base = \"$SYS/x\"\nclock = \"floor\"\nclock_wait = \"1s\"\n[[listener]]"
            ),
            "3: gateway.base: \"$SYS/x\" begins with $: such topics are each broker's own",
            "5: gateway.clock_wait: is of use only with clock = \"wait\""
        ),
        BadFile(
            "a base with a wildcard",
            BadFile.head.replacing("[[listener]]", with: "base = \"a/+\"\n[[listener]]"),
            "3: gateway.base: \"a/+\" has a wildcard, and has to be one topic"
        ),
        BadFile(
            "a longest keep alive that would become none",
            BadFile.head + "[limits]\nmax_keep_alive = \"900ms\"",
            "8: limits.max_keep_alive: is less than a second; write \"1s\" or more, or \"0s\" for no limit"
        ),
        BadFile(
            "limits out of range or of the wrong type",
            BadFile.head + """
                [limits]
                max_connections = 0
                max_conections_per_address = 5
                connect_timeout = 5
                max_packet = "256kb"
                failure_rate = "10/minute"
                max_keep_alive = "3d"
                max_queued_bytes = "1KiB"
                max_inflight = 1.5
                max_retained = "10"
                max_subscriptions = 1979-05-27
                """,
            "8: limits.max_connections: 0 is out of range: 1 to 1000000",
            "9: limits.max_conections_per_address: unknown key; did you mean \"max_connections_per_address\"?",
            "10: limits.connect_timeout: expected a duration such as \"60s\", found a whole number",
            "11: limits.max_packet: \"kb\" is no unit of a size; did you mean \"kB\"?",
            "12: limits.failure_rate: \"minute\" is no unit of a rate: use s, min, h or d",
            "13: limits.max_keep_alive: \"3d\" is out of range: 0s to 65535s",
            "14: limits.max_queued_bytes: \"1KiB\" is out of range: 4KiB to 1GiB",
            "15: limits.max_inflight: expected a whole number, found a number with a fraction",
            "16: limits.max_retained: expected a whole number, found a string",
            "17: limits.max_subscriptions: expected a whole number, found a date"
        ),
    ]

    private static let path = "expected a path such as \"/mqtt\": ASCII without spaces, ? and #"
    private static let origin =
        "expected an origin as browsers send it, such as \"https://home.example:8123\": "
        + "in lower case, with nothing behind the port"

    private static let listeners: [BadFile] = [
        BadFile(
            "that speak what nobody knows",
            BadFile.gateway + "[[listener]]\nprotocol = \"amqp\"\nbind = \"[::]:5683\"\n"
                + "[[listener]]\nprotocol = \"mqtss\"\nbind = \"[::]:1\"",
            "6: listener[1].protocol: \"amqp\" is not known; "
                + "use one of \"mqtt\", \"mqtts\", \"ws\", \"wss\", \"attach\", \"coap\", \"coaps\"",
            "9: listener[2].protocol: \"mqtss\" is not known; did you mean \"mqtts\"?"
        ),
        BadFile(
            "with nothing",
            BadFile.gateway + "[[listener]]\n",
            "5: listener[1].protocol: missing; write \"mqtt\" or \"mqtts\"",
            "5: listener[1].bind: missing; write \"0.0.0.0:1883\""
        ),
        BadFile(
            "that nobody can use",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:1883"
                anonymous = false
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8883"
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8884"
                certificate = "a.crt"
                key = "a.key"
                """,
            "8: listener[1].anonymous: nobody can use this listener: without TLS a connection proves nothing, "
                + "and anonymous = false refuses what proves nothing; write anonymous = true or \"guest\", "
                + "or password = true",
            "9: listener[2]: a listener with protocol \"mqtts\" needs psk = true, or a certificate and its key",
            "12: listener[3].anonymous: nobody can use this listener: no connection can prove a device to it; "
                + "write psk = true or password = true, name a client_ca, or write anonymous = true"
        ),
        BadFile(
            "about client certificates that are not asked for",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8884"
                password = true
                certificate = "a.crt"
                key = "a.key"
                client_crl = "a.crl"
                client_name = "san"
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:8885"
                password = true
                client_crl = "a.crl"
                """,
            "11: listener[1].client_crl: is about client certificates, which need a client_ca",
            "12: listener[1].client_name: is about client certificates, which need a client_ca",
            "17: listener[2].client_crl: a listener with protocol \"mqtt\" has no TLS; write protocol = \"mqtts\""
        ),
        BadFile(
            "with TLS keys, but no TLS",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:1883"
                anonymous = true
                psk = true
                tls_min = "1.3"
                """,
            "9: listener[1].psk: a listener with protocol \"mqtt\" has no TLS; write protocol = \"mqtts\"",
            "10: listener[1].tls_min: a listener with protocol \"mqtt\" has no TLS; write protocol = \"mqtts\""
        ),
        BadFile(
            "with WebSocket keys, but no WebSocket; with TLS keys on one without TLS",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8883"
                psk = true
                path = "/mqtt"
                origins = []
                [[listener]]
                protocol = "ws"
                bind = "[::]:8083"
                anonymous = true
                certificate = "a.crt"
                [[listener]]
                protocol = "wss"
                bind = "[::]:8084"
                """,
            "9: listener[1].path: a listener with protocol \"mqtts\" has no WebSocket; write \"ws\" or \"wss\"",
            "10: listener[1].origins: a listener with protocol \"mqtts\" has no WebSocket; write \"ws\" or \"wss\"",
            "15: listener[2].certificate: a listener with protocol \"ws\" has no TLS; write protocol = \"wss\"",
            "16: listener[3]: a listener with protocol \"wss\" needs psk = true, or a certificate and its key"
        ),
        BadFile(
            "with paths and origins that are none",
            BadFile.gateway
                + ["mqtt", "", "/a b", "/a?b", "/a#b", "/é"].enumerated().map { index, path in
                    "[[listener]]\nprotocol = \"ws\"\nbind = \"[::]:\(index + 1)\"\nanonymous = true\npath = \"\(path)\"\n"
                }.joined() + """
                    [[listener]]
                    protocol = "ws"
                    bind = "[::]:9"
                    anonymous = true
                    origins = ["home.example", "https://home.example/", "https://Home.example", "://a", "https://", "null", 5]
                    """,
            "9: listener[1].path: \(path)",
            "14: listener[2].path: is empty",
            "19: listener[3].path: \(path)",
            "24: listener[4].path: \(path)",
            "29: listener[5].path: \(path)",
            "34: listener[6].path: \(path)",
            "39: listener[7].origins[7]: expected a string, found a whole number",
            "39: listener[7].origins[1]: \(origin)",
            "39: listener[7].origins[2]: \(origin)",
            "39: listener[7].origins[3]: \(origin)",
            "39: listener[7].origins[4]: \(origin)",
            "39: listener[7].origins[5]: \(origin)",
            "39: listener[7].origins[6]: \(origin)"
        ),
        BadFile(
            "with half a certificate, and an address that is taken",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8883"
                psk = true
                certificate = "a.crt"
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8883"
                psk = true
                client_ca = "ca.crt"
                tls_min = "1.1"
                """,
            "5: listener[1].key: missing; certificate needs it",
            "12: listener[2].bind: [::]:8883 is bound already on line 7",
            "14: listener[2].client_ca: client certificates need a certificate and key of the gateway's own",
            "15: listener[2].tls_min: \"1.1\" is not known; did you mean \"1.2\"?"
        ),
        BadFile(
            "for guests, without a profile for them",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:1883"
                anonymous = "guest"
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:1884"
                anonymous = "guests"
                [[listener]]
                protocol = "mqtt"
                bind = "[::]:1885"
                anonymous = 1
                """,
            "8: listener[1].anonymous: there is no profile \"guest\"; write [profile.guest]",
            "12: listener[2].anonymous: \"guests\" is not known; use true, false or \"guest\"",
            "16: listener[3].anonymous: expected true, false or \"guest\", found a whole number"
        ),
        BadFile(
            "with a secret in place of a file",
            BadFile.gateway + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:8883"
                certificate = "a.crt"
                key = "hex:c0ffee"
                psk = true
                """,
            "9: listener[1].key: must name a file; the secret itself belongs into that file, not here"
        ),
    ]

    private static let profiles: [BadFile] = [
        BadFile(
            "with slips everywhere",
            BadFile.head + """
                [profile.sensor]
                seal = "v2"
                publish = [
                  "nodes/%d/#",
                  5, "a/%x",
                  "a/#/b", "%d%d",
                ]
                subscribe = "nodes/#"
                deny = [true]
                session_topic = "nodes/+/s"
                rate = "20"
                bind_topic = true
                windw = 1
                identify_by = "clientid"
                max_payload = "0B"
                window = 65
                lifetime = "500ms"
                plaintext = "yes"
                """,
            "8: profile.sensor.seal: \"v2\" is not supported by this version; use one of \"none\", \"v1\"",
            "11: profile.sensor.publish[2]: expected a string, found a whole number",
            "11: profile.sensor.publish[3]: \"a/%x\" has the placeholder %x, which does not exist: "
                + "there are %d (device id), %g (gateway name) and %% (a percent sign)",
            "12: profile.sensor.publish[4]: \"a/#/b\" has a wildcard (+ or #) where none may stand",
            "12: profile.sensor.publish[5]: \"%d%d\" has %d twice in level 1: no device id could be told from it",
            "14: profile.sensor.subscribe: expected an array of strings, found a string",
            "15: profile.sensor.deny[1]: expected a string, found true or false",
            "16: profile.sensor.session_topic: is published on, so that it can have no + or #",
            "17: profile.sensor.rate: \"20\" is no rate: write a number and a unit, such as 20/s or 100/min",
            "18: profile.sensor.bind_topic: not supported by this version",
            "19: profile.sensor.windw: unknown key; did you mean \"window\"?",
            "20: profile.sensor.identify_by: \"clientid\" is not known; did you mean \"client_id\"?",
            "21: profile.sensor.max_payload: \"0B\" is out of range: 1B to 256MiB",
            "22: profile.sensor.window: 65 is out of range: 1 to 16",
            "23: profile.sensor.lifetime: \"500ms\" is out of range: 1s to 365d",
            "24: profile.sensor.plaintext: expected true or false, found a string"
        ),
        BadFile(
            "with a name that is none",
            BadFile.head + "[profile.\"a/b\"]\n[profile]\ncose = 1\n",
            "7: profile.\"a/b\": the name of a profile has the character /, which is not one of A-Z a-z 0-9 . _ -",
            "9: profile.cose: expected a table, [profile.NAME], found a whole number"
        ),
    ]

    private static let uplinks: [BadFile] = [
        BadFile(
            "with a state topic that is none",
            BadFile.head + """
                [uplink.a]
                address = "mqtts://h"
                state_topic = 5
                [uplink.b]
                address = "mqtts://h"
                state_topic = "sites/%d/state"
                [uplink.c]
                address = "mqtts://h"
                state_topic = "sites/#"
                """,
            "9: uplink.a.state_topic: expected a string, or true or false, found a whole number",
            "12: uplink.b.state_topic: \"sites/%d/state\" has %d, but it is about the gateway, and no device",
            "15: uplink.c.state_topic: \"sites/#\" has a wildcard, and has to be one topic"
        ),
        BadFile(
            "with an order that exactly once does not allow",
            BadFile.head + """
                [uplink.a]
                address = "mqtts://h"
                order = "newest-first"
                [[route]]
                direction = "out"
                from = "nodes/%d/#"
                to = "sites/%d/#"
                uplink = "a"
                qos = 2

                """,
            "15: route[1].qos: 2 can't be had with order = \"newest-first\" of a: exactly once needs the oldest first"
        ),
        BadFile(
            "with words and figures of delivery that are none",
            BadFile.head + """
                [uplink.a]
                address = "mqtts://h"
                acknowledge = "end-to-ends"
                patience = "2s"
                order = "newest"
                provider = "google"
                max_qos = 3
                rate = "fast"
                dead_after = 0
                in_flight = 0
                spool = { min_free = "-1B", qos0 = 1 }

                """,
            "9: uplink.a.acknowledge: \"end-to-ends\" is not known; did you mean \"end-to-end\"?",
            "10: uplink.a.patience: is of use only with acknowledge = \"end-to-end\"",
            "11: uplink.a.order: \"newest\" is not known; did you mean \"newest-first\"?",
            "12: uplink.a.provider: \"google\" is not known; use one of \"generic\", \"aws\", \"azure\", \"rabbitmq\"",
            "13: uplink.a.max_qos: 3 is out of range: 0 to 2",
            "14: uplink.a.rate: \"fast\" is no rate: write a number and a unit, such as 20/s or 100/min",
            "15: uplink.a.dead_after: 0 is out of range: 1 to 100",
            "16: uplink.a.in_flight: 0 is out of range: 1 to 32767",
            "17: uplink.a.spool.min_free: \"-1B\" is no size: write a whole number and a unit, such as \"4KiB\"",
            "17: uplink.a.spool.qos0: expected true or false, found a whole number"
        ),
        BadFile(
            "without an address",
            BadFile.head + "[uplink.cloud]\nadress = \"x\"\n",
            "7: uplink.cloud.address: missing; write \"mqtts://broker.example.org:8883\"",
            "8: uplink.cloud.adress: unknown key; did you mean \"address\"?"
        ),
        BadFile(
            "with addresses that are none",
            BadFile.head + """
                [uplink.cloud]
                address = [
                  "mqtt://user:secret@h", "http://x",
                  "mqtts://h:0", "mqtts://h/x", "mqtts://::1:8883", "mqtts://", "mqtts://h:x", "mqtts://[h]", 7
                ]
                [uplink.mixed]
                address = ["mqtts://a", "mqtt://a"]
                [uplink.none]
                address = []
                """,
            "9: uplink.cloud.address[1]: has no place for a password; use username and password_file",
            "9: uplink.cloud.address[2]: \"http://x\" must start with "
                + "\"mqtts://\", \"mqtt://\", \"wss://\" or \"ws://\"",
            "10: uplink.cloud.address[9]: expected a string, found a whole number",
            "10: uplink.cloud.address[3]: \"mqtts://h:0\": the port must be a number, 1 to 65535",
            "10: uplink.cloud.address[4]: \"mqtts://h/x\": nothing may follow the host and the port",
            "10: uplink.cloud.address[5]: \"::1:8883\": an IPv6 address is written in brackets, \"[::]:1883\"",
            "10: uplink.cloud.address[6]: \"\" has no host; for all addresses of this machine write \"0.0.0.0\" or \"[::]\"",
            "10: uplink.cloud.address[7]: \"h:x\": the port must be a number, 0 to 65535",
            "10: uplink.cloud.address[8]: \"[h]\": what is between the brackets is no IPv6 address",
            "13: uplink.mixed.address: mixes mqtt:// and mqtts://: "
                + "messages would go in the clear when the other fails",
            "15: uplink.none.address: names no address"
        ),
        BadFile(
            "with secrets in the file",
            BadFile.head + """
                [uplink.a]
                address = "mqtts://h"
                psk = "hex:c0ffee"
                [uplink.b]
                address = "mqtts://h"
                psk = { identity = "", key_file = "hex:c0ffee", key = "c0ffee" }
                password = "c0ffee"
                [uplink.c]
                address = "mqtts://h"
                psk = {}
                password_file = "utf8:c0ffee"
                """,
            "9: uplink.a.psk: expected { identity = \"…\", key_file = \"…\" }, found a string",
            "12: uplink.b.psk.identity: is empty",
            "12: uplink.b.psk.key_file: must name a file; the secret itself belongs into that file, not here",
            "12: uplink.b.psk.key: unknown key; did you mean \"key_file\"?",
            "13: uplink.b.password: unknown key; did you mean \"password_file\"?",
            "16: uplink.c.psk.identity: missing",
            "16: uplink.c.psk.key_file: missing",
            "17: uplink.c.password_file: must name a file; the secret itself belongs into that file, not here",
            "17: uplink.c.password_file: a password needs a username"
        ),
        BadFile(
            "with key material, but no TLS",
            BadFile.head + """
                [uplink.a]
                address = "mqtt://h"
                psk = { identity = "a", key_file = "k" }
                tls_min = "1.2"
                [uplink.b]
                address = "mqtt://h"
                ca = "ca.crt"
                server_name = "x"
                """,
            "9: uplink.a.psk: mqtt:// has no TLS, so that this would not be used; write mqtts:// in address",
            "10: uplink.a.tls_min: mqtt:// has no TLS, so that this would not be used; write mqtts:// in address",
            "13: uplink.b.ca: mqtt:// has no TLS, so that this would not be used; write mqtts:// in address",
            "14: uplink.b.server_name: mqtt:// has no TLS, so that this would not be used; write mqtts:// in address"
        ),
        BadFile(
            "with too much or too little of it",
            BadFile.head + """
                [uplink.a]
                address = "mqtts://h"
                psk = { identity = "a", key_file = "k" }
                ca = "ca.crt"
                [uplink.b]
                address = "mqtts://h"
                certificate = "x.crt"
                tls_min = "1.3"
                tls_max = "1.2"
                server_name = "a b"
                """,
            "10: uplink.a.ca: psk proves both sides without certificates; take one of the two out",
            "11: uplink.b.key: missing; certificate needs it",
            "15: uplink.b.tls_max: is below tls_min",
            "16: uplink.b.server_name: \"a b\" is no host name"
        ),
        BadFile(
            "with other values that are wrong",
            BadFile.head + BadFile.uplink + """
                protocol = "5.0"
                tls_min = 1.2
                keep_alive = "1500ms"
                in_flight = 0
                spool = { when_full = "drop-old", max_mesages = 1, max_age = "1y" }
                acknowledge = "end-to-end"
                clean_session = 0
                """,
            "9: uplink.cloud.protocol: \"5.0\" is not known; use one of \"3.1.1\", \"5\"",
            "10: uplink.cloud.tls_min: expected one of \"1.2\", \"1.3\", found a number with a fraction",
            "11: uplink.cloud.keep_alive: must be whole seconds",
            "12: uplink.cloud.in_flight: 0 is out of range: 1 to 32767",
            "13: uplink.cloud.spool.max_age: \"y\" is no unit of a duration; use one of d, h, min, ms, m, s",
            "13: uplink.cloud.spool.when_full: \"drop-old\" is not known; did you mean \"drop-oldest\"?",
            "13: uplink.cloud.spool.max_mesages: unknown key; did you mean \"max_messages\"?",
            "15: uplink.cloud.clean_session: expected true or false, found a whole number"
        ),
        BadFile(
            "with what only MQTT 5 can say",
            BadFile.head + BadFile.uplink + """
                session_expiry = "1d"
                [uplink.a]
                address = "mqtts://a:1"
                protocol = "5"
                session_expiry = "11y"
                [uplink.b]
                address = "mqtts://b:1"
                protocol = "5"
                session_expiry = "1500ms"
                [uplink.c]
                address = "mqtts://c:1"
                protocol = "5"
                session_expiry = "3651d"
                """,
            "9: uplink.cloud.session_expiry: only MQTT 5 can say it; write protocol = \"5\"",
            "13: uplink.a.session_expiry: \"y\" is no unit of a duration; use one of d, h, min, ms, m, s",
            "17: uplink.b.session_expiry: must be whole seconds",
            "21: uplink.c.session_expiry: \"3651d\" is out of range: 0s to 3650d"
        ),
    ]

    private static let routes: [BadFile] = [
        BadFile(
            "to uplinks that are not there",
            BadFile.head + BadFile.uplink + """
                [[route]]
                direction = "out"
                from = "nodes/%d/#"
                to = "sites/%g/%d/#"
                uplink = "clod"
                [[route]]
                direction = "out"
                from = "nodes/%d/#"
                to = "sites/%g/%d/#"
                uplink = "elsewhere"
                [[route]]
                direction = "out"
                from = "nodes/%d/#"
                to = "sites/%g/%d/#"
                """,
            "13: route[1].uplink: there is no uplink \"clod\"; did you mean \"cloud\"?",
            "18: route[2].uplink: there is no uplink \"elsewhere\"; write [uplink.elsewhere]",
            "19: route[3].uplink: missing; write \"cloud\""
        ),
        BadFile(
            "with values that are wrong",
            BadFile.head + BadFile.uplink + """
                [[route]]
                direction = "outward"
                form = "nodes/%d/#"
                to = "sites/%g/%d/#/x"
                uplink = "cloud"
                qos = 3
                """,
            "9: route[1].from: missing; write \"nodes/%d/#\"",
            "10: route[1].direction: \"outward\" is not known; use one of \"out\", \"in\"",
            "11: route[1].form: unknown key; did you mean \"from\"?",
            "12: route[1].to: \"sites/%g/%d/#/x\" has a wildcard (+ or #) where none may stand",
            "14: route[1].qos: 3 is out of range: 0 to 2"
        ),
        BadFile(
            "with captures and rules that don't fit",
            BadFile.head + BadFile.uplink + """
                [[route]]
                direction = "out"
                from = "nodes/%d/+type/#"
                to = "sites/%g/%d/+kind/#"
                uplink = "cloud"
                keep = "last"
                seal = false
                [[route]]
                direction = "in"
                from = "sites/+a/+a"
                to = "nodes/+a"
                uplink = "cloud"
                priority = "high"
                from_uplinks = true
                [[route]]
                direction = "in"
                from = "sites/+a-b/x"
                to = "nodes/%d"
                uplink = "cloud"
                retain = "alway"
                keep = "newest"
                ttl = "0s"
                [[route]]
                direction = "out"
                from = "nodes/%d/#"
                to = "sites/%d/#"
                uplink = "cloud"
                priority = "urgent"
                ttl = 10
                """,
            "12: route[1].to: `to` has the capture +kind, but `from` has +type only",
            "14: route[1].keep: is for routes with direction = \"in\"",
            "15: route[1].seal: is for routes with direction = \"in\"",
            "18: route[2].from: `from` has the capture +a twice, and could mean one or the other: "
                + "give the second another name",
            "21: route[2].priority: is for routes with direction = \"out\"",
            "22: route[2].from_uplinks: is for routes with direction = \"out\"",
            "25: route[3].from: \"sites/+a-b/x\" has a + in level 2 that is no capture: "
                + "behind + comes nothing, or a name of letters, digits and _",
            "28: route[3].retain: \"alway\" is not known; did you mean \"always\"?",
            "29: route[3].keep: \"newest\" is not known; use one of \"all\", \"last\"",
            "30: route[3].ttl: \"0s\" is out of range: 1s to 3650d",
            "36: route[4].priority: \"urgent\" is not known; use one of \"high\", \"normal\", \"low\"",
            "37: route[4].ttl: expected a duration such as \"60s\", found a whole number"
        ),
        BadFile(
            "whose two sides don't go together",
            BadFile.head + BadFile.uplink + """
                [[route]]
                direction = "out"
                from = "nodes/#"
                to = "sites/%d/#"
                uplink = "cloud"
                [[route]]
                direction = "out"
                from = "nodes/%d"
                to = "$SYS/%d"
                uplink = "cloud"
                [[route]]
                direction = "in"
                from = "$share/g/a"
                to = "a"
                uplink = "cloud"
                """,
            "12: route[1].to: `to` has %d, but `from` does not: there is no device id to put there",
            "17: route[2].to: starts with $: such topics are the outside broker's own",
            "21: route[3].from: `from` is a shared subscription ($share/…), which a route can't use"
        ),
    ]
}
