/// Where a client's certificate carries the name that it proves.
package enum TLSClientName: Sendable, Equatable {
    /// The subject's one common name.
    case commonName
    /// The one name of the subjectAltName extension that is a dNSName, or a URI that begins with `uriPrefix` and goes on
    /// with the name. Bytes are compared as they are.
    case alternativeName(uriPrefix: String)
}

extension X509Certificate {
    /// The name that the certificate proves; nil if it has none, several, or one that can't be read: then it proves nobody.
    func clientName(_ source: TLSClientName) -> String? {
        switch source {
        case .commonName: return self.commonName
        case .alternativeName(let uriPrefix):
            let names = self.alternativeNames
            let prefix = Array(uriPrefix.utf8)
            let uris = names.uris.filter { $0.utf8.starts(with: prefix) }
            let candidates = names.dns + uris.map { String(decoding: $0.utf8.dropFirst(prefix.count), as: UTF8.self) }
            guard !names.hasUnreadable, candidates.count == 1 else { return nil }
            return candidates[0]
        }
    }
}
