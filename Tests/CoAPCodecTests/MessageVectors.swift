import CoAPCodec
import NIOCore
import Testing

/// A message and its bytes.
struct MessageVector: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: String
    let message: CoAPMessage

    var testDescription: String { self.name }

    private init(
        _ name: String,
        _ bytes: String,
        _ type: CoAPMessageType,
        _ code: CoAPCode,
        _ messageID: UInt16,
        _ tokenBytes: String = "",
        _ options: [(CoAPOptionNumber, String)] = [],
        payload: String = ""
    ) {
        self.name = name
        self.bytes = bytes
        var list = CoAPOptions()
        for (number, value) in options { list.append(number, wire(value)) }
        self.message = CoAPMessage(
            type: type,
            code: code,
            messageID: messageID,
            token: token(tokenBytes),
            options: list,
            payload: wire(payload)
        )
    }

    static let all: [MessageVector] = [
        MessageVector("ping", "40 00 0001", .confirmable, .empty, 1),
        MessageVector("empty ACK", "60 00 FFFF", .acknowledgement, .empty, 0xFFFF),
        MessageVector("RST", "70 00 1234", .reset, .empty, 0x1234),
        MessageVector(
            "RFC 7252, figure 16: GET /temperature",
            "40 01 7D34 BB'temperature'",
            .confirmable,
            .get,
            0x7D34,
            "",
            [(.uriPath, "'temperature'")]
        ),
        MessageVector(
            "RFC 7252, figure 16: the response",
            "60 45 7D34 FF'22.3 C'",
            .acknowledgement,
            .content,
            0x7D34,
            payload: "'22.3 C'"
        ),
        MessageVector(
            "RFC 7252, figure 17: with a token",
            "41 01 7D35 20 BB'temperature'",
            .confirmable,
            .get,
            0x7D35,
            "20",
            [(.uriPath, "'temperature'")]
        ),
        MessageVector(
            "RFC 8613 C.4: the plain request",
            "44 01 5D1F 00003974 39'localhost' 83'tv1'",
            .confirmable,
            .get,
            0x5D1F,
            "00003974",
            [(.uriHost, "'localhost'"), (.uriPath, "'tv1'")]
        ),
        MessageVector(
            "RFC 8613 C.4: the protected request",
            "44 02 5D1F 00003974 39'localhost' 62 0914 FF 612F1092F1776F1C1668B3825E",
            .confirmable,
            .post,
            0x5D1F,
            "00003974",
            [(.uriHost, "'localhost'"), (.oscore, "0914")],
            payload: "612F1092F1776F1C1668B3825E"
        ),
        MessageVector(
            "a NodeMCU's POST: Message ID 0, token node",
            "44 02 0000 'node' B2'ps' 01't' FF'21.5'",
            .confirmable,
            .post,
            0,
            "'node'",
            [(.uriPath, "'ps'"), (.uriPath, "'t'")],
            payload: "'21.5'"
        ),
        MessageVector(
            "an Arduino's PUT: Uri-Host is an address, an empty segment, Content-Format with a leading zero",
            "40 03 5A5A 3B'192.168.1.9' 80 02'ps' 01't' 12 0000 FF'7'",
            .confirmable,
            .put,
            0x5A5A,
            "",
            [
                (.uriHost, "'192.168.1.9'"), (.uriPath, ""), (.uriPath, "'ps'"), (.uriPath, "'t'"),
                (.contentFormat, "0000"),
            ],
            payload: "'7'"
        ),
        MessageVector(
            "token of eight bytes, separate response",
            "48 45 0102 0102030405060708 C0 FF'x'",
            .confirmable,
            .content,
            0x0102,
            "0102030405060708",
            [(.contentFormat, "")],
            payload: "'x'"
        ),
        MessageVector(
            "notification",
            "51 45 0003 7A 63 00FFFE 61 3C FF'on'",
            .nonConfirmable,
            .content,
            3,
            "7A",
            [(.observe, "00FFFE"), (.contentFormat, "3C")],
            payload: "'on'"
        ),
        MessageVector(
            "registration with GET and a query",
            "41 01 0004 01 60 53'sid' 46'node=7'",
            .confirmable,
            .get,
            4,
            "01",
            [(.observe, ""), (.uriPath, "'sid'"), (.uriQuery, "'node=7'")]
        ),
        MessageVector(
            "Block1, Size1, Request-Tag: every length of a delta",
            "40 02 0005 B1'a' D1 03 0E D1 14 FF D2 DB '12'",
            .confirmable,
            .post,
            5,
            "",
            [(.uriPath, "'a'"), (.block1, "0E"), (.size1, "FF"), (.requestTag, "'12'")]
        ),
        MessageVector(
            "a delta of 269, Echo, No-Response",
            "50 02 0006 D8 EF '12345678' 61 02 FF 00",
            .nonConfirmable,
            .post,
            6,
            "",
            [(.echo, "'12345678'"), (.noResponse, "02")],
            payload: "00"
        ),
        MessageVector(
            "delta with two bytes, the highest number",
            "40 01 0007 E0 FEF2",
            .confirmable,
            .get,
            7,
            "",
            [(CoAPOptionNumber(rawValue: 65_535), "")]
        ),
        MessageVector(
            "length with one byte",
            "40 01 0008 BD 00 'thirteen-long'",
            .confirmable,
            .get,
            8,
            "",
            [(.uriPath, "'thirteen-long'")]
        ),
        MessageVector(
            "length with two bytes",
            "40 01 0009 DE 16 0000 \(String(repeating: "61", count: 269))",
            .confirmable,
            .get,
            9,
            "",
            [(.proxyURI, String(repeating: "61", count: 269))]
        ),
        MessageVector(
            "FETCH, PATCH and iPATCH are requests: iPATCH",
            "40 07 000A B1'p' FF'{}'",
            .confirmable,
            .iPatch,
            10,
            "",
            [(.uriPath, "'p'")],
            payload: "'{}'"
        ),
        MessageVector(
            "a method that nobody knows",
            "40 1F 000B",
            .confirmable,
            CoAPCode(0, 31),
            11
        ),
        MessageVector(
            "4.29 with Max-Age",
            "60 9D 000C D1 01 3C",
            .acknowledgement,
            .tooManyRequests,
            12,
            "",
            [(.maxAge, "3C")]
        ),
        MessageVector(
            "a response of the unassigned class 3",
            "60 60 000D",
            .acknowledgement,
            CoAPCode(3, 0),
            13
        ),
    ]
}
