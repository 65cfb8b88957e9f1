import MQTTCodec
import NIOCore
import Testing

/// Bytes of flags and codes, in all 256 values, against the standard's tables.
@Suite("Every value of a byte")
struct EveryByteTests {
    private func result(_ firstByte: UInt8, _ body: String, _ version: MQTTVersion) -> MQTTDecodeError.Kind? {
        do throws(MQTTDecodeError) {
            _ = try MQTTPacket(frame: MQTTFrame(firstByte: firstByte, body: wire(body)), version: version)
            return nil
        } catch {
            return error.kind
        }
    }

    /// Two digits.
    private func hex(_ value: UInt8) -> String {
        let digits = String(value, radix: 16)
        return digits.count == 1 ? "0\(digits)" : digits
    }

    @Test("Connect Flags (§3.1.2.3)", arguments: MQTTVersion.allCases)
    func connectFlags(version: MQTTVersion) {
        for flags in UInt8.min...UInt8.max {
            let hasWill = flags & 0b100 != 0
            let hasName = flags & 0x80 != 0
            let hasPassword = flags & 0x40 != 0
            let start = version == .v31 ? "0006'MQIsdp'" : "0004'MQTT'"
            let properties = version == .v5 ? "00" : ""
            var body = "\(start) 0\(version.rawValue) \(self.hex(flags)) 0000 \(properties) 0001'n'"
            if hasWill { body += "\(properties) 0001'w' 0000" }
            if hasName { body += "0001'u'" }
            if hasPassword { body += "0001'p'" }
            let expected: MQTTDecodeError.Kind?
            if flags & 1 != 0, version != .v31 {
                expected = .reservedBits(1)
            } else if flags & 0b11000 == 0b11000 {
                expected = .invalidQoS(3)
            } else if !hasWill, flags & 0b111000 != 0 {
                expected = .willFlagsWithoutWill
            } else if hasPassword, !hasName, version != .v5 {
                expected = .passwordWithoutUserName
            } else {
                expected = nil
            }
            #expect(self.result(0x10, body, version) == expected, "\(flags)")
        }
    }

    @Test("Protocol Level (§3.1.2.2), with a bridge's bit 7")
    func protocolLevels() {
        for level in UInt8.min...UInt8.max {
            let isKnown = level == 4 || level == 0x84
            let body = "0004'MQTT' \(self.hex(level)) 02 0000 0001'n'"
            guard level != 5 else { continue }
            #expect(self.result(0x10, body, .v311) == (isKnown ? nil : .unsupportedProtocolLevel(level)))
            let isOld = level == 3 || level == 0x83
            let old = "0006'MQIsdp' \(self.hex(level)) 02 0000 0001'n'"
            #expect(self.result(0x10, old, .v311) == (isOld ? nil : .unsupportedProtocolLevel(level)))
        }
        #expect(self.result(0x10, "0004'MQTT' 05 02 0000 00 0001'n'", .v311) == nil)
        #expect(self.result(0x10, "0006'MQIsdp' 05 02 0000 00 0001'n'", .v311) == .unsupportedProtocolLevel(5))
    }

    @Test("Connect Acknowledge Flags and Return Code (§3.2.2)")
    func connack() {
        for value in UInt8.min...UInt8.max {
            let flags: MQTTDecodeError.Kind? = value <= 1 ? nil : .reservedBits(value)
            #expect(self.result(0x20, "\(self.hex(value)) 00", .v311) == flags)
            #expect(self.result(0x20, "\(self.hex(value)) 00 00", .v5) == flags)
            let code: MQTTDecodeError.Kind? = value <= 5 ? nil : .invalidReasonCode(value)
            #expect(self.result(0x20, "00 \(self.hex(value))", .v311) == code)
            let present = code ?? (value == 0 ? nil : .sessionPresentWithFailure)
            #expect(self.result(0x20, "01 \(self.hex(value))", .v311) == present)
        }
    }

    @Test("Subscription Options (§3.8.3.1)")
    func subscriptionOptions() {
        for options in UInt8.min...UInt8.max {
            let older: MQTTDecodeError.Kind?
            if options & 0b1111_1100 != 0 {
                older = .reservedBits(options & 0b1111_1100)
            } else {
                older = options == 3 ? .invalidValue(3) : nil
            }
            #expect(self.result(0x82, "0001 0001'a' \(self.hex(options))", .v311) == older, "\(options)")
            for filter in ["0001'a'", "000A'$share/g/a'"] {
                let kind: MQTTDecodeError.Kind?
                if options & 0b1100_0000 != 0 {
                    kind = .reservedBits(options & 0b1100_0000)
                } else if options & 0b11 == 0b11 || options & 0b11_0000 == 0b11_0000 {
                    kind = .invalidValue(3)
                } else {
                    kind = options & 0b100 != 0 && filter.contains("share") ? .noLocalOnSharedSubscription : nil
                }
                #expect(self.result(0x82, "0001 00 \(filter) \(self.hex(options))", .v5) == kind, "\(options)")
            }
        }
    }

    /// Table 2-6 by packet.
    private static let codes: [(name: String, firstByte: UInt8, before: String, after: String, allowed: Set<UInt8>)] = [
        (
            "CONNACK", 0x20, "00", "00",
            [
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
                0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ]
        ),
        ("PUBACK", 0x40, "0001", "", [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
        ("PUBREC", 0x50, "0001", "00", [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
        ("PUBREL", 0x62, "0001", "", [0x00, 0x92]),
        ("PUBCOMP", 0x70, "0001", "00", [0x00, 0x92]),
        (
            "SUBACK", 0x90, "0001 00", "01",
            [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2]
        ),
        ("UNSUBACK", 0xB0, "0001 00 00", "", [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        (
            "DISCONNECT", 0xE0, "", "00",
            [
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
                0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ]
        ),
        ("AUTH", 0xF0, "", "04 150001'm'", [0x00, 0x18, 0x19]),
    ]

    @Test("Reason Codes are those that table 2-6 gives the packet", arguments: codes.indices)
    func reasonCodes(index: Int) {
        let (name, firstByte, before, after, allowed) = Self.codes[index]
        for code in UInt8.min...UInt8.max {
            let kind = self.result(firstByte, "\(before) \(self.hex(code)) \(after)", .v5)
            #expect(kind == (allowed.contains(code) ? nil : .invalidReasonCode(code)), "\(name) \(code)")
        }
    }

    @Test("return codes of MQTT 3.1.1's SUBACK (§3.9.3 of 3.1.1)")
    func subackCodes() {
        for code in UInt8.min...UInt8.max {
            let isGood = code <= 2 || code == 0x80
            let kind = self.result(0x90, "0001 \(self.hex(code))", .v311)
            #expect(kind == (isGood ? nil : .invalidReasonCode(code)))
        }
    }

    @Test("first bytes: type, and flags of each (§2.1.3)", arguments: MQTTVersion.allCases)
    func firstBytes(version: MQTTVersion) {
        for first in UInt8.min...UInt8.max where first >> 4 != 3 {
            let kind = self.result(first, "", version)
            let flags = first & 0x0F
            switch first >> 4 {
            case 0: #expect(kind == .reservedPacketType(0))
            case 15 where version != .v5: #expect(kind == .reservedPacketType(15))
            case 6, 8, 10:
                let isGood = flags == 2 || (version == .v31 && flags == 0b1010)
                #expect((kind == .reservedBits(flags)) == !isGood)
            default: #expect((kind == .reservedBits(flags)) == (flags != 0))
            }
        }
    }
}
