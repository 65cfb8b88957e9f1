internal import OpenSSL

/// The ciphers of all contexts on one event loop: a context has its keys alone. Made at first use.
package final class OSCOREWorkspace {
    private var sealers: [OSCOREAlgorithm: AEADCipher] = [:]
    private var openers: [OSCOREAlgorithm: AEADCipher] = [:]

    package init() {}

    func sealer(_ algorithm: OSCOREAlgorithm) -> AEADCipher {
        if let cipher = self.sealers[algorithm] { return cipher }
        let cipher = AEADCipher(algorithm.aead, encrypts: true)
        self.sealers[algorithm] = cipher
        return cipher
    }

    func opener(_ algorithm: OSCOREAlgorithm) -> AEADCipher {
        if let cipher = self.openers[algorithm] { return cipher }
        let cipher = AEADCipher(algorithm.aead, encrypts: false)
        self.openers[algorithm] = cipher
        return cipher
    }
}
