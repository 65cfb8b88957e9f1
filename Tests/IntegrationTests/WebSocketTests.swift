import Foundation
import TestSupport
import Testing

/// paho-mqtt over WebSocket, and many silent connections, against the whole gateway.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized) struct WebSocketTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    /// The environment of scripts/setup-tests.sh, else the system's own.
    private static let python: String = {
        let own = root + "/.venv/bin/python"
        return FileManager.default.isExecutableFile(atPath: own) ? own : "python3"
    }()

    private static let guests = """
        [profile.guest]
        publish = ["web/#"]
        subscribe = ["web/#"]
        max_payload = "200KiB"
        """

    private func home(listener: [String]) throws -> GatewayProcess.Home {
        var configuration = SiteConfiguration.plain(port: 1)
        let lines = ["bind = \"127.0.0.1:0\"", "anonymous = \"guest\""] + listener
        configuration.extra = "[[listener]]\n" + lines.joined(separator: "\n") + "\n\n" + Self.guests
        return try GatewayProcess.Home(configuration: configuration.text)
    }

    private func run(
        _ script: String,
        _ arguments: [String],
        in home: GatewayProcess.Home
    ) async throws -> ChildProcess.Finished {
        let path = try home.directory.write("peer.py", script)
        return try await ChildProcess.run(
            Self.python,
            [path] + arguments,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"],
            directory: home.directory.path
        )
    }

    /// Publishes payloads of many sizes at each QoS and prints how many came back as they were.
    private static let echo = """
        import queue, sys
        import paho.mqtt.client as mqtt
        port, path, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
        made = {"client_id": "web", "transport": "websockets"}
        if hasattr(mqtt, "CallbackAPIVersion"):
            made["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        client = mqtt.Client(**made)
        client.ws_set_options(path=path)
        if ca != "-":
            client.tls_set(ca)
        came = queue.Queue()
        client.on_connect = lambda c, u, f, code: c.subscribe("web/#", 1)
        client.on_subscribe = lambda c, u, mid, granted, *_: came.put(None)
        client.on_message = lambda c, u, message: came.put(bytes(message.payload))
        client.connect("localhost", port, keepalive=30)
        client.loop_start()
        assert came.get(timeout=60) is None
        count = 0
        for size in (0, 1, 100, 125, 126, 127, 1000, 16384, 65535, 65536, 65537, 200000):
            for qos in (0, 1, 2):
                payload = bytes((size + i * 7) & 255 for i in range(size))
                client.publish("web/%d" % size, payload, qos)
                assert came.get(timeout=60) == payload, size
                count += 1
        client.disconnect()
        client.loop_stop()
        print("echoed", count)
        """

    @Test("paho's WebSocket client gets back what it sends, in all sizes", arguments: ["/mqtt", "/gate/way"])
    func plain(path: String) async throws {
        let home = try self.home(listener: ["protocol = \"ws\"", "path = \"\(path)\"", "origins = []"])
        let gateway = try await home.start()
        // paho names itself as the origin, as a page on the gateway's own host would.
        let refused = try await self.run(Self.echo, ["\(try gateway.port("ws"))", path, "-"], in: home)
        #expect(refused.exit != .status(0))
        try await gateway.kill()
        try home.configure(
            try String(contentsOfFile: home.directory.file("gateway.conf"), encoding: .utf8)
                .replacingOccurrences(of: "origins = []", with: "")
        )
        let open = try await home.start()
        let port = "\(try open.port("ws"))"
        let echoed = try await self.run(Self.echo, [port, path, "-"], in: home)
        #expect(echoed.exit == .status(0) && echoed.all.contains("echoed 36"), "\(echoed.all)")
        let astray = try await self.run(Self.echo, [port, "/elsewhere", "-"], in: home)
        #expect(astray.exit != .status(0))
    }

    @Test("paho's WebSocket client gets back what it sends over TLS")
    func secure() async throws {
        let listener = [
            "protocol = \"wss\"", "certificate = \"certs/gateway.crt\"", "key = \"certs/gateway.key\"",
        ]
        let home = try self.home(listener: listener)
        let made = try await home.run(["certs", "init"])
        #expect(made.exit == .status(0), "\(made.all)")
        let gateway = try await home.start()
        let port = "\(try gateway.port("wss"))"
        let echoed = try await self.run(Self.echo, [port, "/mqtt", "certs/ca.crt"], in: home)
        #expect(echoed.exit == .status(0) && echoed.all.contains("echoed 36"), "\(echoed.all)")
    }

    /// Opens 5,000 connections that say nothing, then connects from another address and from the same one.
    private static let silent = """
        import resource, socket, sys, time
        port = int(sys.argv[1])
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        def connect(address):
            made = socket.socket()
            made.settimeout(20)
            made.bind((address, 0))
            made.connect(("127.0.0.1", port))
            return made
        def served(address):
            try:
                made = connect(address)
                made.sendall(bytes.fromhex("101000044d51545404020000 00046e6f6465"))
                return made.recv(4) == bytes.fromhex("20020000")
            except OSError:
                return False
        kept = [connect("127.0.0.1") for _ in range(5000)]
        assert served("127.0.0.2")
        end = time.monotonic() + 30
        while not served("127.0.0.1"):
            assert time.monotonic() < end
            kept.append(connect("127.0.0.1"))
            time.sleep(0.1)
        print("served")
        """

    @Test("with 5,000 silent connections others are served as before, and soon those of the same address too")
    func halfOpen() async throws {
        let home = try self.home(listener: ["protocol = \"mqtt\""])
        try home.configure(
            try String(contentsOfFile: home.directory.file("gateway.conf"), encoding: .utf8)
                .replacingOccurrences(of: "[limits]", with: "[limits]\nmax_half_open = 200\nconnect_timeout = \"60s\"")
        )
        let gateway = try await home.start()
        let finished = try await self.run(Self.silent, ["\(try gateway.port())"], in: home)
        #expect(finished.exit == .status(0) && finished.all.contains("served"), "\(finished.all)")
    }
}
