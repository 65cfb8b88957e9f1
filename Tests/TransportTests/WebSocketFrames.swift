import NIOCore

/// Frames as clients send them, also such as no client may.
enum WebSocketFrames {
    static let binary: UInt8 = 0x82
    static let mask: [UInt8] = [0x5A, 0xC3, 0x01, 0xFE]

    /// - Parameters:
    ///   - first: FIN, reserved bits and opcode.
    ///   - lengthBytes: 0 for the shortest form, else 2 or 8.
    static func frame(_ first: UInt8, _ payload: [UInt8] = [], isMasked: Bool = true, lengthBytes: Int = 0) -> [UInt8] {
        var bytes = Self.header(first, payload.count, isMasked: isMasked, lengthBytes: lengthBytes)
        guard isMasked else { return bytes + payload }
        bytes += Self.mask
        return bytes + payload.enumerated().map { $1 ^ Self.mask[$0 % 4] }
    }

    /// The header without the masking key.
    static func header(_ first: UInt8, _ length: Int, isMasked: Bool = true, lengthBytes: Int = 0) -> [UInt8] {
        let bit: UInt8 = isMasked ? 0x80 : 0
        let size = lengthBytes > 0 ? lengthBytes : length <= 125 ? 0 : length <= 0xFFFF ? 2 : 8
        let digits = (0..<size).reversed().map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) }
        switch size {
        case 0: return [first, bit | UInt8(length)]
        case 2: return [first, bit | 126] + digits
        default: return [first, bit | 127] + digits
        }
    }

    /// A close frame of the gateway.
    static func closed(_ code: UInt16) -> [UInt8] {
        [0x88, 2, UInt8(code >> 8), UInt8(code & 0xFF)]
    }
}
