import NIOCore

@testable import Sealing

/// Any payload as a sealed one: cut into fields that lie within it, the same fields for the same message in either form.
enum SealedTarget {
    nonisolated(unsafe) private static let workspace = V1Workspace()

    static func check(_ input: FuzzInput) {
        var input = input
        let payload = ByteBuffer(bytes: input.remaining())
        let canonical: (bytes: [UInt8], mac: [UInt8])? = Self.workspace.withFields(of: payload.moved(by: 7)) { fields in
            guard let fields else { return nil }
            Self.checkCuts(fields)
            return (Array(fields.canonical), Array(fields.mac))
        }
        Tally.count(canonical == nil ? "refused" : "taken")
        guard let canonical else { return }
        // The canonical form is itself a payload in raw form.
        Self.workspace.withFields(of: ByteBuffer(bytes: canonical.bytes)) { fields in
            guard let fields else { fatalError("the canonical form is refused") }
            expect(Array(fields.canonical) == canonical.bytes, "the canonical form is another")
            expect(Array(fields.mac) == canonical.mac, "the MAC is another")
        }
    }

    private static func checkCuts(_ fields: V1Fields) {
        expect(fields.canonical.count == V1Fields.overhead + 16 * fields.blocks, "bytes beside the blocks")
        expect(
            fields.blocks >= 1 && fields.mac.count == 20 && fields.encryptedIV.count == 16,
            "a field of another size"
        )
        for blocks in -1...(fields.blocks + 1) where fields.fits(idBlocks: blocks) {
            let id = fields.encryptedID(blocks: blocks)
            let data = fields.encryptedData(behindIDBlocks: blocks)
            expect(id.count + data.count == 16 * fields.blocks, "blocks lost")
            // Read to the last byte, so that the sanitizer sees it.
            expect(
                Array(fields.encryptedIV) + [44] + id + [44] + data + [44]
                    == fields.canonical.dropLast(40)[...].map(\.self),
                "the fields are not the whole"
            )
        }
    }
}
