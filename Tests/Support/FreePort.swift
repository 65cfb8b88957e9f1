import Foundation
import Synchronization

/// Ports for programs that can't choose one themselves.
package enum FreePort {
    /// Below the range that the system gives out by itself, so that no listener on port 0 takes one meanwhile.
    private static let range = 15_000..<30_000
    private static let last = Mutex(Int.random(in: range))

    /// A TCP port of 127.0.0.1 that nothing has and that this process gives out only once.
    package static func next() throws -> Int {
        for _ in Self.range {
            let port = Self.last.withLock { last in
                last = last + 1 < Self.range.upperBound ? last + 1 : Self.range.lowerBound
                return last
            }
            guard let socket = try? Self.bound(to: port) else { continue }
            close(socket)
            return port
        }
        throw POSIXError(.EADDRINUSE)
    }

    /// A port on which connections are refused for as long as this lives: bound, so that nobody else can listen there.
    package final class Refusing: Sendable {
        package let port: Int
        private let socket: Int32

        package init() throws {
            self.port = try FreePort.next()
            self.socket = try FreePort.bound(to: self.port)
        }

        deinit { close(self.socket) }
    }

    /// A TCP socket at this port of 127.0.0.1, for the caller to close.
    ///
    /// - Parameter isReused: Connections of a listener before may still be there.
    static func bound(to port: Int, isReused: Bool = false) throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        var yes: Int32 = 1
        if isReused { setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size)) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(socket, raw, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            let code = errno
            close(socket)
            throw POSIXError(POSIXErrorCode(rawValue: code) ?? .EIO)
        }
        return socket
    }
}
