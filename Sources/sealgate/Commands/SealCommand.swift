import ArgumentParser
import Devices
import Gateway
import NIOCore
import Sealing

struct SealCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Seal one payload as a node does, offline.",
        discussion: """
            Prints the payload that a node with these keys would publish. DATA is taken as it is; "-" reads it from \
            standard input, a line end included. Data that starts with a minus goes behind "--".

              sealgate seal --keys kitchen.keys --session-id 9f0e… -- -5.5
              printf 5 | sealgate seal --keys kitchen.keys --session-id 9f0e… --raw - > payload
            """
    )

    @OptionGroup var sealing: SealingKeys

    @Flag(help: "Raw form: bytes in place of hex digits, and no line end.")
    var raw = false

    @Option(
        name: .customLong("iv"),
        help: ArgumentHelp(
            "The IV, 32 hex digits, for test vectors; never use one twice. (default: random)",
            valueName: "hex"
        )
    )
    var initializationVector: String?

    @Argument(help: "The data; - for standard input.")
    var data: String

    func run() throws {
        let candidates = try self.sealing.candidates()
        guard candidates.count == 1, let candidate = candidates.first else {
            let names = candidates.prefix(8).map(\.id.text).joined(separator: ", ")
            throw CommandFailure(.usage, "\(self.sealing.keys) has several devices: choose one with --id (\(names))")
        }
        var iv: [UInt8]?
        if let text = self.initializationVector {
            iv = Hexadecimal.decode(text)
            guard iv?.count == 16 else { throw CommandFailure(.usage, "--iv takes 32 hex digits") }
        }
        let data = ByteBuffer(bytes: try SealingKeys.bytes(of: self.data))
        let payload: ByteBuffer
        do throws(V1KeysError) {
            payload = try V1Cipher.seal(
                data,
                keys: candidate.keys,
                nodeID: Array((candidate.nodeID ?? candidate.id.text).utf8),
                sessionID: Array(self.sealing.sessionID.utf8),
                iv: iv,
                form: self.raw ? .raw : .hex
            )
        } catch {
            throw CommandFailure(.usage, "device \(candidate.id): \(error)")
        }
        try Output.raw(Array(payload.readableBytesView) + (self.raw ? [] : [UInt8(ascii: "\n")]))
    }
}
