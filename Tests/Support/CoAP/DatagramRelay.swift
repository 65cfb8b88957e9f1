import Foundation
import Synchronization

/// A port of 127.0.0.1 from which datagrams go on to another one, and back: what a bad radio link does to them is said by the
/// test. Each client has a port of its own towards the other side, so it stays somebody.
package final class DatagramRelay: Sendable {
    /// What happens to a datagram, each way. Probabilities.
    package struct Weather: Sendable {
        package var loss = 0.0
        /// It comes twice.
        package var duplication = 0.0
        /// It comes later than some behind it.
        package var delay = 0.0
        /// How much later, at most, in milliseconds.
        package var maxDelay: Int64 = 50
        package var seed: UInt64 = 1

        /// Everything arrives, once and in order.
        package init() {}

        /// Thirty per cent lost each way, some doubled, some late.
        package static func bad(seed: UInt64) -> Weather {
            var weather = Weather()
            weather.loss = 0.3
            weather.duplication = 0.1
            weather.delay = 0.1
            weather.seed = seed
            return weather
        }
    }

    /// A datagram that came, whether it went on or not.
    package struct Passed: Sendable {
        package let isToServer: Bool
        package let bytes: [UInt8]
    }

    /// Where clients send to.
    package let port: Int
    private let shared: Shared

    /// What the thread shares with the tests; it outlives neither.
    private final class Shared: Sendable {
        let server: Mutex<Int>
        let passed = Mutex<[Passed]?>(nil)
        let injected = Mutex<[[UInt8]]>([])
        let isStopped = Atomic(false)

        init(server: Int) { self.server = Mutex(server) }
    }

    /// - Parameters:
    ///   - server: A port of 127.0.0.1.
    ///   - isRecording: Whether ``passed`` has what came.
    package init(to server: Int, weather: Weather = Weather(), isRecording: Bool = false) throws {
        let socket = try UDPSocket()
        let shared = Shared(server: server)
        if isRecording { shared.passed.withLock { $0 = [] } }
        (self.port, self.shared) = (Int(socket.port), shared)
        Thread.detachNewThread {
            var worker = Worker(front: socket, weather: weather)
            while !shared.isStopped.load(ordering: .relaxed) { worker.turn(shared) }
        }
    }

    deinit { self.shared.isStopped.store(true, ordering: .relaxed) }

    /// What came so far, in the order in which it came.
    package var passed: [Passed] { self.shared.passed.withLock { $0 ?? [] } }

    /// From now on datagrams go to another port, from ports of the clients that are new too: the server was started again.
    package func connect(to server: Int) { self.shared.server.withLock { $0 = server } }

    /// Sends bytes to the server as if they came from its first client.
    package func inject(_ bytes: [UInt8]) { self.shared.injected.withLock { $0.append(bytes) } }

    /// The thread's part.
    private struct Worker {
        /// One client, and the socket that the server takes for it.
        struct Client {
            let address: UDPSocket.Address
            let socket: UDPSocket
        }

        /// A datagram that waits for its time.
        struct Late {
            let due: ContinuousClock.Instant
            let send: () -> Void
        }

        let front: UDPSocket
        let weather: Weather
        var generator: SeededGenerator
        var clients: [Client] = []
        var places: [UDPSocket.Address: Int] = [:]
        var late: [Late] = []

        init(front: UDPSocket, weather: Weather) {
            self.front = front
            self.weather = weather
            self.generator = SeededGenerator(seed: weather.seed)
        }

        mutating func turn(_ shared: Shared) {
            var entries = ([self.front] + self.clients.map(\.socket)).map { socket in
                pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            }
            for bytes in shared.injected.withLock({ injected in
                defer { injected = [] }; return injected
            }) {
                try? self.clients.first?.socket.send(bytes)
            }
            guard poll(&entries, nfds_t(entries.count), self.late.isEmpty ? 50 : 1) >= 0 else { return }
            if entries[0].revents != 0 {
                let server = shared.server.withLock { $0 }
                while let (bytes, address) = self.front.receiveNow() {
                    guard let client = try? self.client(at: address, server: server) else { continue }
                    self.pass(Passed(isToServer: true, bytes: bytes), shared) { try? client.send(bytes) }
                }
            }
            for (client, entry) in zip(self.clients, entries.dropFirst()) where entry.revents != 0 {
                while let (bytes, _) = client.socket.receiveNow() {
                    let front = self.front
                    self.pass(Passed(isToServer: false, bytes: bytes), shared) {
                        try? front.send(bytes, to: client.address)
                    }
                }
            }
            let now = ContinuousClock.now
            for datagram in self.late where datagram.due <= now { datagram.send() }
            self.late.removeAll { $0.due <= now }
        }

        private mutating func client(at address: UDPSocket.Address, server: Int) throws -> UDPSocket {
            let place = self.places[address]
            if let place, self.clients[place].socket.peer?.port == UInt16(server) { return self.clients[place].socket }
            let client = Client(address: address, socket: try UDPSocket(to: server))
            if let place {
                self.clients[place] = client
            } else {
                self.places[address] = self.clients.count
                self.clients.append(client)
            }
            return client.socket
        }

        private mutating func pass(_ datagram: Passed, _ shared: Shared, _ send: @escaping () -> Void) {
            shared.passed.withLock { $0?.append(datagram) }
            for _ in 0..<(self.chance(self.weather.duplication) ? 2 : 1) where !self.chance(self.weather.loss) {
                if self.chance(self.weather.delay) {
                    let delay = Int64.random(in: 1...self.weather.maxDelay, using: &self.generator)
                    self.late.append(Late(due: .now + .milliseconds(delay), send: send))
                } else {
                    send()
                }
            }
        }

        private mutating func chance(_ probability: Double) -> Bool {
            probability > 0 && Double.random(in: 0..<1, using: &self.generator) < probability
        }
    }
}
