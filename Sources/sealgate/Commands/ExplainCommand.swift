import ArgumentParser
import Devices
import Gateway
import Store

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Whether a device may publish or subscribe there, and by which line.",
        discussion: """
            The same decision as in the gateway, with the line of gateway.conf that made it, and the topic on the other \
            side of each uplink that a route leads to. Ends with 0 if it is allowed, otherwise with 1.

              sealgate explain kitchen publish nodes/kitchen/temperature
              sealgate explain kitchen subscribe 'nodes/#'
            """
    )

    @Argument(help: "The device.", transform: DeviceID.argument)
    var device: DeviceID

    @Argument(help: ArgumentHelp("publish or subscribe.", valueName: "action"))
    var action: PolicyAction

    @Argument(help: "The topic, or the filter of the subscription.")
    var topic: String

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    func run() throws {
        let files = try GatewayFiles(self.file)
        let devices = try files.deviceRecords().map(\.inForce)
        let registry = files.registry(of: devices)
        let routes = try self.routes(files.configuration, registry)
        let explanation: Explanation
        do throws(Explanation.Failure) {
            explanation = try Explanation(
                device: self.device,
                action: self.action,
                topic: self.topic,
                registry: registry,
                routes: routes
            )
        } catch {
            throw CommandFailure(.usage, "\(Printable.text(self.topic)): \(error)")
        }
        guard explanation.verdict != .unknownDevice || self.json else {
            throw files.noDevice(self.device, among: devices)
        }
        if self.json {
            try Output.json(explanation)
        } else {
            for line in explanation.lines { Output.line(line) }
        }
        guard explanation.allowed else { throw CommandFailure(.no) }
    }

    private func routes(
        _ configuration: GatewayConfiguration,
        _ registry: DeviceRegistry
    ) throws(CommandFailure) -> RouteTable {
        do {
            return try RouteTable(
                routes: configuration.routes,
                uplinks: configuration.uplinks.map(\.name),
                gateway: configuration.name,
                reserved: registry.reserved
            )
        } catch {
            throw CommandFailure(.usage, "\(configuration.file):\(error.line): \(error)")
        }
    }
}
