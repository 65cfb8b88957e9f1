import NIOCore

/// The fields that RFC 8428 §4 defines, by their labels in JSON; the place in the list is no label.
enum SenMLLabel: String, CaseIterable, Sendable {
    case bver, bn, bt, bu, bv, bs, n, u, v, vs, vb, s, t, ut, vd

    /// By the label in CBOR (RFC 8428 §6).
    init?(cbor: Int64) {
        switch cbor {
        case -1: self = .bver
        case -2: self = .bn
        case -3: self = .bt
        case -4: self = .bu
        case -5: self = .bv
        case -6: self = .bs
        case 0: self = .n
        case 1: self = .u
        case 2: self = .v
        case 3: self = .vs
        case 4: self = .vb
        case 5: self = .s
        case 6: self = .t
        case 7: self = .ut
        case 8: self = .vd
        default: return nil
        }
    }

    /// A bit of its own.
    var bit: UInt16 { 1 << UInt16(Self.allCases.firstIndex(of: self) ?? 0) }
}

/// One record as it is written, nothing resolved.
struct SenMLFields {
    var version: SenMLNumber?
    var baseName: String?
    var baseTime: SenMLNumber?
    var baseUnit: String?
    var baseValue: SenMLNumber?
    var baseSum: SenMLNumber?
    var name: String?
    var unit: String?
    var value: SenMLNumber?
    var text: String?
    var bool: Bool?
    var data: ByteBuffer?
    var sum: SenMLNumber?
    var time: SenMLNumber?
    var updateTime: SenMLNumber?
    /// The record, from 1.
    var record: Int
    /// Where it begins, in bytes from the beginning of the pack.
    var offset: Int
    private var seen: UInt16 = 0

    init(record: Int, offset: Int) {
        self.record = record
        self.offset = offset
    }

    /// Notes that the record has this field; false if it had it before.
    mutating func insert(_ label: SenMLLabel) -> Bool {
        guard self.seen & label.bit == 0 else { return false }
        self.seen |= label.bit
        return true
    }
}

/// What reads one form of a pack.
protocol SenMLReader {
    /// The next record; `nil` at the end of the pack, behind which nothing was.
    mutating func next() throws(SenMLError) -> SenMLFields?
}

/// What is read at most.
enum SenMLLimits {
    /// Bytes of a pack.
    static let packBytes = 64 * 1024
    /// Bytes of a name, base name included, and of a unit.
    static let nameBytes = 256
    /// Bytes of the label of an extension.
    static let labelBytes = 64
    /// Levels of an extension's value.
    static let depth = 8
    /// Characters of a number in JSON; RFC 8428 §5.1 recommends fewer than 24.
    static let numberBytes = 64
    /// The newest version, and the default (RFC 8428 §4.4).
    static let version: Int64 = 10
}
