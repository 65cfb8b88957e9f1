import Foundation

/// How mosquitto's clients reach a broker, and as whom.
package struct MosquittoTarget: Sendable {
    /// On 127.0.0.1.
    package var port: Int
    /// `-i`; made up by the client if nil.
    package var clientID: String?
    /// Further options: user name, keys, certificates.
    package var options: [String] = []

    /// Anonymous.
    package init(port: Int, clientID: String? = nil) {
        self.port = port
        self.clientID = clientID
    }

    /// With a pre-shared key.
    package init(port: Int, identity: String, key: [UInt8], version: String? = nil) {
        self.init(port: port)
        self.options = ["--psk-identity", identity, "--psk", hexText(key)]
        if let version { self.options += ["--tls-version", version] }
    }

    /// With a certificate of its own.
    package init(port: Int, certificateAuthority: String, certificate: String, key: String) {
        self.init(port: port)
        self.options = ["--cafile", certificateAuthority, "--cert", certificate, "--key", key]
    }

    var arguments: [String] {
        // The name, not the address, for it is what certificates are made out to.
        ["-h", "localhost", "-p", "\(self.port)", "-V", "mqttv311"] + (self.clientID.map { ["-i", $0] } ?? [])
            + self.options
    }
}

/// mosquitto_pub: one message, or one for each line.
package enum MosquittoPublisher {
    /// Publishes one message, and waits until the broker has acknowledged it.
    package static func publish(
        _ target: MosquittoTarget,
        topic: String,
        payload: String,
        qos: Int = 1,
        retain: Bool = false,
        within limit: Duration = .patience
    ) async throws -> ChildProcess.Finished {
        // From standard input, for a payload may be longer than an argument and hold anything but NUL.
        let options = ["-t", topic, "-q", "\(qos)", "-s"] + (retain ? ["-r"] : [])
        return try await ChildProcess.run("mosquitto_pub", target.arguments + options, input: payload, within: limit)
    }

    /// Publishes each line as one message, in order, and waits until the broker has acknowledged all.
    package static func publish(
        _ target: MosquittoTarget,
        topic: String,
        lines: [String],
        qos: Int = 1,
        within limit: Duration = .patience
    ) async throws -> ChildProcess.Finished {
        let options = ["-t", topic, "-q", "\(qos)", "-l"]
        let input = lines.joined(separator: "\n") + "\n"
        return try await ChildProcess.run("mosquitto_pub", target.arguments + options, input: input, within: limit)
    }
}

/// mosquitto_sub, running: what it receives, in order.
package final class MosquittoSubscriber: Sendable {
    /// One message as it arrived.
    package struct Received: Equatable, Sendable, CustomStringConvertible {
        /// Topic name.
        package let topic: String
        /// Payload as text.
        package let payload: String
        /// 0 to 2.
        package let qos: Int
        /// Whether it came as a retained one.
        package let isRetained: Bool

        /// For tests that fail.
        package var description: String { "\(self.topic) = \(self.payload)" }
    }

    private let process: ChildProcess
    private static let mark = "MESSAGE "

    /// Subscribes, and waits for the broker's SUBACK.
    package static func start(
        _ target: MosquittoTarget,
        topics: [String],
        qos: Int = 1,
        options: [String] = []
    ) async throws -> MosquittoSubscriber {
        let subscriber = try MosquittoSubscriber(target, topics: topics, qos: qos, options: options)
        try await subscriber.process.output.line(containing: "Subscribed (mid")
        return subscriber
    }

    private init(_ target: MosquittoTarget, topics: [String], qos: Int, options: [String]) throws {
        let filters = topics.flatMap { ["-t", $0] }
        // -d tells of the SUBACK; %x keeps any payload on one line.
        let format = ["-d", "-q", "\(qos)", "-F", Self.mark + "%q %r %x %t"]
        let arguments = ["-oL", "mosquitto_sub"] + target.arguments + filters + format + options
        self.process = try ChildProcess("stdbuf", arguments)
    }

    /// Everything so far.
    package var received: [Received] { self.process.output.lines.compactMap(Self.parse) }

    /// Waits until at least `count` messages are there.
    package func messages(_ count: Int, within limit: Duration = .patience) async throws -> [Received] {
        try await self.process.output.lines(count: count, within: limit) { $0.hasPrefix(Self.mark) }
            .compactMap(Self.parse)
    }

    /// Waits for a message with this payload.
    @discardableResult
    package func message(payload: String, within limit: Duration = .patience) async throws -> Received {
        let line = try await self.process.output.line("message \"\(payload)\"", within: limit) {
            Self.parse($0)?.payload == payload
        }
        guard let message = Self.parse(line) else { preconditionFailure("a line that was parsed before") }
        return message
    }

    /// Waits until the gateway has closed the first connection. (The program then tries again by itself.)
    package func disconnected() async throws {
        // mosquitto_sub says nothing of the end itself; with -d it tells that it connects anew. That may be before anybody waits.
        _ = try await self.process.output.lines(count: 2) { $0.contains("sending CONNECT") }
    }

    /// Ends it.
    package func stop() async throws {
        self.process.signal(SIGTERM)
        try await self.process.waitForExit()
    }

    private static func parse(_ line: String) -> Received? {
        guard line.hasPrefix(self.mark) else { return nil }
        let fields = line.dropFirst(self.mark.count).split(
            separator: " ",
            maxSplits: 3,
            omittingEmptySubsequences: false
        )
        guard fields.count == 4, let qos = Int(fields[0]) else { return nil }
        return Received(
            topic: String(fields[3]),
            payload: String(decoding: hexBytes(String(fields[2])), as: UTF8.self),
            qos: qos,
            isRetained: fields[1] == "1"
        )
    }
}
