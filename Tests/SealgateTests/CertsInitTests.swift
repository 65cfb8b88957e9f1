import Foundation
import TestSupport
import Testing

@Suite(.inTurn) struct CertsInitTests {
    @Test("a CA, a gateway and a client that OpenSSL verifies; keys for their owner alone")
    func verified() async throws {
        let home = try CommandHome.make()
        let made = try await home.sealgate("certs init --name gw.example.org --name 10.1.2.3")
        #expect(made.exit == .status(0), "\(made.all)")
        for line in [
            "  certificate = \"certs/gateway.crt\"", "  key         = \"certs/gateway.key\"",
            "  certificate = \"certs/attic.crt\"", "  cafile   /etc/mosquitto/certs/ca.crt",
            "  certfile /etc/mosquitto/certs/broker.crt", "  keyfile  /etc/mosquitto/certs/broker.key",
        ] {
            #expect(made.output.contains(line), "\(made.text)")
        }
        for name in ["ca", "gateway", "attic"] {
            #expect(try home.mode("certs/\(name).key") == 0o600)
            #expect(try home.mode("certs/\(name).crt") == 0o644)
        }
        for (purpose, arguments) in [
            ("sslserver", ["-verify_hostname", "gw.example.org", "certs/gateway.crt"]),
            ("sslserver", ["-verify_hostname", "localhost", "certs/gateway.crt"]),
            ("sslserver", ["-verify_ip", "10.1.2.3", "certs/gateway.crt"]),
            ("sslserver", ["-verify_ip", "::1", "certs/gateway.crt"]),
            ("sslclient", ["certs/attic.crt"]),
        ] {
            let verified = try await ChildProcess.run(
                "openssl",
                ["verify", "-x509_strict", "-CAfile", "certs/ca.crt", "-purpose", purpose] + arguments,
                directory: home.directory.path
            )
            #expect(verified.exit == .status(0), "\(arguments): \(verified.all)")
        }
        let subject = try await ChildProcess.run(
            "openssl",
            ["x509", "-in", "certs/attic.crt", "-noout", "-subject"],
            directory: home.directory.path
        )
        #expect(subject.text == "subject=CN = attic")
    }

    @Test("gateway.conf takes what was made")
    func usable() async throws {
        let home = try CommandHome.make()
        _ = try await home.sealgate("certs init")
        let tls = """
            psk      = true
            certificate = "certs/gateway.crt"
            key         = "certs/gateway.key"
            client_ca   = "certs/ca.crt"
            """
        try home.configure(CommandHome.configuration.replacingOccurrences(of: "psk      = true", with: tls))
        let checked = try await home.sealgate("check")
        #expect(checked.exit == .status(0), "\(checked.all)")
        // The gateway would not start with it.
        let other = try String(contentsOfFile: home.directory.file("certs/ca.key"), encoding: .utf8)
        try other.write(toFile: home.directory.file("certs/gateway.key"), atomically: false, encoding: .utf8)
        let refused = try await home.sealgate("check")
        #expect(refused.exit == .status(1))
        #expect(refused.all.contains("key: certs/gateway.key is not the key of the first"), "\(refused.all)")
    }

    @Test("nothing is overwritten unless forced")
    func overwriting() async throws {
        let home = try CommandHome.make()
        try home.directory.write("certs/gateway.key", "mine")
        let refused = try await home.sealgate("certs init")
        #expect(refused.exit == .status(1))
        #expect(refused.errors.joined().hasPrefix("sealgate: there already: certs/gateway.key. --force makes a new CA"))
        #expect(refused.errors.joined().contains("certificates made before are worth nothing then"))
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("certs/ca.crt")))
        #expect(try await home.sealgate("certs init --force").exit == .status(0))
        #expect(try String(contentsOfFile: home.directory.file("certs/gateway.key"), encoding: .utf8) != "mine")
    }

    @Test("clients are named, and one called like the gateway's own files gets others")
    func clients() async throws {
        let home = try CommandHome.make()
        let made = try await home.sealgate(
            "certs init --directory lab/x --client kitchen --client gateway --client kitchen"
        )
        #expect(made.exit == .status(0), "\(made.all)")
        let files = try FileManager.default.contentsOfDirectory(atPath: home.directory.file("lab/x")).sorted()
        #expect(
            files == [
                "ca.crt", "ca.key", "gateway-client.crt", "gateway-client.key", "gateway.crt", "gateway.key",
                "kitchen.crt", "kitchen.key",
            ]
        )
    }

    @Test(
        "wrong usage is refused before anything is written",
        arguments: ["--days 0", "--days 40000", "--client a/b", "--name a,b", "--directory"]
    )
    func usage(_ arguments: String) async throws {
        let home = try CommandHome.make()
        let finished = try await home.sealgate("certs init " + arguments)
        #expect(finished.exit == .status(2), "\(finished.all)")
        #expect(!FileManager.default.fileExists(atPath: home.directory.file("certs")))
    }

    @Test("a directory that can't be made is a fault")
    func unwritable() async throws {
        let home = try CommandHome.make()
        let finished = try await home.sealgate("certs init --directory gateway.conf/certs")
        #expect(finished.exit == .status(70))
        #expect(finished.errors.joined().contains("gateway.conf/certs can't be made"))
    }
}
