import NIOCore
import Sealing
import Testing

/// A node, as far as it concerns sealing: it writes what a device in the field would.
struct Node: Sendable {
    let device: String
    let keys: V1Keys
    let nodeID: String

    init(_ device: String = "kitchen", keys: V1Keys = .random(), nodeID: String = "11242238") {
        self.device = device
        self.keys = keys
        self.nodeID = nodeID
    }

    var member: V1Member {
        get throws { try V1Member(device: self.device, keys: self.keys, nodeID: self.nodeID) }
    }

    func seal(
        _ text: String,
        _ sessionID: SessionID,
        iv: [UInt8]? = nil,
        form: V1Form = .hex
    ) throws -> ByteBuffer {
        try V1Cipher.seal(
            ByteBuffer(string: text),
            keys: self.keys,
            nodeID: Array(self.nodeID.utf8),
            sessionID: Array(sessionID.payload.readableBytesView),
            iv: iv,
            form: form
        )
    }
}

/// A receiver and a clock that the test moves.
final class Bench {
    let receiver: V1Receiver
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    let first: [SessionID]

    init(_ nodes: [Node], _ configuration: V1Receiver.Configuration = .init()) throws {
        self.receiver = V1Receiver(configuration: configuration, members: try nodes.map { try $0.member })
        self.first = self.receiver.start(now: self.now)
    }

    /// The newest session ID: what the retained message of the session topic says.
    var newest: SessionID {
        get throws { try #require(self.receiver.validSessionIDs.last) }
    }

    func receive(_ payload: ByteBuffer, claimed: String? = nil, onlyFrom: String? = nil) -> V1Verdict {
        self.receiver.receive(payload, claimed: claimed, onlyFrom: onlyFrom, now: self.now)
    }
}

extension V1Verdict {
    /// The verdict in one line, without what changes from run to run.
    var summary: String {
        switch self {
        case .opened(let device, let data, let issued, _):
            "opened \(device) \(String(buffer: data)) issued \(issued.count)"
        case .repeated(let device): "repeated \(device)"
        case .refused(let reason, let issued): "refused \(reason.rawValue) issued \(issued.count)"
        }
    }

    var acceptance: V1Acceptance? {
        guard case .opened(_, _, _, let acceptance) = self else { return nil }
        return acceptance
    }

    var issued: [SessionID] {
        switch self {
        case .opened(_, _, let issued, _), .refused(_, let issued): issued
        case .repeated: []
        }
    }
}
