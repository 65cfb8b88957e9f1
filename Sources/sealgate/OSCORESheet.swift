import Devices
import Gateway
import Sealing

/// What a node needs for OSCORE, its secrets included: to be shown only when it was asked for.
struct OSCORESheet {
    private let device: DeviceID
    private let context: ImportedOSCORE
    private let isDerived: Bool

    /// The imported context of a device, or the one that is derived for it.
    init(_ device: Device, _ keys: @autoclosure () throws -> KeyHierarchy) throws {
        self.device = device.id
        self.isDerived = device.oscore == nil
        if let imported = device.oscore {
            self.context = imported
        } else {
            let secret = try keys().deviceSecret(device: device.id.text, epoch: device.epoch)
            self.context = try ImportedOSCORE(
                secret: secret.key(.oscoreSecret),
                salt: secret.key(.oscoreSalt),
                senderID: secret.key(.oscoreID),
                recipientID: DeviceSecret.oscoreGatewayID
            )
        }
    }

    // MARK: For people

    /// Lines without comment signs.
    var lines: [String] {
        let origin = self.isDerived ? "derived from the master key" : "imported"
        var lines = ["OSCORE (RFC 8613) of device \(self.device), \(origin):"]
        lines.append("  sender ID     \(self.hex(self.context.senderID))")
        lines.append("  recipient ID  \(self.hex(self.context.recipientID))")
        if let idContext = self.context.idContext { lines.append("  ID context    \(self.hex(idContext))") }
        lines.append("  secret        \(self.hex(self.context.secret))")
        lines.append("  salt          \(self.hex(self.context.salt))")
        let algorithm = self.context.algorithm
        lines.append("  algorithm     \(algorithm.name) (\(algorithm.rawValue)), HKDF-SHA-256")
        lines.append("For libcoap, a file for coap-client -E FILE,SEQUENCE-FILE; IDs are as the node sees them:")
        lines += self.libcoap.map { "  \($0)" }
        return lines
    }

    private func hex(_ bytes: [UInt8]) -> String { bytes.isEmpty ? "(empty)" : Hexadecimal.encode(bytes) }

    /// The configuration file of libcoap's OSCORE.
    private var libcoap: [String] {
        func line(_ name: String, _ bytes: [UInt8]?) -> [String] {
            bytes.map { ["\(name),hex,\"\(Hexadecimal.encode($0))\""] } ?? []
        }
        return line("master_secret", self.context.secret)
            + line("master_salt", self.context.salt.isEmpty ? nil : self.context.salt)
            + line("sender_id", self.context.senderID) + line("recipient_id", self.context.recipientID)
            + line("id_context", self.context.idContext)
            + ["aead_alg,integer,\(self.context.algorithm.rawValue)", "hkdf_alg,integer,-10"]
    }

    // MARK: For programs

    /// The settings.json of aiocoap.
    struct Machine: Encodable {
        let algorithm: String
        let hash = "sha256"
        let senderID: String
        let recipientID: String
        let idContext: String?
        let secret: String
        let salt: String
        let window = 32

        private enum CodingKeys: String, CodingKey {
            case algorithm, window
            case hash = "kdf-hashfun"
            case senderID = "sender-id_hex"
            case recipientID = "recipient-id_hex"
            case idContext = "id-context_hex"
            case secret = "secret_hex"
            case salt = "salt_hex"
        }
    }

    var machine: Machine {
        Machine(
            algorithm: self.context.algorithm.name,
            senderID: Hexadecimal.encode(self.context.senderID),
            recipientID: Hexadecimal.encode(self.context.recipientID),
            idContext: self.context.idContext.map { Hexadecimal.encode($0) },
            secret: Hexadecimal.encode(self.context.secret),
            salt: Hexadecimal.encode(self.context.salt)
        )
    }
}
