package import CoAPCodec
internal import NIOCore

/// A resource that a node hosts, and what of it is asked for (RFC 7252 §6).
package struct CoAPResource: Hashable, Sendable {
    /// Uri-Host; `nil` where the node is known by its address (RFC 7252 §6.4).
    package let host: String?
    /// Segments of the path, unescaped, each at most 255 bytes; none: the root.
    package let path: [String]
    /// Parts of the query, unescaped, each at most 255 bytes.
    package let queries: [String]
    /// The only content format that is taken; `nil`: any.
    package let accept: CoAPContentFormat?

    package init(host: String? = nil, path: [String], queries: [String] = [], accept: CoAPContentFormat? = nil) {
        self.host = host
        self.path = path
        self.queries = queries
        self.accept = accept
    }

    /// The options of a GET.
    ///
    /// - Parameters:
    ///   - observe: See ``CoAPObserve``.
    ///   - block2: The part of the representation that is asked for.
    ///   - echo: What the node has asked for (RFC 9175 §2.2.1).
    func options(observe: UInt32? = nil, block2: CoAPBlock? = nil, echo: ByteBuffer? = nil) -> CoAPOptions {
        var options = CoAPOptions()
        if let host = self.host { options.append(.uriHost, host) }
        if let observe { options.append(.observe, uint: observe) }
        for segment in self.path { options.append(.uriPath, segment) }
        for query in self.queries { options.append(.uriQuery, query) }
        if let accept = self.accept { options.append(.accept, uint: accept.rawValue) }
        if let block2 { options.append(.block2, uint: block2.value) }
        if let echo { options.append(.echo, echo) }
        return options
    }
}
