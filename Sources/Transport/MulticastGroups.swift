import CDatagrams
import NIOCore
import NIOPosix

/// A socket's membership in All CoAP Nodes (RFC 7252 §12.8), on the interfaces that there are.
struct MulticastGroups {
    private static let ipv4: UInt32 = 0xE000_01BB
    /// Of the link and of the site.
    private static let ipv6: [UInt64] = [0xFF02 << 48, 0xFF05 << 48]
    private static let ipv6Low: UInt64 = 0xFD

    /// Borrowed: it must outlive this.
    let descriptor: Int32

    /// Joins on each interface that is there, also where it was joined before, which does nothing.
    ///
    /// - Returns: How many memberships there are.
    func join() -> Int {
        let interfaces = Set((try? System.enumerateDevices())?.map(\.interfaceIndex) ?? [])
        var count = 0
        for interface in interfaces {
            guard let number = UInt32(exactly: interface) else { continue }
            var results = Self.ipv6.map { datagrams_join6(self.descriptor, $0, Self.ipv6Low, number) }
            results.append(datagrams_join4(self.descriptor, Self.ipv4, number))
            count += results.count { $0 == 0 || $0 == -EADDRINUSE }
        }
        return count
    }
}
