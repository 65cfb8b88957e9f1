import ArgumentParser
import Devices
import Gateway
import NIOCore
import Sealing

struct UnsealCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unseal",
        abstract: "Open one sealed payload, offline.",
        discussion: """
            Needs neither a gateway nor its store. PAYLOAD is the hex form of seal v1; "-" reads either form from standard \
            input. All devices of the key file are tried. What opens is not proven fresh: that is for the gateway, which \
            knows the session IDs that it gave out.

              sealgate unseal --keys kitchen.keys --session-id 9f0e… 1d54dd1af0f7…,d1a0b14d…,564633a4…,c66697df…
              mosquitto_sub -C 1 -N -t nodes/kitchen/data | sealgate unseal --keys kitchen.keys --session-id 9f0e… -

            Ends with 1, and one line on standard error, if it does not open.
            """
    )

    @OptionGroup var sealing: SealingKeys

    @Flag(help: "One JSON object: node_id, and iv and data in hex.")
    var json = false

    @Argument(help: "The payload; - for standard input.")
    var payload: String

    private struct Answer: Encodable {
        let nodeID: String
        let iv: String
        let data: String

        private enum CodingKeys: String, CodingKey {
            case nodeID = "node_id"
            case iv, data
        }
    }

    func run() throws {
        let candidates = try self.sealing.candidates()
        let payload = ByteBuffer(bytes: Self.withoutLineEnd(try SealingKeys.bytes(of: self.payload)))
        var refusal = V1Refusal.malformed
        for candidate in candidates {
            let opened: V1Cipher.Opened
            do throws(V1Refusal) {
                opened = try self.open(payload, candidate, nodeID: candidate.nodeID.map { Array($0.utf8) })
            } catch {
                refusal = error
                continue
            }
            return try self.report(opened, candidate)
        }
        guard refusal != .malformed else { throw CommandFailure(.no, "does not open: not a v1 payload") }
        throw CommandFailure(.no, "does not open: \(self.reason(payload, candidates))")
    }

    private func open(
        _ payload: ByteBuffer,
        _ candidate: SealingKeys.Candidate,
        nodeID: [UInt8]?
    ) throws(V1Refusal) -> V1Cipher.Opened {
        let cipher = V1Cipher(keys: candidate.keys)
        return try cipher.open(payload, nodeID: nodeID, sessionIDs: [Array(self.sealing.sessionID.utf8)])
    }

    /// The last byte of a payload is a digit of its MAC: a line end behind it was put there by a shell.
    private static func withoutLineEnd(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        var bytes = bytes[...]
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return bytes
    }

    /// Whether another node id would have been right, which helps who set up a node.
    private func reason(_ payload: ByteBuffer, _ candidates: [SealingKeys.Candidate]) -> String {
        for candidate in candidates {
            guard let nodeID = candidate.nodeID, let opened = try? self.open(payload, candidate, nodeID: nil) else {
                continue
            }
            let inside = Printable.text(String(decoding: opened.nodeID, as: UTF8.self))
            return
                "it fits the keys of \(candidate.id), but the node id inside is \(inside), not \(Printable.text(nodeID))"
        }
        let whose = candidates.count == 1 ? "of \(candidates[0].id)" : "of any of \(candidates.count) devices"
        return "the seal does not verify with the keys \(whose) under this session ID"
    }

    private func report(_ opened: V1Cipher.Opened, _ candidate: SealingKeys.Candidate) throws {
        let data = Array(opened.data.readableBytesView)
        let nodeID = String(decoding: opened.nodeID, as: UTF8.self)
        if self.json {
            let answer = Answer(nodeID: nodeID, iv: Hexadecimal.encode(opened.iv), data: Hexadecimal.encode(data))
            return try Output.json(answer)
        }
        let text = String(validating: data, as: UTF8.self).map { Printable.text($0, limit: .max) }
        try Output.raw(
            """
            device   \(candidate.id)
            node id  \(Printable.text(nodeID))
            data     \(text ?? "hex:" + Hexadecimal.encode(data))

            """
        )
    }
}
