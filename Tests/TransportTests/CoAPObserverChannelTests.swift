import CoAPCodec
import CoAPEndpoint
import Logging
import NIOCore
import NIOPosix
import OpenSSL
import TestSupport
import Testing

@testable import Transport

/// Resources observed over real sockets, with a listener of the gateway's as the node.
@Suite("Observing over UDP", .ownThread, .timeLimit(.minutes(5)))
struct CoAPObserverChannelTests {
    @Test(
        "a representation and each notification arrive, from an address and from a name",
        arguments: ["127.0.0.1", "localhost"]
    )
    func observes(host: String) async throws {
        let site = try await ObserverSite(host: host)
        try await site.eventually { $0.texts == ["0"] && $0.established == [true] }
        try await site.run { $0.change("1") }
        try await site.eventually { $0.texts == ["0", "1"] && $0.confirmed == 1 }
        try await site.run { $0.channel?.leave() }
        try await site.eventually { $0.ended == [.deregistered] }
        try await site.end()
    }

    @Test("a notification is acknowledged when the owner says so; one that it declines comes again")
    func receipts() async throws {
        let site = try await ObserverSite(host: "127.0.0.1")
        try await site.eventually { $0.texts == ["0"] }
        // Which also proves the address: to others the node would not send twice.
        try await site.run { $0.change("first") }
        try await site.eventually { $0.confirmed == 1 }
        try await site.run {
            $0.takes = false
            $0.change("1")
        }
        try await site.eventually { $0.receipts.count == 1 }
        try await site.run {
            #expect($0.confirmed == 1)
            for receipt in $0.receipts { $0.channel?.decline(receipt) }
            $0.takes = true
        }
        try await site.eventually { $0.texts == ["0", "first", "1", "1"] && $0.confirmed == 2 }
        try await site.end()
    }

    @Test("a socket that breaks is replaced, and the nodes are told")
    func socket() async throws {
        let site = try await ObserverSite(host: "127.0.0.1")
        try await site.eventually { $0.texts == ["0"] }
        try await site.run {
            $0.value = "after"
            $0.channel?.context?.close(promise: nil)
        }
        try await site.eventually { $0.texts == ["0", "after"] }
        try await site.run { $0.change("more") }
        try await site.eventually { $0.texts.last == "more" }
        try await site.end()
    }

    @Test("a name that is none is a failure that the owner hears of")
    func unknownName() async throws {
        let site = try await ObserverSite(host: "no-such-node.invalid")
        try await site.eventually { $0.failures.first?.contains("its name can't be resolved") == true }
        try await site.end()
    }
}

/// A node with one resource, and an observer of it, on one loop.
private final class ObserverSite: Sendable {
    /// Everything of the loop.
    final class State: CoAPChannelDelegate, CoAPObserverChannelDelegate {
        var value = "0"
        var takes = true
        var channel: CoAPObserverChannel?
        var node: CoAPChannel?
        private var observations: [CoAPObservationID] = []
        private(set) var confirmed = 0
        private(set) var ended: [CoAPObservationEnd] = []
        private(set) var texts: [String] = []
        private(set) var established: [Bool] = []
        private(set) var failures: [String] = []
        private(set) var receipts: [CoAPReceipt] = []

        func change(_ value: String) {
            self.value = value
            for id in self.observations { self.node?.notify(id, self.response, isConfirmable: true) }
        }

        private var response: CoAPResponse { CoAPResponse(.content, payload: ByteBuffer(string: self.value)) }

        // MARK: The node

        func received(_ request: CoAPRequest, on channel: CoAPChannel) {
            self.node = channel
            if let id = channel.respond(to: request.id, self.response, observing: request.wantsObservation) {
                self.observations.append(id)
            }
        }

        func observationDue(_ id: CoAPObservationID, on channel: CoAPChannel) {}

        func observationEnded(_ id: CoAPObservationID, _ end: CoAPObservationEnd, on channel: CoAPChannel) {
            self.observations.removeAll { $0 == id }
            self.ended.append(end)
        }

        func notificationConfirmed(_ id: CoAPObservationID, on channel: CoAPChannel) { self.confirmed += 1 }

        func established(
            session: UInt32,
            identity: [UInt8],
            isResumed: Bool,
            from address: PeerAddress,
            on channel: CoAPChannel
        ) -> Bool { false }

        func ended(session: UInt32, _ end: DTLSEnd, on channel: CoAPChannel) {}

        func handshakeFailed(
            identity: [UInt8],
            isIdentityKnown: Bool,
            from address: PeerAddress,
            on channel: CoAPChannel
        ) {}

        func misdirected(_ kind: MisdirectedProtocol, from address: PeerAddress, on channel: CoAPChannel) {}

        // MARK: The owner of the observer

        func received(_ representation: ObservedRepresentation, of index: Int, on channel: CoAPObserverChannel) {
            self.texts.append(String(buffer: representation.payload))
            guard let receipt = representation.receipt else { return }
            if self.takes { channel.acknowledge(receipt) } else { self.receipts.append(receipt) }
        }

        func established(_ index: Int, isObserved: Bool, at address: PeerAddress, on channel: CoAPObserverChannel) {
            self.established.append(isObserved)
        }

        func failed(_ index: Int, reason: String, on channel: CoAPObserverChannel) { self.failures.append(reason) }
    }

    private let loop: any EventLoop
    private let state: NIOLoopBound<State>
    private let socket: any Channel

    init(host: String) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        self.loop = loop
        let state = try await loop.submit { NIOLoopBound(State(), eventLoop: loop) }.get()
        self.state = state
        // A name may mean either family.
        let socket = try await loop.flatSubmit {
            CoAPListener(
                configuration: CoAPListener.Configuration(host: host == "127.0.0.1" ? host : "::", port: 0, number: 0),
                dtls: nil,
                protection: nil,
                logger: Logger(label: "test"),
                delegate: state.value
            ).start(on: loop)
        }.get()
        self.socket = socket
        let port = socket.localAddress?.port ?? 0
        try await loop.submit {
            let target = CoAPObserverChannel.Target(host: host, port: port, resource: CoAPResource(path: ["v"]))
            let channel = CoAPObserverChannel(
                [target],
                logger: Logger(label: "test"),
                loop: loop,
                delegate: state.value
            )
            state.value.channel = channel
            channel.start()
        }.get()
    }

    func run(_ body: @escaping @Sendable (State) -> Void) async throws {
        let state = self.state
        try await self.loop.submit { body(state.value) }.get()
    }

    func eventually(_ condition: @escaping @Sendable (State) -> Bool) async throws {
        let (loop, state) = (self.loop, self.state)
        try await TestSupport.eventually {
            try await loop.submit { condition(state.value) }.get()
        }
    }

    func end() async throws {
        try await self.run { $0.channel?.close() }
        try await self.socket.close()
    }
}
