/// The few things of CBOR (RFC 8949) that OSCORE's key derivation and associated data are made of, in their shortest form.
enum OSCOREEncoding {
    private enum MajorType: UInt8 { case unsigned = 0, bytes = 2, text = 3, array = 4 }

    static let null: [UInt8] = [0xF6]

    static func unsigned(_ value: Int) -> [UInt8] { self.head(.unsigned, value) }

    static func bytes(_ bytes: [UInt8]) -> [UInt8] { self.head(.bytes, bytes.count) + bytes }

    static func text(_ text: String) -> [UInt8] { self.head(.text, text.utf8.count) + text.utf8 }

    static func array(_ items: [UInt8]...) -> [UInt8] { self.head(.array, items.count) + items.joined() }

    /// Lengths and numbers here are our own: at most 65,535.
    private static func head(_ type: MajorType, _ value: Int) -> [UInt8] {
        let type = type.rawValue << 5
        switch value {
        case 0..<24: return [type | UInt8(value)]
        case 24..<256: return [type | 24, UInt8(value)]
        case 256..<65_536: return [type | 25, UInt8(value >> 8), UInt8(value & 0xFF)]
        default: preconditionFailure("\(value) in an OSCORE structure")
        }
    }
}
