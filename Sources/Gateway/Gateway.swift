import Devices
package import Logging
import MQTTCodec
import NIOCore
import NIOPosix
import OpenSSL
import Sealing
import ServiceLifecycle
package import Store
import Synchronization
import Transport
import Uplink

/// The gateway as a whole: opens the store, starts listeners and uplinks, and ends them in order.
///
/// One event loop owns the message path; the store has a thread of its own.
package final class Gateway: Service, Sendable {
    /// A listener that accepts connections.
    package struct BoundListener: Sendable {
        /// As in gateway.conf: `mqtt` or `mqtts`.
        package let transport: ListenerConfiguration.Transport
        /// The port in use, also where gateway.conf says 0.
        package let port: Int
        /// Address and port as text.
        package let address: String
    }

    /// How often devices that another process changed are looked for. Below a second, for a change must be in force within
    /// one; no faster, for each look wakes the processor.
    private static let deviceInterval = TimeAmount.milliseconds(900)
    /// How long a shutdown waits for the outside brokers to acknowledge what is in flight.
    private static let drainTime = TimeAmount.seconds(2)

    private let configuration: GatewayConfiguration
    private let storeOptions: StoreOptions
    private let logger: Logger
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let parts = Mutex<Parts?>(nil)

    /// What is there between start and stop.
    private struct Parts: Sendable {
        let store: Store
        let core: NIOLoopBound<GatewayCore>
        var servers: [any Channel]
        /// Sockets of CoAP, over which answers are owed until everything is on disk.
        var datagramServers: [any Channel] = []
    }

    /// Has no effect outside; everything begins in ``run()`` or ``start()``.
    ///
    /// - Parameter storeOptions: For tests that let the disk fail.
    package init(configuration: GatewayConfiguration, storeOptions: StoreOptions = StoreOptions(), logger: Logger) {
        self.configuration = configuration
        self.storeOptions = storeOptions
        self.logger = logger
    }

    /// Runs until the service group asks for a graceful shutdown.
    package func run() async throws {
        do {
            _ = try await self.start()
        } catch {
            await self.stop()
            throw error
        }
        try? await gracefulShutdown()
        self.logger.notice("shutting down")
        await self.stop()
    }

    /// Opens the store and starts everything. Blocks the caller's thread while the database is opened.
    ///
    /// - Returns: The listeners, in the order of gateway.conf.
    /// - Throws: ``GatewayStartError`` or ``StoreError``; call ``stop()`` also then.
    @discardableResult
    package func start() async throws -> [BoundListener] {
        let store = try Store.open(
            directory: self.configuration.stateDirectory,
            options: self.storeOptions,
            logger: self.logger
        )
        let loop = self.group.next()
        let configuration = self.configuration
        let logger = self.logger
        let assembly = try Assembly(configuration: configuration, store: store, logger: logger)
        let core = try await loop.submit {
            let core = try assembly.makeCore(on: loop)
            return NIOLoopBound(core, eventLoop: loop)
        }.get()
        self.parts.withLock { $0 = Parts(store: store, core: core, servers: []) }

        let burst = try await loop.submit { NIOLoopBound(core.value.burst, eventLoop: loop) }.get()
        var bound: [BoundListener] = []
        for (index, listener) in configuration.listeners.enumerated() {
            let channel: any Channel
            do {
                channel = try await loop.flatSubmit {
                    listener.isCoAP
                        ? assembly.startCoAPListener(index, core: core.value)
                        : assembly.makeListener(index, core: core.value, burst: burst.value).start(on: loop)
                }.get()
            } catch {
                throw GatewayStartError.listener(
                    address: "\(listener.bind)",
                    line: listener.line,
                    reason: TransportWords.describe(error)
                )
            }
            self.parts.withLock {
                if listener.isCoAP { $0?.datagramServers.append(channel) } else { $0?.servers.append(channel) }
            }
            let address = channel.localAddress?.description ?? "\(listener.bind)"
            let port = channel.localAddress?.port ?? listener.bind.port
            logger.notice(
                "listening",
                metadata: ["protocol": "\(listener.transport.rawValue)", "port": "\(port)", "bind": "\(listener.bind)"]
            )
            bound.append(BoundListener(transport: listener.transport, port: port, address: address))
        }
        try await loop.submit {
            for uplink in core.value.uplinks { uplink.start() }
            for broker in core.value.attached { broker.start() }
            core.value.observeNodes()
            core.value.resendDeadLetters()
        }.get()
        await self.openControlSocket(core, on: loop)
        store.watchDevices(
            every: Self.deviceInterval,
            on: loop,
            meanwhile: { assembly.refreshFiles(core, on: loop) },
            deadLettersChanged: { core.value.resendDeadLetters() },
            changed: { devices in core.value.devicesChanged(devices) }
        )
        return bound
    }

    /// Lets `sealgate status` ask. A gateway without it does everything else.
    private func openControlSocket(_ core: NIOLoopBound<GatewayCore>, on loop: any EventLoop) async {
        do {
            let descriptor = try ControlSocket.bind(in: self.configuration.stateDirectory)
            let channel = try await loop.flatSubmit {
                ControlSocket.start(descriptor, on: loop) { JSONText.encode(core.value.status()) }
            }.get()
            self.parts.withLock { $0?.servers.append(channel) }
        } catch {
            self.logger.warning(
                "sealgate status can't ask this gateway: there is no control socket",
                metadata: ["reason": "\(error)"]
            )
        }
    }

    /// Stops listening, closes connections, waits for the disk and for a moment for the outside brokers, and closes the
    /// store. What the brokers have not acknowledged stays in the spool.
    package func stop() async {
        let parts = self.parts.withLock { value in
            defer { value = nil }
            return value
        }
        if let parts {
            for server in parts.servers { try? await server.close() }
            let loop = self.group.next()
            try? await loop.flatSubmit {
                parts.core.value.drain(until: .now() + Self.drainTime)
            }.get()
            for server in parts.datagramServers { try? await server.close() }
            ControlSocket.remove(from: self.configuration.stateDirectory)
            parts.store.close()
        }
        try? await self.group.shutdownGracefully()
    }

    /// Puts the profiles of a new configuration in force: rights change at once. What else differs needs a restart, and the
    /// log says so.
    package func reload(_ configuration: GatewayConfiguration) async {
        guard let parts = self.parts.withLock({ $0 }) else { return }
        try? await self.group.next().submit { parts.core.value.replaceProfiles(from: configuration) }.get()
    }

    /// What was counted since the start; nil before it and after the end.
    package func counters() async -> Counters? {
        guard let parts = self.parts.withLock({ $0 }) else { return nil }
        return try? await self.group.next().submit { parts.core.value.counters }.get()
    }
}

/// Why the gateway could not start; each names what to mend.
package enum GatewayStartError: Error, CustomStringConvertible {
    /// A listener could not be bound.
    case listener(address: String, line: Int, reason: String)
    /// A certificate, key or secret of a listener or uplink can't be used.
    case credentials(of: String, line: Int, reason: String)
    /// A route can't be used.
    case route(String)

    package var description: String {
        switch self {
        case .listener(let address, let line, let reason):
            "can't listen on \(address) (line \(line) of gateway.conf): \(reason)"
        case .credentials(let owner, let line, let reason):
            "\(owner) (line \(line) of gateway.conf): \(reason)"
        case .route(let reason):
            reason
        }
    }
}
