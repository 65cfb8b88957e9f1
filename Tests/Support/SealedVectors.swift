import Foundation

/// The test vectors of sealed payloads, from `Vectors/sealed.json`.
package struct SealedVectors: Decodable, Sendable {
    /// One payload of the v1 format.
    package struct V1: Decodable, Sendable, CustomStringConvertible {
        package let name: String
        package let staticIV: Hex
        package let ivKey: Hex
        package let dataKey: Hex
        package let passphrase: Hex
        package let nodeID: String
        package let sessionID: String
        package let payload: Hex
        package let opens: Bool
        package let iv: Hex?
        package let data: Hex?

        package var description: String { self.name }

        private enum CodingKeys: String, CodingKey {
            case name, passphrase, payload, opens, iv, data
            case staticIV = "static_iv"
            case ivKey = "iv_key"
            case dataKey = "data_key"
            case nodeID = "node_id"
            case sessionID = "session_id"
        }
    }

    /// Bytes that stand in the file as hex.
    package struct Hex: Decodable, Sendable {
        package let bytes: [UInt8]

        package init(from decoder: any Decoder) throws {
            self.bytes = hexBytes(try decoder.singleValueContainer().decode(String.self))
        }
    }

    package let v1: [V1]
    /// Keys derived from a master key: by name, with `master`, `device` and `epoch`; see ``KeyDerivation``.
    package let kdf: [KeyDerivation]

    /// One device's keys in one epoch.
    package struct KeyDerivation: Decodable, Sendable, CustomStringConvertible {
        package let master: [UInt8]
        package let device: String
        package let epoch: UInt32
        /// Every other entry, by its name in the file.
        package let keys: [String: [UInt8]]

        package var description: String { "\(self.device), epoch \(self.epoch)" }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Name.self)
            var keys: [String: [UInt8]] = [:]
            for name in container.allKeys where !["device", "epoch", "master"].contains(name.stringValue) {
                keys[name.stringValue] = try container.decode(Hex.self, forKey: name).bytes
            }
            self.keys = keys
            self.master = try container.decode(Hex.self, forKey: Name("master")).bytes
            self.device = try container.decode(String.self, forKey: Name("device"))
            self.epoch = try container.decode(UInt32.self, forKey: Name("epoch"))
        }

        private struct Name: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }

            init(_ name: String) { self.stringValue = name }
            init?(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }
    }

    /// All of them, read at first use.
    package static let all: SealedVectors = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors/sealed.json")
        do {
            return try JSONDecoder().decode(SealedVectors.self, from: Data(contentsOf: file))
        } catch {
            preconditionFailure("\(file.path()): \(error)")
        }
    }()
}
