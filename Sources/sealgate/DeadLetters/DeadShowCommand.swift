import ArgumentParser
import NIOCore
import Store

struct DeadShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "One message that could not be delivered, with its payload.",
        discussion: """
            The payload is shown as text or, if it is none, as bytes in hexadecimal, 4 KiB at most; with --raw it alone is \
            written, all of it, as it is.

              sealgate dead show 7
              sealgate dead show 7 --raw > message.bin
            """
    )

    @Argument(help: "Its number.")
    var id: Int64

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @Flag(help: "The payload alone, as it is.")
    var raw = false

    @OptionGroup var file: ConfigurationOption

    func validate() throws {
        if self.json, self.raw { throw ValidationError("--json and --raw exclude each other.") }
    }

    func run() throws {
        let store = try GatewayFiles(self.file).openExistingStore()
        defer { store?.close() }
        guard let letter = try store?.deadLetter(id: self.id) else { throw DeadSelection.noLetter(self.id) }
        let payload = letter.letter.record.payload
        if self.raw { return try Output.raw(Array(payload.readableBytesView)) }
        var details = DeadLetterDetails(letter)
        if self.json {
            details.add(payload: payload)
            return try Output.json(details)
        }
        let lines = details.lines.map { name, value in
            name + String(repeating: " ", count: max(1, 13 - name.count)) + value + "\n"
        }
        try Output.raw(lines.joined() + "\n" + DeadLetterDetails.show(payload))
    }
}
