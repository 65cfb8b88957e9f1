import ArgumentParser
import Devices
import Gateway
import Store

struct DeadResendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resend",
        abstract: "Send messages again that could not be delivered.",
        discussion: """
            When the reason is mended: the limit in gateway.conf raised and the gateway restarted, or the broker taught \
            to take them. They go behind what waits already, to the topic that they had. What can't be delivered then is \
            back in "dead list" under another number.

              sealgate dead resend 7 8
              sealgate dead resend --uplink cloud
            """
    )

    @OptionGroup var selection: DeadSelection

    func run() throws {
        let files = try GatewayFiles(self.selection.file)
        guard let store = try files.openExistingStore(.command) else {
            throw CommandFailure(.no, "there are no dead letters")
        }
        defer { store.close() }
        let names = Set(files.configuration.uplinks.map(\.name))
        let letters = try self.selection.find(store)
        let stranded = letters.filter { letter in !(letter.lane.map { names.contains($0.uplink) } ?? false) }
        let isStranded = Set(stranded.map(\.id))
        let count = try store.resendDead(ids: letters.map(\.id).filter { !isStranded.contains($0) })
        if count > 0 {
            Output.line("\(DeadDropCommand.count(count)) will be sent again, within one second if the gateway runs")
        }
        guard stranded.isEmpty else {
            let uplinks = Set(stranded.map { $0.lane?.uplink ?? "?" }).sorted()
            throw CommandFailure(
                .no,
                "\(DeadDropCommand.count(stranded.count)) can't be sent: gateway.conf has no uplink "
                    + uplinks.map { Printable.text($0) }.joined(separator: ", ")
            )
        }
    }
}

struct DeadDropCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Delete messages that could not be delivered.",
        discussion: """
            There is no way back.

              sealgate dead drop 7
              sealgate dead drop --device kitchen
            """
    )

    @OptionGroup var selection: DeadSelection

    func run() throws {
        let files = try GatewayFiles(self.selection.file)
        guard let store = try files.openExistingStore(.command) else {
            throw CommandFailure(.no, "there are no dead letters")
        }
        defer { store.close() }
        let count = try store.dropDead(ids: try self.selection.find(store).map(\.id))
        Output.line("\(Self.count(count)) dropped")
    }

    static func count(_ count: Int) -> String { count == 1 ? "1 message" : "\(count) messages" }
}
