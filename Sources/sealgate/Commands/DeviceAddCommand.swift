import ArgumentParser
import Devices
import Foundation
import Gateway
import OpenSSL
import Sealing
import Store

struct DeviceAddCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a device, and show once what its node needs.",
        discussion: """
            For a sealed device keys are made, unless --keys or --keys-of says that its node has some, and printed this \
            once as a key file with the node's topics in comments:

              umask 077
              sealgate device add kitchen --profile sensor > kitchen.keys

            A node that proves itself by TLS, or over CoAP by DTLS, with a pre-shared key (protocol "mqtts" or "coaps", \
            psk = true):

              sealgate device add hall --profile tls --psk

            A node that speaks CoAP with OSCORE, whose context is derived as the key above is; show it again with \
            "device show yard --oscore":

              sealgate device add yard --profile plain --oscore

            A node that has keys already, and a second one that shares them and writes another node id:

              sealgate device add attic-1 --profile article --keys article.keys
              sealgate device add attic-2 --profile article --keys-of attic-1 \\
                --node-id 11242239
            """
    )

    @Argument(help: "1 to 64 of A-Z a-z 0-9 . _ -; it stands for %d in topics.", transform: DeviceID.argument)
    var id: DeviceID

    @Option(help: ArgumentHelp("The [profile.NAME] of gateway.conf that says what it may do.", valueName: "name"))
    var profile: String?

    @Option(help: ArgumentHelp("How its messages are sealed, if not as the profile says.", valueName: "form"))
    var seal: SealChoice?

    @Option(
        name: .customLong("node-id"),
        help: ArgumentHelp(
            "What the node writes inside its sealed messages. (default: the device's id)",
            valueName: "text"
        )
    )
    var nodeID: String?

    @Option(
        help: ArgumentHelp("Take its keys from this key file: the entry of its id, or the only one.", valueName: "file")
    )
    var keys: String?

    @Option(
        name: .customLong("keys-of"),
        help: ArgumentHelp("Its node has the keys of this device; needs --node-id.", valueName: "device"),
        transform: DeviceID.argument
    )
    var keysOf: DeviceID?

    @Flag(help: "Show its identity and key for TLS-PSK and DTLS-PSK too.")
    var psk = false

    @Option(
        name: .customLong("psk-file"),
        help: ArgumentHelp(
            "Its node has this key for TLS-PSK and DTLS-PSK: a file with hex:…, base64:… or utf8:….",
            valueName: "file"
        )
    )
    var pskFile: String?

    @Flag(help: "Show its OSCORE context too.")
    var oscore = false

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    /// Bytes of a pre-shared key below which it can be guessed by trying.
    private static let shortPSKBytes = 16

    func validate() throws {
        if self.keys != nil, self.keysOf != nil {
            throw ValidationError("--keys and --keys-of are two answers to one question.")
        }
        if self.psk, self.pskFile != nil {
            throw ValidationError("--psk shows a key that is made here, --psk-file takes one.")
        }
        if self.keysOf != nil, self.nodeID == nil {
            throw ValidationError("--keys-of needs --node-id: it alone tells devices with the same keys apart.")
        }
        if self.keysOf != nil, self.seal == SealChoice.none {
            throw ValidationError("--keys-of is for seal v1, not for none.")
        }
    }

    func run() throws {
        let files = try GatewayFiles(self.file)
        let existing = try files.devices()
        var all = Dictionary(existing.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        guard all[self.id] == nil else {
            throw CommandFailure(
                .no,
                "there is a device \(self.id) already. Choose another id, or remove that one first"
            )
        }
        let rules = DeviceRules(configuration: files.configuration)
        let (device, isMade) = try self.makeDevice(rules, files, all)
        all[self.id] = device
        if let (id, problem) = rules.problems(of: [self.id], among: all).first {
            throw CommandFailure(problem.status, "device \(id): \(problem.message)")
        }

        let store = try files.openStore()
        defer { store.close() }
        // The master key first: the gateway looks for it when it sees the device.
        let derived = self.psk || self.oscore ? try store.keyHierarchy() : nil
        try store.insert(device)

        var shown = device
        if !isMade { shown.v1Keys = nil }
        let sheet = NodeSheet(
            shown,
            seal: rules.seal(of: device),
            psk: self.psk
                ? derived?.deviceSecret(device: device.id.text, epoch: device.epoch).key(.tlsPSK) : nil,
            oscore: self.oscore ? try derived.map { try OSCORESheet(device, $0) } : nil,
            configuration: files.configuration,
            registry: files.registry(of: Array(all.values))
        )
        do {
            try self.show(sheet)
        } catch {
            // Nobody has seen the keys, and nobody will: they must not keep the id.
            try? store.remove(device.id)
            throw error
        }
        self.warn(of: sheet, files.configuration)
        Output.error("device \(self.id) is added; in force within one second")
    }

    /// The device as the options say, and whether its keys were made just now.
    private func makeDevice(
        _ rules: DeviceRules,
        _ files: GatewayFiles,
        _ all: [DeviceID: Device]
    ) throws -> (device: Device, isMade: Bool) {
        let entry = try self.keys.map { try self.entry(in: $0) }
        guard let profile = self.profile ?? entry?.profile else {
            throw CommandFailure(.usage, "a device needs a profile: give --profile")
        }
        var device = Device(id: self.id, profile: profile, created: Int64(Date().timeIntervalSince1970))
        device.seal = self.seal?.form ?? entry?.seal
        device.password = entry?.password
        device.psk = try self.pskFile.map { try self.preSharedKey(in: $0) } ?? entry?.psk
        if self.psk, device.psk != nil {
            throw CommandFailure(.usage, "--psk shows a key that is made here, and \(self.keys ?? "the file") has one")
        }
        device.oscore = entry?.oscore
        if self.oscore, device.oscore != nil {
            let path = self.keys ?? "the file"
            throw CommandFailure(.usage, "--oscore shows a context that is made here, and \(path) has one")
        }
        // An unknown profile is told before whatever follows from it.
        guard files.configuration.profiles[profile] != nil else { return (device, false) }
        guard rules.seal(of: device) == .v1 else {
            if self.keysOf != nil || self.nodeID != nil {
                throw CommandFailure(.usage, "--keys-of and --node-id are for seal v1, and profile \(profile) has none")
            }
            if let keys = self.keys, entry?.v1Keys != nil || entry?.keysOf != nil {
                throw CommandFailure(.usage, "\(keys) has keys of seal v1, and profile \(profile) has seal none")
            }
            return (device, false)
        }
        device.nodeID = self.nodeID ?? entry?.nodeID ?? self.id.text
        if let entry {
            device.v1Keys = entry.v1Keys
            device.keysOf = entry.keysOf
        } else if let keysOf {
            guard let owner = all[keysOf] else { throw files.noDevice(keysOf, among: Array(all.values)) }
            // Of a device that shares keys itself, those of their owner.
            device.keysOf = owner.keysOf ?? owner.id
        } else {
            device.v1Keys = .random()
            return (device, true)
        }
        return (device, false)
    }

    private func entry(in path: String) throws -> KeyFileEntry {
        let entries = try KeyFile.load(path)
        if let entry = entries.first(where: { $0.id == self.id }) { return entry }
        guard entries.count == 1, let entry = entries.first else {
            throw CommandFailure(.usage, "\(path) has \(entries.count) devices, none of them \(self.id)")
        }
        return entry
    }

    private func preSharedKey(in path: String) throws -> [UInt8] {
        let key = try SecretFile.loadSecret(path: path)
        guard key.count <= TLSPreSharedKey.maxKeyBytes else {
            throw CommandFailure(
                .usage,
                "the key in \(path) has \(key.count) bytes; TLS takes \(TLSPreSharedKey.maxKeyBytes) at most"
            )
        }
        if key.count < Self.shortPSKBytes {
            Output.error(
                "sealgate: the key in \(path) has \(key.count) bytes only; \(Self.shortPSKBytes) random ones can't be guessed"
            )
        }
        return key
    }

    private func show(_ sheet: NodeSheet) throws {
        if self.json {
            try Output.json(sheet.machine)
        } else if sheet.hasSecrets {
            try Output.raw(sheet.text)
        } else {
            let head = "device \(self.id): profile \(sheet.device.profile), seal \(sheet.seal.rawValue)"
            try Output.raw(([head] + sheet.topicLines).joined(separator: "\n") + "\n")
        }
    }

    /// Says what the device lacks to be of use.
    private func warn(of sheet: NodeSheet, _ configuration: GatewayConfiguration) {
        let device = sheet.device
        let hasOSCORE = self.oscore || device.oscore != nil
        let isProvable =
            sheet.seal != .none || self.psk || hasOSCORE || device.psk != nil || device.password != nil
        if !isProvable, configuration.profiles[device.profile]?.plaintext == false {
            Output.error(
                "sealgate: nothing proves this device yet: it needs --psk, --psk-file or --oscore, a password (sealgate device password \(self.id)), "
                    + "or a client certificate with the CN \(self.id)"
            )
        }
        if self.psk || device.psk != nil, configuration.profiles[device.profile]?.plaintext == true {
            Output.error(
                "warning: profile \(device.profile) has plaintext = true: "
                    + "anyone on an anonymous listener can speak as \(self.id) without this key"
            )
        }
        if self.psk || device.psk != nil, !configuration.listeners.contains(where: \.psk) {
            Output.error("sealgate: no listener of \(configuration.file) has psk = true: nobody can use this key yet")
        }
        if hasOSCORE, !configuration.listeners.contains(where: { $0.isCoAP && $0.oscore }) {
            Output.error("sealgate: \(configuration.file) has no CoAP listener: nobody can use this OSCORE context yet")
        }
    }
}
