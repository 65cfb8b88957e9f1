import Devices
import Sealing

/// OSCORE contexts in key files:
///
///     oscore_secret       = "hex:0102030405060708090a0b0c0d0e0f10"
///     oscore_salt         = "hex:9e7ca92223786340"
///     oscore_sender_id    = "hex:01"
///     oscore_recipient_id = "hex:00"
///     oscore_id_context   = "hex:37cbf3210017a2d3"
///     oscore_algorithm    = "AES-CCM-16-64-128"
///
/// The IDs are as the node sees them: its own is the sender's.
extension KeyFile {
    private static let contextKeys = [
        "oscore_secret", "oscore_salt", "oscore_sender_id", "oscore_recipient_id", "oscore_id_context",
        "oscore_algorithm",
    ]
    private static let requiredKeys = ["oscore_secret", "oscore_sender_id", "oscore_recipient_id"]

    /// All that is needed, or nothing.
    static func oscore(_ reader: ConfigurationReader) -> ImportedOSCORE? {
        let isThere = Self.contextKeys.contains(where: reader.has)
        let algorithm = Self.algorithm(reader)
        let ids = Array(0...(algorithm ?? .aesCCM16x64x128).maxIDBytes)
        let secret = Self.bytes(reader, "oscore_secret", allowed: Array(1...ImportedOSCORE.maxSecretBytes))
        let salt = Self.bytes(reader, "oscore_salt", allowed: Array(0...ImportedOSCORE.maxSecretBytes))
        let senderID = Self.bytes(reader, "oscore_sender_id", allowed: ids)
        let recipientID = Self.bytes(reader, "oscore_recipient_id", allowed: ids)
        let idContext = Self.bytes(reader, "oscore_id_context", allowed: Array(0...255))
        guard isThere else { return nil }
        for key in Self.requiredKeys where !reader.has(key) {
            reader.error(key, "missing; an OSCORE context needs \(Self.requiredKeys.joined(separator: ", "))")
        }
        guard !Self.contextKeys.contains(where: reader.hasFailed), let algorithm, let secret, let senderID,
            let recipientID
        else { return nil }
        do {
            return try ImportedOSCORE(
                secret: secret,
                salt: salt ?? [],
                senderID: senderID,
                recipientID: recipientID,
                idContext: idContext,
                algorithm: algorithm
            )
        } catch {
            switch error {
            case .equalIDs:
                return reader.refuse("oscore_recipient_id", "is oscore_sender_id too; the two have to differ")
            case .emptySecret, .idTooLong, .contextTooLong:
                return reader.refuse("oscore_secret", "makes no OSCORE context")
            }
        }
    }

    private static func algorithm(_ reader: ConfigurationReader) -> OSCOREAlgorithm? {
        guard let name = reader.string("oscore_algorithm") else {
            return reader.hasFailed("oscore_algorithm") ? nil : .aesCCM16x64x128
        }
        if let algorithm = OSCOREAlgorithm.allCases.first(where: { $0.name == name }) { return algorithm }
        let names = OSCOREAlgorithm.allCases.map { "\"\($0.name)\"" }.joined(separator: ", ")
        return reader.refuse("oscore_algorithm", "must be one of \(names)")
    }

    /// What ``oscore(_:)`` reads back.
    static func lines(of context: ImportedOSCORE) -> [String] {
        var lines = [Self.assignment("oscore_secret", Self.secret(context.secret))]
        if !context.salt.isEmpty { lines.append(Self.assignment("oscore_salt", Self.secret(context.salt))) }
        lines.append(Self.assignment("oscore_sender_id", Self.secret(context.senderID)))
        lines.append(Self.assignment("oscore_recipient_id", Self.secret(context.recipientID)))
        if let idContext = context.idContext {
            lines.append(Self.assignment("oscore_id_context", Self.secret(idContext)))
        }
        lines.append(Self.assignment("oscore_algorithm", Self.quoted(context.algorithm.name)))
        return lines
    }
}
