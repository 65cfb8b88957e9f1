import Foundation
import Testing

@testable import OpenSSL

@Suite struct TLSContextTests {
    /// A directory of its own, removed at the end.
    private final class Directory {
        let path = NSTemporaryDirectory() + "sealgate-tls-" + UUID().uuidString

        init() throws {
            try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: false)
        }

        deinit { try? FileManager.default.removeItem(atPath: self.path) }

        func write(_ text: String, _ name: String, mode: Int) throws -> String {
            let path = "\(self.path)/\(name)"
            let attributes: [FileAttributeKey: Any] = [.posixPermissions: mode]
            try #require(
                FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: attributes)
            )
            try FileManager.default.setAttributes(attributes, ofItemAtPath: path)
            return path
        }
    }

    @Test("certificates, keys and authorities come from files")
    func files() throws {
        let directory = try Directory()
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let identity = TLSIdentity.files(
            certificateChain: try directory.write(issued.certificate, "server.crt", mode: 0o644),
            privateKey: try directory.write(issued.privateKey, "server.key", mode: 0o600)
        )
        let trust = TLSTrust.file(try directory.write(authority.authority.certificate, "ca.crt", mode: 0o644))
        let pair = try TLSPair(.client(trust: trust), .server(identity: identity), serverName: "gateway.test")
        pair.connect()
        #expect(pair.isComplete)
        _ = try TLSContext(.client(trust: .directory(directory.path)))
        _ = try TLSContext(.client(trust: .system))
    }

    @Test("a key file that others could read is refused with the cure", arguments: [0o644, 0o640, 0o604, 0o660, 0o601])
    func keyFileMode(mode: Int) throws {
        let directory = try Directory()
        let issued = try TLSFixture.authority().issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let key = try directory.write(issued.privateKey, "server.key", mode: mode)
        let chain = try directory.write(issued.certificate, "server.crt", mode: 0o644)
        let error = #expect(throws: TLSError.self) {
            try TLSContext(.server(identity: .files(certificateChain: chain, privateKey: key)))
        }
        #expect(error?.kind == .keyFileMode)
        #expect(error?.message.contains("chmod 600 \(key)") == true)
    }

    @Test("files that can't be used are named")
    func badFiles() throws {
        let directory = try Directory()
        let authority = try TLSFixture.authority()
        let issued = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let other = try authority.issueServer(names: ["gateway.test"], validity: TLSFixture.valid)
        let chain = try directory.write(issued.certificate, "server.crt", mode: 0o644)
        let key = try directory.write(issued.privateKey, "server.key", mode: 0o600)
        let otherKey = try directory.write(other.privateKey, "other.key", mode: 0o600)
        let garbage = try directory.write("-----BEGIN CERTIFICATE-----\nxyz\n", "garbage", mode: 0o600)
        let empty = try directory.write("", "empty", mode: 0o600)
        let absent = directory.path + "/absent"
        for (chainPath, keyPath, culprit) in [
            (absent, key, absent), (chain, absent, absent), (garbage, key, garbage), (empty, key, empty),
            (chain, garbage, garbage), (chain, empty, empty), (chain, otherKey, otherKey),
            (chain, directory.path, directory.path),
        ] {
            let error = #expect(throws: TLSError.self) {
                try TLSContext(.server(identity: .files(certificateChain: chainPath, privateKey: keyPath)))
            }
            #expect(error?.kind == .configuration)
            #expect(error?.message.contains(culprit) == true, "\(String(describing: error))")
        }
        for trust in [TLSTrust.file(absent), .file(empty), .file(garbage), .directory(absent), .directory(chain)] {
            #expect(throws: TLSError.self) { try TLSContext(.client(trust: trust)) }
        }
    }

    @Test("configurations that make no sense are refused")
    func nonsense() throws {
        #expect(throws: TLSError.self) { try TLSContext(.server()) }
        var reversed = TLSFixture.keyClient()
        reversed.minimumVersion = .tls13
        reversed.maximumVersion = .tls12
        #expect(throws: TLSError.self) { try TLSContext(reversed) }
        for (identity, key) in [
            ([], [1]), ([0], [1]), ([1, 0, 2], [1]), ([UInt8](repeating: 1, count: 256), [1]), ([1], []),
            ([1], [UInt8](repeating: 1, count: 257)),
        ] as [([UInt8], [UInt8])] {
            #expect(throws: TLSError.self) { try TLSContext(TLSFixture.keyClient(identity: identity, key: key)) }
        }
        let context = try TLSContext(.client(trust: .pem(TLSFixture.authority().authority.certificate)))
        #expect(throws: TLSError.self) { try TLSConnection(context: context) }
        #expect(throws: TLSError.self) { try TLSConnection(context: context, serverName: "") }
        #expect(throws: TLSError.self) { try TLSConnection(context: context, serverName: "a\0b") }
    }

    @Test("no description shows a key")
    func redaction() throws {
        let issued = try TLSFixture.authority().issueClient(commonName: "n", validity: TLSFixture.valid)
        let configuration = TLSConfiguration.client(
            preSharedKey: TLSPreSharedKey(identity: TLSFixture.identity, key: [201, 202, 203]),
            identity: issued.identity
        )
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in [dumped, String(describing: configuration), String(reflecting: configuration), "\(issued)"] {
            #expect(!text.contains("202") && !text.contains("PRIVATE KEY"))
        }
    }

    @Test("bytes of a peer are made harmless for a log")
    func printableBytes() {
        #expect(printable([0x61, 0x22, 0x5C, 0x0A, 0xFF]) == #""a\"\\\x0a\xff""#)
        #expect(printable([UInt8](repeating: 0x61, count: 100)).count == 67)
    }
}
