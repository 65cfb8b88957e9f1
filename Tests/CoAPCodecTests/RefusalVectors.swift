import CoAPCodec
import Testing

/// Bytes that are refused, beside the nearest that are accepted.
struct RefusalVector: Sendable, CustomTestStringConvertible {
    let name: String
    let accepted: String
    let refused: String
    let kind: CoAPDecodeError.Kind
    let field: String
    let offset: Int
    let answer: CoAPDecodeError.Answer

    init(
        _ name: String,
        accepted: String,
        refused: String,
        _ kind: CoAPDecodeError.Kind,
        _ field: String,
        _ offset: Int,
        _ answer: CoAPDecodeError.Answer
    ) {
        self.name = name
        self.accepted = accepted
        self.refused = refused
        self.kind = kind
        self.field = field
        self.offset = offset
        self.answer = answer
    }

    var testDescription: String { self.name }

    /// The rows of the table of malformed inputs that a codec decides, CON and NON apart, then what CVEs were about.
    static let all: [RefusalVector] = header + optionForms

    private static let reset = CoAPDecodeError.Answer.reset(messageID: 0x0102)
    private static let request = "40 01 0102 B1'a'"

    private static let header: [RefusalVector] = [
        RefusalVector("no bytes", accepted: request, refused: "", .truncated, "header", 0, .ignore),
        RefusalVector("one byte", accepted: "40 00 0102", refused: "40", .truncated, "header", 1, .ignore),
        RefusalVector(
            "RST of three bytes",
            accepted: "70 00 0102",
            refused: "70 00 01",
            .truncated,
            "header",
            3,
            .ignore
        ),
        RefusalVector("version 0", accepted: request, refused: "00 01 0102", .unknownVersion(0), "Version", 0, .ignore),
        RefusalVector("version 2", accepted: request, refused: "80 01 0102", .unknownVersion(2), "Version", 0, .ignore),
        RefusalVector("version 3", accepted: request, refused: "C0 01 0102", .unknownVersion(3), "Version", 0, .ignore),
        RefusalVector(
            "empty CON with a token",
            accepted: "40 00 0102",
            refused: "41 00 0102 AA",
            .emptyWithContent,
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "empty CON with a token that is not there",
            accepted: "40 00 0102",
            refused: "41 00 0102",
            .emptyWithContent,
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "empty CON with trailing bytes",
            accepted: "40 00 0102",
            refused: "40 00 0102 00",
            .emptyWithContent,
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "empty NON",
            accepted: "50 01 0102",
            refused: "50 00 0102",
            .misplacedCode(.empty, .nonConfirmable),
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "token of 9 bytes, CON",
            accepted: "48 01 0102 0102030405060708",
            refused: "49 01 0102 010203040506070809",
            .tokenTooLong(9),
            "Token Length",
            0,
            reset
        ),
        RefusalVector(
            "token of 9 bytes, NON",
            accepted: "58 01 0102 0102030405060708",
            refused: "59 01 0102 010203040506070809",
            .tokenTooLong(9),
            "Token Length",
            0,
            .ignore
        ),
        RefusalVector(
            "extended Token Length of RFC 8974, not agreed on",
            accepted: request,
            refused: "4D 01 0102 00 0102030405060708090A0B0C0D",
            .tokenTooLong(13),
            "Token Length",
            0,
            reset
        ),
        RefusalVector(
            "extended Token Length in a packet of 4 bytes (RIOT GHSA-p9hp-2jxm-6rqp)",
            accepted: request,
            refused: "4E 01 0102",
            .tokenTooLong(14),
            "Token Length",
            0,
            reset
        ),
        RefusalVector(
            "Token Length 15",
            accepted: request,
            refused: "4F 01 0102 00000000000000000000000000000000",
            .tokenTooLong(15),
            "Token Length",
            0,
            reset
        ),
        RefusalVector(
            "token cut short",
            accepted: "44 01 0102 01020304",
            refused: "44 01 0102 010203",
            .truncated,
            "Token",
            4,
            reset
        ),
        RefusalVector(
            "code class 1, CON",
            accepted: "40 45 0102",
            refused: "40 21 0102",
            .reservedCode(CoAPCode(1, 1)),
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "code class 6, CON",
            accepted: "40 45 0102",
            refused: "40 C0 0102",
            .reservedCode(CoAPCode(6, 0)),
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "code class 7, CON (a signal of CoAP over TCP)",
            accepted: "40 45 0102",
            refused: "40 E1 0102",
            .reservedCode(CoAPCode(7, 1)),
            "Code",
            1,
            reset
        ),
        RefusalVector(
            "code class 1, NON",
            accepted: "50 45 0102",
            refused: "50 21 0102",
            .reservedCode(CoAPCode(1, 1)),
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "code class 7, ACK",
            accepted: "60 45 0102",
            refused: "60 E0 0102",
            .reservedCode(CoAPCode(7, 0)),
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "ACK that carries a request",
            accepted: "60 45 0102",
            refused: "60 01 0102 B1'a'",
            .misplacedCode(.get, .acknowledgement),
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "RST with a code",
            accepted: "70 00 0102",
            refused: "70 45 0102",
            .misplacedCode(.content, .reset),
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "empty ACK with trailing bytes",
            accepted: "60 00 0102",
            refused: "60 00 0102 FF",
            .emptyWithContent,
            "Code",
            1,
            .ignore
        ),
        RefusalVector(
            "RST with a token",
            accepted: "70 00 0102",
            refused: "71 00 0102 AA",
            .emptyWithContent,
            "Code",
            1,
            .ignore
        ),
    ]

