import Foundation

/// libcoap's client. Its exit status is 0 whatever happened, so only what it prints counts.
package struct CoAPClient: Sendable, CustomStringConvertible {
    /// The program, one for each TLS library that it can be built with.
    package enum Program: String, Sendable, CaseIterable {
        case openssl = "coap-client-openssl"
        case gnutls = "coap-client-gnutls"
        case notls = "coap-client-notls"
    }

    package var program: Program
    /// `coap` or `coaps`.
    package var scheme: String
    package var port: Int
    /// Of DTLS.
    package var identity: String?
    /// Of DTLS, in ASCII.
    package var key: String?

    package var description: String { self.program.rawValue }

    /// Of a listener without DTLS.
    package init(_ program: Program = .notls, port: Int) {
        self.program = program
        self.scheme = "coap"
        self.port = port
    }

    /// Of a listener with DTLS.
    package init(_ program: Program, port: Int, identity: String, key: String) {
        self.program = program
        self.scheme = "coaps"
        self.port = port
        self.identity = identity
        self.key = key
    }

    /// `coap://127.0.0.1:port` and the path.
    package func uri(_ path: String) -> String { "\(self.scheme)://127.0.0.1:\(self.port)\(path)" }

    private func arguments(_ method: String, _ path: String, _ options: [String]) -> [String] {
        // -v 6 prints each message as it is sent and received.
        var arguments = ["-oL", self.program.rawValue, "-v", "6", "-B", "60", "-m", method]
        if let identity = self.identity, let key = self.key { arguments += ["-u", identity, "-k", key] }
        return arguments + options + [self.uri(path)]
    }

    /// One request, and what the client prints until it ends.
    package func run(
        _ method: String,
        _ path: String,
        _ options: [String] = [],
        within limit: Duration = .patience
    ) async throws -> Answer {
        let finished = try await ChildProcess.run(
            "stdbuf",
            self.arguments(method, path, options),
            directory: NSTemporaryDirectory(),
            within: limit
        )
        return Answer(finished: finished)
    }

    /// POST of a text.
    package func post(_ path: String, _ text: String, _ options: [String] = []) async throws -> Answer {
        try await self.run("post", path, ["-e", text] + options)
    }

    /// A client that goes on, for observations.
    package func start(_ method: String, _ path: String, _ options: [String]) throws -> ChildProcess {
        let child = try ChildProcess("stdbuf", self.arguments(method, path, options), directory: NSTemporaryDirectory())
        child.closeInput()
        return child
    }

    /// What the client printed.
    package struct Answer: Sendable, CustomStringConvertible {
        fileprivate let finished: ChildProcess.Finished

        /// Everything, for tests that fail.
        package var description: String { self.finished.all }

        /// Messages received, as the client prints them, without requests.
        private var responses: [String] {
            (self.finished.output + self.finished.errors).compactMap { line in
                // What was received before it stands on its line.
                line.firstRange(of: "v:1 t:").map { String(line[$0.lowerBound...]) }
            }.filter { Self.code(in: $0) != nil }
        }

        private static func code(in line: String) -> String? {
            guard let field = line.firstRange(of: "c:").map({ line[$0.upperBound...].prefix { $0 != " " } }) else {
                return nil
            }
            let code = field.trimmingPrefix("{").prefix { $0 != "}" && $0 != "," }
            guard let first = code.first, ("2"..."5").contains(first), code.dropFirst().first == "." else { return nil }
            return String(code)
        }

        /// Code of the last response: `2.05`; nil if none came.
        package var code: String? { self.responses.last.flatMap(Self.code) }
        /// How many responses came.
        package var count: Int { self.responses.count }
        /// Payloads of all responses, if they are text: blocks make one.
        package var text: String {
            self.responses.map { line in
                line.firstRange(of: ":: '").map { String(line[$0.upperBound...].dropLast()) } ?? ""
            }.joined()
        }
    }
}
