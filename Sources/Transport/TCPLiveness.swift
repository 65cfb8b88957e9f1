internal import NIOCore

#if canImport(Glibc)
    import Glibc
#endif

/// How TCP finds out by itself that the other side is gone: without, bytes that nobody acknowledges are sent again for a
/// quarter of an hour before the connection ends.
enum TCPLiveness {
    /// Socket options for a new connection; none where the system has no such thing.
    static func options(
        _ configuration: UplinkChannel.Configuration
    ) -> [(option: ChannelOptions.Types.SocketOption, value: SocketOptionValue)] {
        guard let limit = configuration.deadAfter else { return [] }
        let milliseconds = Int(clamping: limit.components.seconds) * 1000
        var options: [(ChannelOptions.Types.SocketOption, SocketOptionValue)] = []
        #if canImport(Glibc)
            options.append((Self.tcp(TCP_USER_TIMEOUT), SocketOptionValue(clamping: milliseconds)))
            if configuration.probesIdle {
                options.append((.init(level: .socket, name: .so_keepalive), 1))
                // The first probe after half of the time, and a few more before its end.
                options.append((Self.tcp(TCP_KEEPIDLE), SocketOptionValue(clamping: max(milliseconds / 2000, 1))))
                options.append((Self.tcp(TCP_KEEPINTVL), SocketOptionValue(clamping: max(milliseconds / 8000, 1))))
            }
        #endif
        return options
    }

    private static func tcp(_ name: CInt) -> ChannelOptions.Types.SocketOption {
        .init(level: .tcp, name: .init(rawValue: name))
    }
}
