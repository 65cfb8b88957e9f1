import Foundation
import Testing

@testable import Gateway

@Suite("Files that gateway.conf names")
struct ConfigurationFilesTests {
    private static let secrets: [(text: String, bytes: [UInt8])] = [
        ("hex:00ff10", [0, 255, 16]), ("hex:00FF10\n", [0, 255, 16]), ("  hex:aB \r\n\n", [0xAB]),
        ("base64:AAECAw==", [0, 1, 2, 3]), ("base64:AAECAw", [0, 1, 2, 3]), ("base64:+/8=\n", [0xFB, 0xFF]),
        ("utf8:pass word", Array("pass word".utf8)), ("utf8:hex:00", Array("hex:00".utf8)),
        ("utf8:é", [0xC3, 0xA9]),
    ]

    @Test("read as a secret", arguments: secrets)
    func loads(text: String, bytes: [UInt8]) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("secret", text)
        #expect(try SecretFile.loadSecret(path: path) == bytes)
        #expect(try SecretFile.loadSecret(ConfigurationFile(path: path, content: .secret)) == bytes)
    }

    private static let badSecrets: [(text: String, message: String)] = [
        ("", "is empty"), (" \n", "is empty"),
        ("c0ffee", "must start with \"hex:\", \"base64:\" or \"utf8:\""),
        ("hex:c0ffe", "has something else than pairs of hexadecimal digits behind \"hex:\""),
        ("hex:c0 ff", "has something else than pairs of hexadecimal digits behind \"hex:\""),
        ("hex:", "holds an empty secret"), ("utf8:", "holds an empty secret"),
        ("base64:A", "has no base64 behind \"base64:\""), ("base64:AAE_", "has no base64 behind \"base64:\""),
        ("base64:AB==", "has no base64 behind \"base64:\""), ("base64:A=B=", "has no base64 behind \"base64:\""),
        ("base64:AAE==", "has no base64 behind \"base64:\""),
        ("utf8:a\nutf8:b", "has more than one line"), ("hex:00\r\nhex:00", "has more than one line"),
    ]

    @Test("refused without a word of what is in them", arguments: badSecrets)
    func refuses(text: String, message: String) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("secret", text)
        #expect(throws: FileError(path: path, kind: .content(message))) { try SecretFile.loadSecret(path: path) }
    }

    @Test(
        "refused when others may read or change them",
        arguments: [0o644, 0o640, 0o604, 0o660, 0o620, 0o601, 0o700, 0o4600]
    )
    func modes(mode: Int) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("secret", Array("hex:00".utf8), mode: mode)
        let error = FileError(path: path, kind: .modeTooWide(UInt32(mode)))
        #expect(throws: error) { try SecretFile.loadSecret(path: path) }
        let octal = String(mode, radix: 8)
        #expect(error.description.hasSuffix("has mode 0\(octal), wider than 0600; run: chmod 600 \(path)"))
    }

    @Test("read with mode 0600 and 0400", arguments: [0o600, 0o400])
    func goodModes(mode: Int) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("secret", Array("hex:00".utf8), mode: mode)
        #expect(try SecretFile.loadSecret(path: path) == [0])
    }

    @Test("named so that the cure can be pasted into a shell")
    func quoting() {
        let error = FileError(path: "/tmp/it's here/$(x)", kind: .modeTooWide(0o644))
        #expect(error.reason == #"has mode 0644, wider than 0600; run: chmod 600 '/tmp/it'\''s here/$(x)'"#)
    }

    @Test("told apart: missing, a directory, a pipe, too large")
    func kinds() throws {
        let directory = try TemporaryDirectory()
        func kind(_ name: String) -> FileError.Kind? {
            do throws(FileError) {
                _ = try SecretFile.loadSecret(path: directory.path + "/" + name)
                return nil
            } catch {
                return error.kind
            }
        }
        #expect(kind("none") == .missing)
        #expect(kind("") == .notRegular)
        let pipe = directory.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(kind("pipe") == .notRegular)
        let large = Array("utf8:".utf8) + [UInt8](repeating: 0x61, count: SecretFile.maxFileBytes)
        try directory.write("large", large, mode: 0o600)
        #expect(kind("large") == .tooLarge(limit: SecretFile.maxFileBytes))
        try directory.write("latin1", Array("utf8:".utf8) + [0xE9], mode: 0o600)
        #expect(kind("latin1") == .content("is not well-formed UTF-8"))
    }

    @Test("checked with the line of their key, and left alone")
    func check() throws {
        let directory = try TemporaryDirectory()
        let text =
            BadFile.head + """
                [[listener]]
                protocol = "mqtts"
                bind = "[::]:0"
                certificate = "gateway.crt"
                key = "gateway.key"
                client_ca = "ca.crt"
                [uplink.cloud]
                address = "mqtts://h"
                psk = { identity = "a", key_file = "state/cloud.psk" }
                username = "u"
                password_file = "password"
                """
        let file = try directory.write("gateway.conf", text, mode: 0o644)
        try directory.write("gateway.crt", "-----BEGIN CERTIFICATE-----\n", mode: 0o644)
        try directory.write("gateway.key", "-----BEGIN EC PRIVATE KEY-----\n", mode: 0o644)
        try directory.write("ca.crt", "nothing\n", mode: 0o644)
        try directory.write("password", "secret\n")
        let before = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        let configuration = try GatewayConfiguration.load(path: file)
        let findings = configuration.checkFiles().map { String($0.description.dropFirst(directory.path.count + 1)) }
        let path = directory.path
        #expect(
            findings == [
                "gateway.conf:11: listener[2].key: the file \"\(path)/gateway.key\" has mode 0644, wider than 0600; "
                    + "run: chmod 600 \(path)/gateway.key",
                "gateway.conf:12: listener[2].client_ca: the file \"\(path)/ca.crt\" holds no certificate in PEM form",
                "gateway.conf:15: uplink.cloud.psk.key_file: the file \"\(path)/state/cloud.psk\" does not exist",
                "gateway.conf:17: uplink.cloud.password_file: the file \"\(path)/password\" "
                    + "must start with \"hex:\", \"base64:\" or \"utf8:\"",
            ]
        )
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() == before)
    }

    @Test("resolved from the directory of gateway.conf")
    func resolves() {
        #expect(ConfigurationFile.resolve("state", in: "") == "state")
        #expect(ConfigurationFile.resolve("state", in: "/etc") == "/etc/state")
        #expect(ConfigurationFile.resolve("state", in: "/") == "/state")
        #expect(ConfigurationFile.resolve("/state", in: "etc") == "/state")
        #expect(ConfigurationFile.directory(of: "gateway.conf") == "")
        #expect(ConfigurationFile.directory(of: "/gateway.conf") == "/")
        #expect(ConfigurationFile.directory(of: "a/b/gateway.conf") == "a/b")
    }
}
