import ArgumentParser
import Devices
import Gateway
import Sealing

/// `--keys FILE`, `--session-id ID` and `--id DEVICE` of the offline commands.
struct SealingKeys: ParsableArguments {
    @Option(help: ArgumentHelp("The key file, mode 0600: sealgate device import --help shows one.", valueName: "file"))
    var keys: String

    @Option(
        name: .customLong("session-id"),
        help: ArgumentHelp("The session ID that the message is sealed under; \"\" for none.", valueName: "id")
    )
    var sessionID: String

    @Option(
        name: .customLong("id"),
        help: ArgumentHelp("The device of the file that is meant.", valueName: "device"),
        transform: DeviceID.argument
    )
    var device: DeviceID?

    /// Longest message that is read from standard input, in bytes; no MQTT message is longer.
    private static let maxInputBytes = 256 << 20

    /// One device of the file with the keys that it uses.
    struct Candidate {
        let id: DeviceID
        /// Nil: the file does not say.
        let nodeID: String?
        let keys: V1Keys
    }

    /// The devices of the file that have keys, or the chosen one. Never empty.
    ///
    /// - Throws: ``CommandFailure`` with status 2.
    func candidates() throws(CommandFailure) -> [Candidate] {
        let entries = try KeyFile.load(self.keys)
        let byID = Dictionary(entries.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        if let device, byID[device] == nil {
            throw CommandFailure(.usage, "\(self.keys) has no device \(device)")
        }
        let candidates = entries.filter { self.device == nil || $0.id == self.device }.compactMap { entry in
            (entry.v1Keys ?? entry.keysOf.flatMap { byID[$0]?.v1Keys }).map { keys in
                Candidate(id: entry.id, nodeID: entry.nodeID, keys: keys)
            }
        }
        guard !candidates.isEmpty else {
            throw CommandFailure(
                .usage,
                "\(self.keys) has no keys of seal v1\(self.device.map { " for device \($0)" } ?? "")"
            )
        }
        return candidates
    }

    /// The bytes of an argument, or of standard input for `-`.
    static func bytes(of argument: String) throws(FileError) -> [UInt8] {
        argument == "-" ? try FileReader.readStandardInput(limit: Self.maxInputBytes) : Array(argument.utf8)
    }
}
