import ArgumentParser
import Devices
import Store

/// Which dead letters a command is about, where it may be more than one.
struct DeadSelection: ParsableArguments {
    @Argument(help: ArgumentHelp("Their numbers, as \"dead list\" shows them.", valueName: "id"))
    var ids: [Int64] = []

    @Flag(help: "All of them.")
    var all = false

    @Option(help: ArgumentHelp("Those of this uplink.", valueName: "name"))
    var uplink: String?

    @Option(help: ArgumentHelp("Those that this device sent.", valueName: "device"), transform: DeviceID.argument)
    var device: DeviceID?

    @OptionGroup var file: ConfigurationOption

    func validate() throws {
        let isFiltered = self.uplink != nil || self.device != nil
        guard [!self.ids.isEmpty, self.all, isFiltered].count(where: \.self) == 1 else {
            throw ValidationError("Name messages by their numbers, or by --uplink and --device, or --all of them.")
        }
    }

    /// The letters, without their payloads.
    ///
    /// - Throws: ``CommandFailure`` with status 1 if a number is not there, or nothing fits.
    func find(_ store: Store) throws -> [StoredDeadLetter] {
        let letters = try store.deadLetters(
            uplink: self.uplink,
            device: self.device,
            limit: .max,
            maxPayloadBytes: 0
        )
        guard !self.ids.isEmpty else {
            guard !letters.isEmpty else { throw CommandFailure(.no, "there are no such dead letters") }
            return letters
        }
        let known = Dictionary(letters.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        var found: [StoredDeadLetter] = []
        var seen: Set<Int64> = []
        for id in self.ids where seen.insert(id).inserted {
            guard let letter = known[id] else { throw DeadSelection.noLetter(id) }
            found.append(letter)
        }
        return found
    }

    static func noLetter(_ id: Int64) -> CommandFailure {
        CommandFailure(.no, "there is no dead letter \(id); see: sealgate dead list")
    }
}
