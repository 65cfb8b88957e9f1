import OpenSSL
import Testing

@Suite struct SecureRandomTests {
    @Test("gives as many bytes as asked for, and others each time", arguments: [0, 1, 16, 4096])
    func counts(count: Int) {
        let first = SecureRandom.bytes(count: count)
        #expect(first.count == count)
        if count >= 16 { #expect(first != SecureRandom.bytes(count: count)) }
    }

    @Test("leaves no byte at the same value in a hundred draws")
    func varies() {
        let draws = (0..<100).map { _ in SecureRandom.bytes(count: 32) }
        for position in 0..<32 { #expect(Set(draws.map { $0[position] }).count > 20) }
    }
}
