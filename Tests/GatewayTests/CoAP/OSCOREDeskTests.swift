import CoAPCodec
import CoAPEndpoint
import Devices
import Logging
import NIOCore
import Store
import TestSupport
import Testing

@testable import Gateway
@testable import Sealing

/// The desk alone, with nodes that know nothing of the gateway but RFC 8613, and a list in place of the store.
@Suite("OSCORE desk")
struct OSCOREDeskTests {
    static let peer = CoAPPeer(ipv4: 0x0A00_0001, port: 5683)
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    static let hierarchy = KeyHierarchy(master: MasterKey(unchecked: [UInt8](repeating: 7, count: 32)))

    /// A run of the gateway: the desk, and what its store has.
    final class Run {
        let desk: OSCOREDesk
        var urgent = 0
        var refused: [String] = []
        private(set) var rows: [OSCOREFingerprint: OSCORERecord]
        private let unknownReserved: UInt64

        init(
            _ devices: [Device],
            rows: [OSCOREFingerprint: OSCORERecord] = [:],
            unknownReserved: UInt64 = 0
        ) {
            let start = OSCOREStart(records: Array(rows.values), unknownReserved: unknownReserved)
            self.desk = OSCOREDesk(keys: DeviceKeys(hierarchy, logger: logger), start: start, logger: logger)
            self.unknownReserved = unknownReserved + OSCORESequence.step
            self.rows = rows.mapValues { row in
                var row = row
                row.isExact = false
                row.reserved = min(row.reserved + OSCORESequence.step, OSCORESequence.max)
                return row
            }
            self.desk.replace(devices)
            self.desk.changed = { [unowned self] in if $0 { self.urgent += 1 } }
            self.desk.refused = { [unowned self] _, detail, _ in self.refused.append(detail) }
        }

        @discardableResult
        func commit(succeeds: Bool = true) -> [OSCORERecord] {
            let records = self.desk.takeChanges()
            if succeeds { for record in records { self.rows[record.fingerprint] = record } }
            self.desk.settled(records, isWritten: succeeds)
            return records
        }

        /// The next run, after an orderly end or after a crash.
        func next(_ devices: [Device], isOrderly: Bool) -> Run {
            if isOrderly { for record in self.desk.writeDown() { self.rows[record.fingerprint] = record } }
            return Run(devices, rows: self.rows, unknownReserved: self.unknownReserved)
        }
    }

    static func device(_ id: String, epoch: UInt32 = 1, oscore: ImportedOSCORE? = nil) throws -> Device {
        Device(id: try DeviceID(id), profile: "sensor", epoch: epoch, oscore: oscore)
    }

    /// The node with the device's derived context.
    static func node(_ device: Device) -> OSCOREPeer {
        let secret = hierarchy.deviceSecret(device: device.id.text, epoch: device.epoch)
        return OSCOREPeer(
            secret: secret.key(.oscoreSecret),
            salt: secret.key(.oscoreSalt),
            senderID: secret.key(.oscoreID),
            recipientID: [0]
        )
    }

    static func request(_ echo: ByteBuffer? = nil) -> CoAPMessage {
        var message = CoAPMessage(type: .confirmable, code: .post, messageID: 1, token: CoAPToken([1]) ?? .empty)
        message.options.append(.uriPath, "ps")
        if let echo { message.options.append(.echo, echo) }
        message.payload = ByteBuffer(string: "21.5")
        return message
    }

    static func open(_ run: Run, _ message: CoAPMessage, at now: NIODeadline = .now()) -> CoAPOpenedRequest {
        run.desk.open(message, from: Self.peer, now: now)
    }

