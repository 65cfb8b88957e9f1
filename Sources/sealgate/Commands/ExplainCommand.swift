import ArgumentParser
import Devices
import Gateway
import Store

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Whether a device may publish or subscribe there, and by which line.",
        discussion: """
            The same decision as in the gateway, with the line of gateway.conf that made it, and every hop from there: \
            the topic on the other side of each uplink, the routes that do not take it and why, and who may get it here. \
            With --uplink it is about a message that an outside broker sends. Ends with 0 if it is allowed or taken, \
            otherwise with 1.

              sealgate explain kitchen publish nodes/kitchen/temperature
              sealgate explain kitchen subscribe 'nodes/#'
              sealgate explain --uplink cloud sites/attic/kitchen/cmd/light
            """
    )

    @Argument(
        help: ArgumentHelp(
            "The device, publish or subscribe, and the topic or filter; with --uplink only the topic.",
            valueName: "device> <action> <topic"
        )
    )
    var words: [String]

    @Option(help: ArgumentHelp("The uplink whose outside broker sends the message.", valueName: "name"))
    var uplink: String?

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    private enum Question {
        case device(DeviceID, PolicyAction, topic: String)
        case uplink(String, topic: String)
    }

    func validate() throws { _ = try self.question() }

    private func question() throws -> Question {
        if let uplink = self.uplink {
            guard self.words.count == 1 else {
                throw ValidationError("With --uplink there is one topic, and nothing else.")
            }
            return .uplink(uplink, topic: self.words[0])
        }
        guard self.words.count == 3 else {
            throw ValidationError(
                "There is a device, publish or subscribe, and a topic: 'kitchen publish nodes/kitchen/t'."
            )
        }
        guard let action = PolicyAction(rawValue: self.words[1]) else {
            throw ValidationError("'\(Printable.text(self.words[1]))' is neither publish nor subscribe.")
        }
        return .device(try DeviceID.argument(self.words[0]), action, topic: self.words[2])
    }

    func run() throws {
        let question = try self.question()
        let files = try GatewayFiles(self.file)
        let devices = try files.deviceRecords().map(\.inForce)
        let registry = files.registry(of: devices)
        let routes = try self.routes(files.configuration, registry)
        switch question {
        case .device(let device, let action, let topic):
            var explanation: Explanation
            do throws(Explanation.Failure) {
                explanation = try Explanation(
                    device: device,
                    action: action,
                    topic: topic,
                    registry: registry,
                    routes: routes
                )
            } catch {
                throw CommandFailure(.usage, "\(Printable.text(topic)): \(error)")
            }
            guard explanation.verdict != .unknownDevice || self.json else {
                throw files.noDevice(device, among: devices)
            }
            explanation.coap = files.configuration.explainCoAP(explanation, device, action, registry)
            try self.show(explanation, explanation.lines)
            guard explanation.allowed else { throw CommandFailure(.no) }
        case .uplink(let name, let topic):
            let place = try self.place(of: name, in: routes)
            let explanation: UplinkExplanation
            do throws(Explanation.Failure) {
                explanation = try UplinkExplanation(
                    uplink: place,
                    topic: topic,
                    registry: registry,
                    routes: routes
                )
            } catch {
                throw CommandFailure(.usage, "\(Printable.text(topic)): \(error)")
            }
            try self.show(explanation, explanation.lines)
            guard explanation.taken else { throw CommandFailure(.no) }
        }
    }

    private func show(_ explanation: some Encodable, _ lines: [String]) throws {
        if self.json {
            try Output.json(explanation)
        } else {
            for line in lines { Output.line(line) }
        }
    }

    private func place(of uplink: String, in routes: RouteTable) throws(CommandFailure) -> Int {
        if let place = routes.uplinks.firstIndex(of: uplink) { return place }
        let nearest = NearestName.find(uplink, among: routes.uplinks).map { "; did you mean \"\($0)\"?" } ?? ""
        throw CommandFailure(.usage, "gateway.conf has no uplink \(Printable.text(uplink))\(nearest)")
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