    private static let optionForms: [RefusalVector] = [
        RefusalVector(
            "delta 15, CON",
            accepted: request,
            refused: "40 01 0102 F1 'a'",
            .reservedNibble,
            "Option Delta",
            4,
            reset
        ),
        RefusalVector(
            "delta 15, NON",
            accepted: request,
            refused: "50 01 0102 F1 'a'",
            .reservedNibble,
            "Option Delta",
            4,
            .ignore
        ),
        RefusalVector(
            "length 15",
            accepted: request,
            refused: "40 01 0102 BF 'a'",
            .reservedNibble,
            "Option Length",
            4,
            reset
        ),
        RefusalVector(
            "value cut short",
            accepted: "40 01 0102 B2'ab'",
            refused: "40 01 0102 B2'a'",
            .truncated,
            "Option Value",
            5,
            reset
        ),
        RefusalVector(
            "extended delta cut short",
            accepted: "40 01 0102 D0 00",
            refused: "40 01 0102 D0",
            .truncated,
            "Option Delta",
            5,
            reset
        ),
        RefusalVector(
            "extended delta of two bytes cut short",
            accepted: "40 01 0102 E0 0000",
            refused: "40 01 0102 E0 00",
            .truncated,
            "Option Delta",
            5,
            reset
        ),
        RefusalVector(
            "extended length cut short",
            accepted: "40 01 0102 BD 00 'thirteen-long'",
            refused: "40 01 0102 BD",
            .truncated,
            "Option Length",
            5,
            reset
        ),
        RefusalVector(
            "a length that would wrap sixteen bits (CVE-2020-12883)",
            accepted: request,
            refused: "40 01 0102 BE FFFF 'a'",
            .truncated,
            "Option Value",
            7,
            reset
        ),
        RefusalVector(
            "option number over 65535 (CVE-2020-12887)",
            accepted: "40 01 0102 E0 FEF2",
            refused: "40 01 0102 E0 FEF3",
            .optionNumberTooLarge(65_536),
            "Option Delta",
            4,
            reset
        ),
        RefusalVector(
            "deltas that add up to over 65535",
            accepted: "40 01 0102 E0 FEF2 00",
            refused: "40 01 0102 E0 FEF2 10",
            .optionNumberTooLarge(65_536),
            "Option Delta",
            7,
            reset
        ),
        RefusalVector(
            "payload marker and no payload, CON",
            accepted: "40 02 0102 B1'a' FF 00",
            refused: "40 02 0102 B1'a' FF",
            .missingPayload,
            "Payload Marker",
            6,
            reset
        ),
        RefusalVector(
            "payload marker and no payload, NON",
            accepted: "50 02 0102 FF 00",
            refused: "50 02 0102 FF",
            .missingPayload,
            "Payload Marker",
            4,
            .ignore
        ),
        RefusalVector(
            "payload marker and no payload, ACK",
            accepted: "60 45 0102 FF 00",
            refused: "60 45 0102 FF",
            .missingPayload,
            "Payload Marker",
            4,
            .ignore
        ),
    ]
}
