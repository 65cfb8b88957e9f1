import ArgumentParser
import Devices
import Foundation
import Gateway
import OpenSSL
import Store

struct DevicePasswordCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "password",
        abstract: "Set, make or take away a device's password.",
        discussion: """
            With it a client proves that it is the device: its user name is the device's id. That needs a listener with \
            password = true, and is for clients that can do nothing better, such as Home Assistant or Node-RED; for a node \
            a pre-shared key is.

            The password is asked for twice, without showing it; if standard input is no terminal, its first line is \
            taken. It has 8 to 128 bytes of text. Only a salted hash (scrypt) is stored. Open connections of the device \
            are closed.

              sealgate device add hass --profile service
              sealgate device password hass
              sealgate device password hass --generate > hass.password
            """
    )

    @Argument(help: "The device.", transform: DeviceID.argument)
    var id: DeviceID

    @Flag(help: "Make a new random password and print it, this once.")
    var generate = false

    @Flag(help: "Take its password away.")
    var remove = false

    @Flag(help: "One JSON object on standard output.")
    var json = false

    @OptionGroup var file: ConfigurationOption

    /// What happened, for programs.
    private struct Result: Encodable {
        let id: String
        /// Whether the device has a password now.
        let password: Bool
        /// The new password, if it was made here.
        let generated: String?
    }

    func validate() throws {
        if self.generate, self.remove { throw ValidationError("--generate and --remove are opposites.") }
    }

    func run() throws {
        let files = try GatewayFiles(self.file)
        guard let store = try files.openExistingStore(.command) else { throw files.noDevice(self.id, among: []) }
        defer { store.close() }
        let records = try store.deviceRecords()
        guard let record = records.first(where: { $0.device.id == self.id }) else {
            throw files.noDevice(self.id, among: records.map(\.device))
        }
        if self.remove {
            try store.setPassword(nil, of: self.id)
            return try self.report(
                Result(id: self.id.text, password: false, generated: nil),
                record.hasPassword ? "has no password any more; in force within one second" : "had no password"
            )
        }
        let password = self.generate ? Self.random() : try self.ask()
        // The master key may be missing: better now than after the password is printed.
        let former = try store.device(self.id)?.password
        try store.setPassword(try PasswordHash.make(of: password), of: self.id)
        let generated = self.generate ? String(decoding: password, as: UTF8.self) : nil
        do {
            if let generated, !self.json { try Output.raw(generated + "\n") }
            try self.report(
                Result(id: self.id.text, password: true, generated: generated),
                "has \(record.hasPassword ? "another" : "a") password; in force within one second"
            )
        } catch {
            // Nobody has seen it, and nobody will.
            try? store.setPassword(former, of: self.id)
            throw error
        }
        if record.device.isRevoked {
            Output.error("sealgate: device \(self.id) is revoked: its password opens nothing")
        }
        if !files.configuration.listeners.contains(where: \.password) {
            let name = files.configuration.file
            Output.error("sealgate: no listener of \(name) has password = true: nobody can use a password yet")
        }
    }

    private func report(_ result: Result, _ text: String) throws {
        if self.json { return try Output.json(result) }
        let line = "device \(self.id) \(text)"
        // Beside a password on standard output there is nothing else.
        if self.generate { Output.error(line) } else { Output.line(line) }
    }

    /// 24 characters of `A-Z a-z 0-9 - _`: 144 bits.
    private static func random() -> [UInt8] {
        let text = Data(SecureRandom.bytes(count: 18)).base64EncodedString()
        return text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "+"): UInt8(ascii: "-")
            case UInt8(ascii: "/"): UInt8(ascii: "_")
            default: byte
            }
        }
    }

    private func ask() throws -> [UInt8] {
        let prompt = PasswordPrompt()
        let password = try prompt.read("New password of device \(self.id): ")
        if let problem = PasswordRules.problem(password) {
            throw CommandFailure(.usage, "the password \(problem)")
        }
        if prompt.isTerminal, try prompt.read("Once more: ") != password {
            throw CommandFailure(.usage, "the two are not the same; nothing was changed")
        }
        return password
    }
}
