import Foundation
import Synchronization
import TestSupport

/// aiocoap as a node (`Tests/Peers/aiocoap_client.py`). Its libraries are in .venv/coap, from scripts/setup-tests.sh.
final class AiocoapPeer: Sendable {
    /// How it is proven who it is.
    enum Security {
        case none
        /// TinyDTLS.
        case preSharedKey(identity: String, key: String)
        /// A directory with settings.json.
        case oscore(directory: String)

        fileprivate var arguments: [String] {
            switch self {
            case .none: []
            case .preSharedKey(let identity, let key): ["--psk", identity, key]
            case .oscore(let directory): ["--oscore", directory]
            }
        }
    }

    /// What it says of a response.
    struct Answer: Decodable, Sendable {
        let id: Int
        /// `2.05`; nil: there is none.
        let code: String?
        let payload: String?
        let format: Int?
        let maxAge: Int?
        let observe: Int?
        let echo: String?
        let etag: String?
        let notification: Bool?
        /// Why there is no response.
        let error: String?

        var bytes: [UInt8] { hexBytes(self.payload ?? "") }
        var text: String { String(decoding: self.bytes, as: UTF8.self) }
    }

    private let process: ChildProcess
    private let next = Mutex(1)

    init(port: Int, _ security: Security = .none) throws {
        self.process = try PeerPrograms.python("aiocoap_client.py", ["\(port)"] + security.arguments)
    }

    /// Sends a request, and waits for its first answer.
    ///
    /// - Parameter more: Further members of the command in JSON: `"\"non\": true"`.
    @discardableResult
    func request(
        _ method: String,
        _ path: String,
        _ payload: [UInt8] = [],
        query: [String] = [],
        _ more: String...,
        within limit: Duration = .patience
    ) async throws -> Answer {
        let id = try self.begin(method, path, payload, query: query, more)
        return try await self.answer(to: id, within: limit)
    }

    /// POST of a text.
    @discardableResult
    func post(_ path: String, _ text: String, query: [String] = []) async throws -> Answer {
        try await self.request("POST", path, Array(text.utf8), query: query)
    }

    /// Sends a request.
    func begin(
        _ method: String,
        _ path: String,
        _ payload: [UInt8] = [],
        query: [String] = [],
        _ more: [String] = []
    ) throws -> Int {
        let id = self.next.withLock { number in
            defer { number += 1 }
            return number
        }
        var members = [
            "\"id\": \(id)", "\"method\": \"\(method)\"", "\"path\": \"\(path)\"",
            "\"payload\": \"\(hexText(payload))\"",
        ]
        if !query.isEmpty { members.append("\"query\": [" + query.map { "\"\($0)\"" }.joined(separator: ", ") + "]") }
        self.process.write("{" + (members + more).joined(separator: ", ") + "}\n")
        return id
    }

    /// The first answer to a request.
    func answer(to id: Int, within limit: Duration = .patience) async throws -> Answer {
        try await self.answers(to: id, 1, within: limit)[0]
    }

    /// So many answers at least: of an observation all that came.
    func answers(to id: Int, _ count: Int, within limit: Duration = .patience) async throws -> [Answer] {
        let lines = try await self.process.output.lines(count: count, within: limit) {
            $0.hasPrefix("{\"id\": \(id), ")
        }
        return try lines.map { try JSONDecoder().decode(Answer.self, from: Data($0.utf8)) }
    }

    /// Ends an observation.
    func cancel(_ id: Int) { self.process.write("{\"id\": \(id), \"cancel\": true}\n") }

    /// Ends it, so that what it keeps on disk is whole.
    func stop() async throws {
        self.process.closeInput()
        try await self.process.waitForExit()
    }
}
