import NIOCore
import NIOPosix

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Addresses of a name, in the order in which the system would try them.
enum NameLookup {
    /// More of one name are not looked at.
    static let maxAddresses = 8

    /// Why a name has none, in the system's words.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The address that the text is; `nil`: it is a name.
    static func literal(_ host: String, port: Int) -> DatagramAddress? {
        (try? SocketAddress(ipAddress: host, port: port)).flatMap(DatagramAddress.init)
    }

    /// Asks the system, on a thread that may wait. At least one address, and none of a group.
    static func addresses(of host: String, port: Int, on loop: any EventLoop) -> EventLoopFuture<[DatagramAddress]> {
        NIOSingletons.posixBlockingThreadPool.runIfActive(eventLoop: loop) { try Self.addresses(of: host, port: port) }
    }

    /// Blocks.
    static func addresses(of host: String, port: Int) throws(Failure) -> [DatagramAddress] {
        var hints = addrinfo()
        #if canImport(Darwin)
            hints.ai_socktype = SOCK_DGRAM
        #else
            hints.ai_socktype = CInt(SOCK_DGRAM.rawValue)
        #endif
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, "\(port)", &hints, &list)
        guard status == 0 else { throw Failure(description: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(list) }
        var found: [DatagramAddress] = []
        var next = list
        while let entry = next, found.count < Self.maxAddresses {
            next = entry.pointee.ai_next
            guard let address = Self.address(of: entry.pointee), !address.isMulticast, !address.isUnspecified,
                !found.contains(address)
            else { continue }
            found.append(address)
        }
        guard !found.isEmpty else { throw Failure(description: "it has no address of a single host") }
        return found
    }

    private static func address(of entry: addrinfo) -> DatagramAddress? {
        guard let pointer = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                DatagramAddress(SocketAddress($0.pointee))
            }
        case AF_INET6:
            return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                DatagramAddress(SocketAddress($0.pointee))
            }
        default: return nil
        }
    }
}
