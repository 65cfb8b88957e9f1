import CoAPCodec
import CoAPEndpoint
import NIOCore

/// The resources of the plugtest guide, as far as its cases need them.
final class PlugtestServer {
    static let large = String((0..<1280).map { Character(UnicodeScalar(UInt8(0x30 + $0 / 20 % 60))) })

    private(set) var posts = 0
    private var contents: [String: String] = [
        "test": "test", "validate": "old", "seg1/seg2/seg3": "segments", "large": PlugtestServer.large,
        "large-update": "", "obs": "0", "obs-large": PlugtestServer.large,
    ]
    private var separate: CoAPRequest.ID?
    private(set) var observations: [String: CoAPObservationID] = [:]
    private(set) var format: CoAPContentFormat = .textPlain

    func attach(to site: Site) {
        site.resource = { [weak self, weak site] request in
            guard let self, let site else { return nil }
            guard let topic = try? CoAPPath.topic(of: request.options) else { return response(.badRequest) }
            let path = String(buffer: topic)
            if request.wantsObservation, path.hasPrefix("obs") {
                self.observations[path] = site.respond(request.id, self.representation(path), observing: true)
                return nil
            }
            return self.serve(request, path, site)
        }
    }

    private func eTag(_ text: String) -> ByteBuffer {
        ByteBuffer(integer: text.utf8.reduce(UInt32(5381)) { $0 &* 33 &+ UInt32($1) })
    }

    private func representation(_ path: String) -> CoAPResponse {
        guard let text = self.contents[path] else { return response(.notFound) }
        return CoAPResponse(
            .content,
            contentFormat: self.format,
            maxAge: path == "obs" ? 5 : nil,
            eTag: self.eTag(text),
            payload: ByteBuffer(string: text)
        )
    }

    private func serve(_ request: CoAPRequest, _ path: String, _ site: Site) -> CoAPResponse? {
        let body = String(buffer: request.payload)
        guard request.meetsPreconditions(current: self.contents[path].map(self.eTag)) else {
            return response(.preconditionFailed)
        }
        switch (request.method, path) {
        case (.get, "separate"):
            self.separate = request.id
            return nil
        case (.get, "query"):
            let parts = request.options.values(.uriQuery).map { String(buffer: $0) }
            return response(.content, parts.joined(separator: "&"))
        case (.get, "multi-format"):
            guard let format = request.read.accept, [.textPlain, .xml].contains(format) else {
                return response(.notAcceptable)
            }
            return CoAPResponse(.content, contentFormat: format, payload: ByteBuffer(string: "x"))
        case (.get, _):
            return self.representation(path)
        case (.post, "location"):
            var created = response(.created)
            for part in ["location1", "location2"] { created.options.append(.locationPath, part) }
            created.options.append(.locationQuery, "first=1")
            return created
        case (.post, "large-post"):
            return response(.changed, body.uppercased())
        case (.post, _):
            self.posts += 1
            self.contents[path] = body
            return response(.created)
        case (.put, _):
            let isNew = self.contents.updateValue(body, forKey: path) == nil
            self.tell(path, site)
            return response(isNew ? .created : .changed)
        case (.delete, _):
            self.contents[path] = nil
            self.tell(path, site)
            return response(.deleted)
        default:
            return response(.methodNotAllowed)
        }
    }

    func finishSeparate(_ site: Site) {
        if let id = self.separate { _ = site.respond(id, response(.content, "separate")) }
        self.separate = nil
    }

    /// The value changes by itself.
    func change(_ path: String, to text: String, format: CoAPContentFormat = .textPlain, _ site: Site) {
        self.contents[path] = text
        self.format = format
        self.tell(path, site)
    }

    private func tell(_ path: String, _ site: Site) {
        if let id = self.observations[path] { site.notify(id, self.representation(path)) }
    }
}
