internal import OpenSSL

/// The ciphers of all contexts on one event loop: a context has its keys alone. Made at first use.
package final class OSCOREWorkspace {
    /// By ``OSCOREAlgorithm/rawValue``, which are small.
    private var sealers: [AEADCipher?]
    private var openers: [AEADCipher?]

    package init() {
        let count = (OSCOREAlgorithm.allCases.map(\.rawValue).max() ?? 0) + 1
        self.sealers = Array(repeating: nil, count: count)
        self.openers = Array(repeating: nil, count: count)
    }

    func sealer(_ algorithm: OSCOREAlgorithm) -> AEADCipher {
        if let cipher = self.sealers[algorithm.rawValue] { return cipher }
        let cipher = AEADCipher(algorithm.aead, encrypts: true)
        self.sealers[algorithm.rawValue] = cipher
        return cipher
    }

    func opener(_ algorithm: OSCOREAlgorithm) -> AEADCipher {
        if let cipher = self.openers[algorithm.rawValue] { return cipher }
        let cipher = AEADCipher(algorithm.aead, encrypts: false)
        self.openers[algorithm.rawValue] = cipher
        return cipher
    }
}
