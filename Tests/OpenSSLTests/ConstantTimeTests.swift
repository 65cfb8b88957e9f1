import OpenSSL
import Testing

@Suite struct ConstantTimeTests {
    @Test("finds equal bytes equal", arguments: [[], [0], [1, 2, 3], [UInt8](repeating: 7, count: 100)])
    func equal(bytes: [UInt8]) {
        #expect(ConstantTime.equal(bytes, bytes))
    }

    @Test(
        "tells any difference, length included",
        arguments: [([1, 2, 3], [1, 2, 4]), ([1, 2, 3], [0, 2, 3]), ([1, 2, 3], [1, 2]), ([], [0]), ([1], [])]
    )
    func different(a: [UInt8], b: [UInt8]) {
        #expect(!ConstantTime.equal(a, b))
        #expect(!ConstantTime.equal(b, a))
    }
}