    /// Sends `sequence` and, if that is asked for, the next one with the Echo value.
    ///
    /// - Returns: The context, and whether there was a challenge.
    @discardableResult
    static func pass(
        _ run: Run,
        _ node: OSCOREPeer,
        _ sequence: UInt64,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> (context: UInt64, isChallenged: Bool) {
        switch Self.open(run, node.seal(Self.request(), sequence: sequence)) {
        case .request(_, let request):
            #expect(!request.needsOwnPartialIV, sourceLocation: sourceLocation)
            return (request.context, false)
        case .challenged(let response, let request):
            let echo = try #require(Self.echo(in: response, request, run, node), sourceLocation: sourceLocation)
            guard
                case .request(let inner, let opened) = open(run, node.seal(Self.request(echo), sequence: sequence + 1))
            else { throw Refused() }
            #expect(inner.payload == ByteBuffer(string: "21.5"), sourceLocation: sourceLocation)
            #expect(!opened.needsOwnPartialIV, sourceLocation: sourceLocation)
            return (opened.context, true)
        case .refused: throw Refused()
        }
    }

    struct Refused: Error {}

    /// The Echo value as the node reads it; the challenge is sealed under a number of the gateway's own.
    static func echo(
        in response: CoAPResponse,
        _ request: CoAPProtectedRequest,
        _ run: Run,
        _ node: OSCOREPeer
    ) -> ByteBuffer? {
        guard response.code == .unauthorized, request.needsOwnPartialIV else { return nil }
        let plain = CoAPMessage(
            type: .acknowledgement,
            code: response.code,
            messageID: 1,
            options: response.options,
            payload: response.payload
        )
        guard let sealed = run.desk.seal(plain, to: request, withOwnPartialIV: true),
            OSCOREPeer.sequence(of: sealed) != nil
        else { return nil }
        return node.open(sealed, to: request.sequence)?.options.first(.echo)
    }

    static func refusal(_ opened: CoAPOpenedRequest) -> (code: CoAPCode, words: String, maxAge: UInt64?)? {
        guard case .refused(let response) = opened else { return nil }
        let maxAge = response.options.first { $0.number == .maxAge }.flatMap(\.uint)
        return (response.code, String(buffer: response.payload), maxAge)
    }

    // MARK: Who is heard

    @Test("a device is told by its context; its first request is asked for again, later ones are not")
    func derived() throws {
        let devices = try [Self.device("kitchen"), Self.device("hall")]
        let run = Run(devices)
        #expect(run.desk.contextCount == 0, "keys are derived when they are needed")
        for device in devices {
            let node = Self.node(device)
            let (context, isChallenged) = try Self.pass(run, node, 0)
            #expect(isChallenged)
            #expect(run.desk.device(of: context) == device.id)
            let again = try Self.pass(run, node, 2)
            #expect(again.context == context && !again.isChallenged)
        }
        #expect(run.desk.contextCount == 2)
        #expect(run.refused.isEmpty)
    }

    @Test(
        "what no device has sealed is refused in RFC 8613's words, without protection, and no cache may keep it (§8.2)"
    )
    func refusals() throws {
        let device = try Self.device("kitchen")
        let run = Run([device])
        let node = Self.node(device)
        try Self.pass(run, node, 5)

        let stranger = OSCOREPeer(secret: [1], senderID: node.senderID, recipientID: [0])
        let unknown = OSCOREPeer(secret: [1], senderID: [9, 9], recipientID: [0])
        let longID = node.seal(Self.request(), sequence: 9, kid: [UInt8](repeating: 1, count: 8))
        let otherContext = OSCOREPeer(secret: [1], senderID: node.senderID, recipientID: [0], idContext: [1])
        var malformed = node.seal(Self.request(), sequence: 9)
        malformed.options.remove(.oscore)
        malformed.options.append(.oscore, ByteBuffer(bytes: [0x20]))
        var withoutKID = malformed
        withoutKID.options.remove(.oscore)
        withoutKID.options.append(.oscore, ByteBuffer(bytes: [0x01, 9]))
        let table: [(CoAPMessage, CoAPCode, String)] = [
            (unknown.seal(Self.request(), sequence: 9), .unauthorized, "Security context not found"),
            (longID, .unauthorized, "Security context not found"),
            (otherContext.seal(Self.request(), sequence: 9), .unauthorized, "Security context not found"),
            (stranger.seal(Self.request(), sequence: 9), .badRequest, "Decryption failed"),
            (node.seal(Self.request(), sequence: 6), .unauthorized, "Replay detected"),
            (malformed, .badOption, "Failed to decode COSE"),
            (withoutKID, .badOption, "Failed to decode COSE"),
        ]
        for (message, code, words) in table {
            let refusal = try #require(Self.refusal(Self.open(run, message)))
            #expect(refusal.code == code && refusal.words == words && refusal.maxAge == 0, "\(words)")
        }
        #expect(run.refused.count == table.count)
        #expect(run.refused.filter { $0.contains("kitchen") }.count == 2)
        try Self.pass(run, node, 9)
    }

    @Test("devices with one sender ID are told apart by their keys, with one bound for all of them")
    func collisions() throws {
        let devices = try (0..<6).map { index in
            try Self.device(
                "d\(index)",
                oscore: ImportedOSCORE(secret: [UInt8(index)], senderID: [1], recipientID: [2])
            )
        }
        let run = Run(devices)
        for index in 0..<6 {
            let node = OSCOREPeer(secret: [UInt8(index)], senderID: [1], recipientID: [2])
            guard index < OSCOREDesk.maxCandidates else {
                #expect(Self.refusal(Self.open(run, node.seal(Self.request(), sequence: 0)))?.code == .badRequest)
                continue
            }
            let (context, _) = try Self.pass(run, node, 10)
            #expect(run.desk.device(of: context)?.text == "d\(index)")
        }
        // A number that one has used is new for another.
        let second = OSCOREPeer(secret: [1], senderID: [1], recipientID: [2])
        try Self.pass(run, second, 12)
    }

    @Test("an ID context may be told, must then be the device's, and tells devices apart", arguments: [true, false])
    func idContext(tells: Bool) throws {
        func imported(_ secret: UInt8, _ context: [UInt8]?) throws -> ImportedOSCORE {
            try ImportedOSCORE(secret: [secret], senderID: [], recipientID: [2], idContext: context)
        }
        let devices = try (0..<8).map { try Self.device("d\($0)", oscore: imported(UInt8($0), [UInt8($0)])) }
        let run = Run(Array(devices))
        for index in 0..<8 where tells || index < OSCOREDesk.maxCandidates {
            let node = OSCOREPeer(
                secret: [UInt8(index)],
                senderID: [],
                recipientID: [2],
                idContext: [UInt8(index)]
            )
            let outer = node.seal(Self.request(), sequence: 1, tellsContext: tells)
            guard case .challenged(_, let request) = Self.open(run, outer) else { throw Refused() }
            #expect(run.desk.device(of: request.context)?.text == "d\(index)")
        }
    }

    @Test("every algorithm opens and seals", arguments: OSCOREAlgorithm.allCases)
    func algorithms(algorithm: OSCOREAlgorithm) throws {
        let imported = try ImportedOSCORE(
            secret: [1, 2, 3],
            salt: [4],
            senderID: [5],
            recipientID: [6, 7],
            algorithm: algorithm
        )
        let run = Run([try Self.device("kitchen", oscore: imported)])
        let node = OSCOREPeer(
            secret: [1, 2, 3],
            salt: [4],
            senderID: [5],
            recipientID: [6, 7],
            algorithm: algorithm.rawValue
        )
        try Self.pass(run, node, 0)
    }

    @Test("two devices with the same context: one is heard, and no number is used for both")
    func sameContext() throws {
        let imported = try ImportedOSCORE(secret: [1], senderID: [5], recipientID: [6])
        let run = Run([try Self.device("a", oscore: imported), try Self.device("b", oscore: imported)])
        let node = OSCOREPeer(secret: [1], senderID: [5], recipientID: [6])
        let (context, _) = try Self.pass(run, node, 0)
        #expect(run.desk.device(of: context)?.text == "a")
        let stranger = OSCOREPeer(secret: [2], senderID: [5], recipientID: [6])
        #expect(Self.refusal(Self.open(run, stranger.seal(Self.request(), sequence: 3)))?.code == .badRequest)
        #expect(run.desk.contextCount == 1)
    }

    // MARK: Changes of devices

    @Test("a revoked, removed or re-keyed device is not heard, and what was kept of it is there when it comes back")
    func changes() throws {
        let device = try Self.device("kitchen")
        let node = Self.node(device)
        let run = Run([device])
        let (context, _) = try Self.pass(run, node, 0)
        let protected = CoAPProtectedRequest(context: context, sequence: 1, isFetch: false)
        let plain = CoAPMessage(type: .nonConfirmable, code: .content, messageID: 0)
        let first = try #require(run.desk.seal(plain, to: protected, withOwnPartialIV: true))
        let used = try #require(OSCOREPeer.sequence(of: first))

        var revoked = device
        revoked.isRevoked = true
        for devices in [[revoked], [], [try Self.device("kitchen", epoch: 2)]] {
            run.desk.replace(devices)
            #expect(run.desk.device(of: context) == nil && run.desk.contextCount == 0)
            #expect(run.desk.seal(plain, to: protected, withOwnPartialIV: true) == nil)
            #expect(Self.refusal(Self.open(run, node.seal(Self.request(), sequence: 5)))?.code == .unauthorized)
        }
        run.desk.replace([device])
        #expect(Self.refusal(Self.open(run, node.seal(Self.request(), sequence: 1)))?.words == "Replay detected")
        let (again, isChallenged) = try Self.pass(run, node, 2)
        #expect(again != context && !isChallenged)
        let second = try #require(
            run.desk.seal(
                plain,
                to: CoAPProtectedRequest(context: again, sequence: 2, isFetch: false),
                withOwnPartialIV: true
            )
        )
        #expect(try #require(OSCOREPeer.sequence(of: second)) > used, "no number twice")
    }

    @Test("other devices may come and go without a word to those that stay")
    func staying() throws {
        let device = try Self.device("kitchen")
        let node = Self.node(device)
        let run = Run([device])
        let (context, _) = try Self.pass(run, node, 0)
        run.desk.replace([try Self.device("attic"), device, try Self.device("zoo")])
        #expect(run.desk.device(of: context) == device.id)
        #expect(try Self.pass(run, node, 2) == (context, false))
        run.desk.replace([device])
        #expect(try Self.pass(run, node, 3) == (context, false))
    }
}
