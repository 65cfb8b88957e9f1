import TestSupport
import Testing

@testable import Sealing

@Suite struct HexTests {
    @Test("writes and reads every byte")
    func everyByte() {
        let bytes = (0...255).map { UInt8($0) }
        let digits = Hex.encode(bytes)
        #expect(String(decoding: digits, as: UTF8.self) == hexText(bytes))
        #expect(decode(digits) == bytes)
        #expect(decode(Array(hexText(bytes).uppercased().utf8)) == bytes)
    }

    @Test("takes the 22 digits and no other character")
    func onlyDigits() {
        let digits = Set("0123456789abcdefABCDEF".utf8)
        let zero = UInt8(ascii: "0")
        for character in UInt8.min...UInt8.max {
            for count in [2, 8, 18] {
                for position in 0..<count {
                    var text = [UInt8](repeating: zero, count: count)
                    text[position] = character
                    #expect((decode(text) != nil) == digits.contains(character), "\(character) at \(position)")
                }
            }
        }
    }

    @Test("refuses an odd number of digits")
    func odd() {
        #expect(decode(Array("abc".utf8)) == nil)
        #expect(decode([]) == [])
    }

    private func decode(_ digits: [UInt8]) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0xEE, count: digits.count / 2)
        let isHex = bytes.withUnsafeMutableBytes { output in digits.withUnsafeBytes { Hex.decode($0, into: output) } }
        return isHex ? bytes : nil
    }
}
