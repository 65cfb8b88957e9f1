import Devices
import Gateway
import Logging
import Store
import Synchronization
import TestSupport
import Testing

/// A gateway in this process whose disk fails on command, and a node whose resource it observes.
@Suite("Acknowledged notifications", .serialized)
struct ObservedNotificationTests {
    /// What every step of the store answers from now on.
    private final class Disk: Sendable {
        private static let full: Int32 = 13
        private let isFull = Atomic(false)

        func fill() { self.isFull.store(true, ordering: .relaxed) }
        func free() { self.isFull.store(false, ordering: .relaxed) }
        var answer: Int32 { self.isFull.load(ordering: .relaxed) ? Self.full : 0 }
    }

    /// A node that the gateway has registered with.
    private struct Node {
        private let socket: UDPSocket
        private let gateway: UDPSocket.Address
        private let token: ArraySlice<UInt8>

        /// Answers the registration, and whatever of it comes again, with the value `0`.
        init(_ socket: UDPSocket) throws {
            let (request, from) = try #require(try socket.receiveFrom())
            self.socket = socket
            self.gateway = from
            self.token = request[4..<12]
            try socket.send([0x68, 0x45] + request[2..<4] + self.token + [0x61, 1, 0xFF] + "0".utf8, to: from)
        }

        /// A confirmable notification whose Message ID is its number.
        func notify(_ number: UInt8, _ text: String) throws {
            let head = [0x48, 0x45, 0, number] + self.token + [0x61, number, 0xFF]
            try self.socket.send(head + text.utf8, to: self.gateway)
        }

        /// Whether the ACK of this notification comes.
        func isAcknowledged(_ number: UInt8, within limit: Duration = .patience) throws -> Bool {
            while let datagram = try self.socket.receive(within: limit) {
                if !Self.isRequest(datagram) { return datagram == [0x60, 0, 0, number] }
            }
            return false
        }

        func hasHeardNothing() -> Bool {
            while let datagram = self.socket.receiveNow()?.bytes {
                if !Self.isRequest(datagram) { return false }
            }
            return true
        }

        /// On a machine with much to do the registration may have been sent again before it was answered.
        private static func isRequest(_ datagram: [UInt8]) -> Bool { datagram.count > 1 && datagram[1] == 1 }
    }

    private func start(_ body: (Node, Disk, Gateway) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let socket = try UDPSocket()
        let configuration = try GatewayConfiguration.parse(
            """
            [gateway]
            name = "attic"
            [[listener]]
            protocol = "mqtt"
            bind = "127.0.0.1:0"
            anonymous = true
            [profile.plain]
            plaintext = true
            publish = ["nodes/%d/#"]
            max_payload = "16B"
            [[observe]]
            resource = "coap://127.0.0.1:\(socket.port)/t"
            device = "k"
            topic = "nodes/%d/t"
            [uplink.cloud]
            address = "mqtt://127.0.0.1:1"
            [[route]]
            direction = "out"
            from = "nodes/#"
            to = "out/#"
            uplink = "cloud"
            """,
            directory: directory.path
        )
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try Store.open(directory: directory.path + "/state", access: .gateway, logger: logger)
        try store.insert(Device(id: try DeviceID("k"), profile: "plain"))
        store.close()
        let disk = Disk()
        var options = StoreOptions()
        options.fault = { _ in disk.answer }
        let gateway = Gateway(configuration: configuration, storeOptions: options, logger: logger)
        do {
            try await gateway.start()
            try await body(try Node(socket), disk, gateway)
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
    }

    @Test("one is acknowledged when its message is stored, and not while the disk is full")
    func stored() async throws {
        try await self.start { node, disk, gateway in
            try node.notify(2, "a")
            #expect(try node.isAcknowledged(2))
            disk.fill()
            let failed = try #require(await gateway.counters()).failedCommits
            try node.notify(3, "b")
            try await eventually { (await gateway.counters()?.failedCommits ?? 0) > failed }
            #expect(node.hasHeardNothing())
            disk.free()
            try await eventually {
                try node.notify(3, "b")
                return try node.isAcknowledged(3, within: .milliseconds(500))
            }
        }
    }

    @Test("one that is refused is acknowledged: the node can't mend it")
    func refused() async throws {
        try await self.start { node, _, gateway in
            try node.notify(2, "more than sixteen bytes")
            #expect(try node.isAcknowledged(2))
            #expect(try #require(await gateway.counters()).refused[.tooLarge] == 1)
            try node.notify(3, "good")
            #expect(try node.isAcknowledged(3))
        }
    }
}
