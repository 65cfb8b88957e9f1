import OpenSSL
import TestSupport
import Testing

@testable import Sealing

@Suite struct KeyHierarchyTests {
    static let hierarchy = KeyHierarchy(master: MasterKey.random())

    @Test("derives the keys of the vectors", arguments: SealedVectors.all.kdf)
    func derivation(vector: SealedVectors.KeyDerivation) throws {
        let hierarchy = KeyHierarchy(master: try #require(MasterKey(vector.master)))
        let secret = hierarchy.deviceSecret(device: vector.device, epoch: vector.epoch)
        var keys = vector.keys
        #expect(secret.withBytes { $0 } == keys.removeValue(forKey: "device_secret"))
        keys["wrap key"] = nil
        #expect(keys.count == 9)
        for (name, key) in keys {
            let purpose = try #require(DeviceSecret.Purpose(rawValue: name), "\(name)")
            #expect(secret.key(purpose, count: key.count) == key, "\(name)")
            if purpose.fixedBytes != nil { #expect(secret.key(purpose) == key) }
        }
    }

    @Test("opens what an independent AES-256-GCM wrapped with the vectors' wrap key", arguments: SealedVectors.all.kdf)
    func wrapKey(vector: SealedVectors.KeyDerivation) throws {
        let wrapKey = try #require(vector.keys["wrap key"])
        let nonce = [UInt8](repeating: 9, count: 12)
        let sealed = AEAD.aes256GCM.seal([1, 2, 3], key: wrapKey, nonce: nonce, aad: Array(vector.device.utf8))
        let hierarchy = KeyHierarchy(master: try #require(MasterKey(vector.master)))
        #expect(hierarchy.unwrap(nonce + sealed, device: vector.device) == [1, 2, 3])
    }

    @Test("wraps to other bytes each time, and unwraps them for the same device only")
    func wrapping() {
        let secret = Array("passphrase".utf8)
        let wrapped = Self.hierarchy.wrap(secret, device: "kitchen")
        #expect(wrapped.count == secret.count + 28)
        #expect(wrapped != Self.hierarchy.wrap(secret, device: "kitchen"))
        #expect(Self.hierarchy.unwrap(wrapped, device: "kitchen") == secret)
        #expect(Self.hierarchy.unwrap(wrapped, device: "kitchen2") == nil)
        #expect(KeyHierarchy(master: .random()).unwrap(wrapped, device: "kitchen") == nil)
    }

    @Test("refuses damaged and cut wrappings")
    func damage() {
        let wrapped = Self.hierarchy.wrap([1, 2, 3], device: "d")
        for index in wrapped.indices {
            var changed = wrapped
            changed[index] ^= 0x80
            #expect(Self.hierarchy.unwrap(changed, device: "d") == nil)
            #expect(Self.hierarchy.unwrap(Array(wrapped.prefix(index)), device: "d") == nil)
        }
    }

    @Test("gives each device and each epoch a secret of its own")
    func separation() {
        let secrets = [("a", 0), ("a", 1), ("a", 256), ("b", 0), ("ab", 0)].map { device, epoch in
            Self.hierarchy.deviceSecret(device: device, epoch: UInt32(epoch)).key(.tlsPSK)
        }
        #expect(Set(secrets).count == secrets.count)
    }

    @Test("shows nothing of its secrets")
    func redacted() {
        var dumped = ""
        let secret = Self.hierarchy.deviceSecret(device: "d", epoch: 0)
        dump(secret, to: &dumped)
        dump(MasterKey.random(), to: &dumped)
        dump(Self.hierarchy, to: &dumped)
        #expect(!dumped.contains("bytes") && !dumped.contains(" - "))
    }
}
