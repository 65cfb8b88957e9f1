import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Gateway

@Suite("Control socket", .timeLimit(.minutes(5)))
struct ControlSocketTests {
    /// Serves `answer` in a directory for as long as `body` takes.
    private func serve(_ directory: String, _ answer: String, _ body: () async throws -> Void) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let descriptor = try ControlSocket.bind(in: directory)
        let channel = try await loop.flatSubmit {
            ControlSocket.start(descriptor, on: loop) { ByteBuffer(string: answer) }
        }.get()
        try await body()
        try await channel.close()
    }

    @Test("gives everybody who asks one answer, long ones too")
    func answers() async throws {
        let directory = try TestSupport.TemporaryDirectory()
        let answer = String(repeating: "0123456789", count: 100_000)
        try await self.serve(directory.path, answer) {
            for _ in 0..<20 {
                let found = try ControlSocket.ask(in: directory.path)
                #expect(found.map { String(decoding: $0, as: UTF8.self) } == answer)
            }
        }
    }

    @Test("is for its user alone")
    func mode() async throws {
        let directory = try TestSupport.TemporaryDirectory()
        try await self.serve(directory.path, "x") {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.file("control.sock"))
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test("nobody answers where no gateway runs, or one was killed; the next one takes its place")
    func stale() async throws {
        let directory = try TestSupport.TemporaryDirectory()
        #expect(try ControlSocket.ask(in: directory.path) == nil)
        try await self.serve(directory.path, "first") {}
        #expect(FileManager.default.fileExists(atPath: directory.file("control.sock")))
        #expect(try ControlSocket.ask(in: directory.path) == nil)
        try await self.serve(directory.path, "second") {
            let found = try ControlSocket.ask(in: directory.path)
            #expect(found == Array("second".utf8))
        }
        ControlSocket.remove(from: directory.path)
        #expect(!FileManager.default.fileExists(atPath: directory.file("control.sock")))
    }

    @Test("a path that is too long for a socket is told in words")
    func longPath() throws {
        let directory = "/tmp/" + String(repeating: "x", count: 120)
        let error = #expect(throws: ControlSocketError.self) { _ = try ControlSocket.ask(in: directory) }
        #expect(error?.description.contains("107 bytes at most, and this has 138") == true)
        #expect(throws: ControlSocketError.self) { _ = try ControlSocket.bind(in: directory) }
    }

    @Test("who asks and does not read is dropped, and only so many are answered at a time")
    func crowd() async throws {
        let directory = try TestSupport.TemporaryDirectory()
        try await self.serve(directory.path, String(repeating: "x", count: 4 << 20)) {
            let idle = try (0..<ControlSocket.maxConnections).map { _ in try IdleClient(directory.file("control.sock"))
            }
            // Each of them holds its place until its time is over.
            try await eventually { try ControlSocket.ask(in: directory.path)?.count == 4 << 20 }
            _ = consume idle
        }
    }
}

/// Connects to a socket and never reads.
private final class IdleClient {
    private let descriptor: Int32

    init(_ path: String) throws {
        self.descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(status == 0)
    }

    deinit { close(self.descriptor) }
}
