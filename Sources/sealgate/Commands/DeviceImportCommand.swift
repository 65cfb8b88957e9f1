import ArgumentParser
import Devices
import Foundation
import Gateway
import Store

struct DeviceImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Add all devices of a key file, with their keys.",
        discussion: """
            All or nothing: if one entry can't be used, no device is added, and each such entry is named. FILE is TOML \
            with mode 0600, one table a device; secrets are text, or "hex:…" where their bytes are not:

              [[device]]
              id         = "kitchen"
              profile    = "sensor"
              seal       = "v1"
              node_id    = "11242238"
              static_iv  = "hex:000102030405060708090a0b0c0d0e0f"
              iv_key     = "hex:…"
              data_key   = "hex:…"
              passphrase = "…"

            In place of the four secrets keys_of = "OTHER" says that its node has those of another device; psk = "…" is a \
            key for TLS-PSK; oscore_secret, oscore_sender_id and what belongs to them are an OSCORE context that its node has. \
            password_hash = "hex:…" is the hash of a password as "device export --secrets" writes it; a \
            device that is there already keeps its password if its entry has none. "device password" sets one.

              sealgate device import nodes.keys
            """
    )

    @Argument(help: ArgumentHelp("A key file; - for standard input.", valueName: "file"))
    var path: String

    @Option(help: ArgumentHelp("The profile of devices whose entry names none.", valueName: "name"))
    var profile: String?

    @Flag(help: "Replace devices that are there already. One that is revoked stays so.")
    var replace = false

    @OptionGroup var file: ConfigurationOption

    /// Most entries that are named one by one.
    private static let maxPrinted = 10

    private struct Plan {
        /// With the passwords of their entries alone: the store knows the others, which may have changed meanwhile.
        var changed: [Device] = []
        var added = 0
        var withPassword = 0
        var unchanged = 0
        var revoked: [DeviceID] = []
        var problems: [(line: Int, id: DeviceID, problem: DeviceRules.Problem)] = []
    }

    func run() throws {
        let files = try GatewayFiles(self.file)
        let entries = try KeyFile.load(self.path)
        let existing = try files.devices()
        let plan = self.plan(entries, existing, DeviceRules(configuration: files.configuration))
        try self.report(plan.problems)
        if !plan.changed.isEmpty {
            let store = try files.openStore()
            defer { store.close() }
            if self.replace {
                try store.put(plan.changed)
            } else {
                try store.insert(plan.changed)
            }
        }
        let replaced = plan.changed.count - plan.added
        var counts = ["\(plan.added) added"]
        if replaced > 0 { counts.append("\(replaced) replaced") }
        if plan.withPassword > 0 { counts.append("\(plan.withPassword) with a password") }
        if plan.unchanged > 0 { counts.append("\(plan.unchanged) as they were") }
        let when = plan.changed.isEmpty ? "" : "; in force within one second"
        Output.line("devices: \(counts.joined(separator: ", "))\(when)")
        if !plan.revoked.isEmpty {
            Output.error("still revoked: \(plan.revoked.map(\.text).joined(separator: ", "))")
        }
    }

    /// What is to be stored, and what speaks against it.
    private func plan(_ entries: [KeyFileEntry], _ existing: [Device], _ rules: DeviceRules) -> Plan {
        var plan = Plan()
        var all = Dictionary(existing.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let old = all
        let lines = Dictionary(entries.map { ($0.id, $0.line) }, uniquingKeysWith: { first, _ in first })
        func refuse(_ id: DeviceID, _ status: CommandFailure.Status, _ message: String) {
            plan.problems.append((lines[id] ?? 0, id, DeviceRules.Problem(status: status, message: message)))
        }
        let now = Int64(Date().timeIntervalSince1970)
        var ids: [DeviceID] = []
        for entry in entries {
            guard let profile = entry.profile ?? self.profile else {
                refuse(entry.id, .usage, "it has no profile; write one, or give --profile")
                continue
            }
            var device = Device(id: entry.id, profile: profile, seal: entry.seal, nodeID: entry.nodeID, created: now)
            device.v1Keys = entry.v1Keys
            device.keysOf = entry.keysOf
            device.psk = entry.psk
            device.oscore = entry.oscore
            device.password = entry.password
            if rules.seal(of: device) == .v1, device.nodeID == nil { device.nodeID = entry.id.text }
            if let former = old[entry.id] {
                guard self.replace else {
                    refuse(entry.id, .no, "it is there already; --replace replaces it")
                    continue
                }
                device.epoch = former.epoch
                device.isRevoked = former.isRevoked
                device.created = former.created
                device.password = entry.password ?? former.password
                if device.isRevoked { plan.revoked.append(device.id) }
            }
            all[entry.id] = device
            ids.append(entry.id)
            if device == old[entry.id] {
                plan.unchanged += 1
            } else {
                if old[entry.id] == nil { plan.added += 1 }
                if device.password != nil { plan.withPassword += 1 }
                device.password = entry.password
                plan.changed.append(device)
            }
        }
        for (id, problem) in rules.problems(of: ids, among: all) {
            plan.problems.append((lines[id] ?? 0, id, problem))
        }
        plan.problems.sort { $0.line < $1.line }
        return plan
    }

    private func report(_ problems: [(line: Int, id: DeviceID, problem: DeviceRules.Problem)]) throws {
        guard !problems.isEmpty else { return }
        let name = self.path == "-" ? "standard input" : self.path
        for (line, id, problem) in problems.prefix(Self.maxPrinted) {
            Output.error("\(name):\(line): device \(id): \(problem.message)")
        }
        if problems.count > Self.maxPrinted { Output.error("and \(problems.count - Self.maxPrinted) more") }
        let isUsage = problems.contains { $0.problem.status == .usage }
        throw CommandFailure(isUsage ? .usage : .no, "nothing was imported")
    }
}
