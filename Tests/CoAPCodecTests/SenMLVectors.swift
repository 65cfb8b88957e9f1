/// A pack and what comes of it.
struct SenMLVector: Sendable, CustomStringConvertible {
    var name: String
    /// As JSON; empty: there is none.
    var json: String
    /// As CBOR, in the notation of the tables; empty: there is none.
    var cbor: String
    /// Each record as a pack of its own, resolved.
    var records: [String]
    /// Each value alone.
    var values: [String]

    init(_ name: String, json: String = "", cbor: String = "", records: [String], values: [String]) {
        self.name = name
        self.json = json
        self.cbor = cbor
        self.records = records
        self.values = values
    }

    var description: String { self.name }

    /// The examples of RFC 8428; their CBOR, but for that of §6, by another encoder.
    static let standard: [SenMLVector] = [
        SenMLVector(
            "RFC 8428 §5.1.1, one measurement",
            json: #"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#,
            cbor: "81 A3 00 781B'urn:dev:ow:10e2073a01080063' 01 63'Cel' 02 FB403719999999999A",
            records: [#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#],
            values: ["23.1"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.2, two at an unspecified time",
            json: """
                [{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
                 {"n":"current","u":"A","v":1.2}]
                """,
            cbor: """
                82 A4 21 781C'urn:dev:ow:10e2073a01080063:' 00 67'voltage' 01 61'V' 02 FB405E066666666666 \
                A3 00 67'current' 01 61'A' 02 FB3FF3333333333333
                """,
            records: [
                #"[{"n":"urn:dev:ow:10e2073a01080063:voltage","u":"V","v":120.1}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:current","u":"A","v":1.2}]"#,
            ],
            values: ["120.1", "1.2"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.2 and §6, a series of an earlier version",
            json: """
                [{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,
                  "n":"voltage","u":"V","v":120.1},
                 {"n":"current","t":-5,"v":1.2},
                 {"n":"current","t":-4,"v":1.3},
                 {"n":"current","t":-3,"v":1.4},
                 {"n":"current","t":-2,"v":1.5},
                 {"n":"current","t":-1,"v":1.6},
                 {"n":"current","v":1.7}]
                """,
            cbor: """
                87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c7461676501\
                615602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda3\
                006763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999\
                999aa3006763757272656e74060002fb3ffb333333333333
                """,
            records: [
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:voltage","u":"V","t":1276020076.001,"v":120.1}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020071.001,"v":1.2}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020072.001,"v":1.3}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020073.001,"v":1.4}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020074.001,"v":1.5}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020075.001,"v":1.6}]"#,
                #"[{"bver":5,"n":"urn:dev:ow:10e2073a0108006:current","u":"A","t":1276020076.001,"v":1.7}]"#,
            ],
            values: ["120.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.3 and §5.1.4, several kinds at several times",
            json: """
                [{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
                 {"u":"lon","v":24.30621},
                 {"u":"lat","v":60.07965},
                 {"t":60,"v":20.3},
                 {"u":"%EL","t":150,"v":98}]
                """,
            cbor: """
                85 A4 21 781B'urn:dev:ow:10e2073a01080063' 22 1A4EAEA188 23 63'%RH' 02 14 \
                A2 01 63'lon' 02 FB40384E63C74FB54A A2 01 63'lat' 02 FB404E0A31F8A0902E \
                A2 06 183C 02 FB40344CCCCCCCCCCD A3 01 63'%EL' 06 1896 02 1862
                """,
            records: [
                #"[{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067464,"v":20}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063","u":"lon","t":1320067464,"v":24.30621}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063","u":"lat","t":1320067464,"v":60.07965}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063","u":"%RH","t":1320067524,"v":20.3}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063","u":"%EL","t":1320067614,"v":98}]"#,
            ],
            values: ["20", "24.30621", "60.07965", "20.3", "98"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.5, several types",
            json: """
                [{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
                 {"n":"label","vs":"Machine Room"},
                 {"n":"open","vb":false},
                 {"n":"nfc-reader","vd":"aGkgCg"}]
                """,
            cbor: """
                84 A4 21 781C'urn:dev:ow:10e2073a01080063:' 00 64'temp' 01 63'Cel' 02 FB403719999999999A \
                A2 00 65'label' 03 6C'Machine Room' A2 00 64'open' 04 F4 A2 00 6A'nfc-reader' 08 44 6869200A
                """,
            records: [
                #"[{"n":"urn:dev:ow:10e2073a01080063:temp","u":"Cel","v":23.1}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:label","vs":"Machine Room"}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:open","vb":false}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:nfc-reader","vd":"aGkgCg"}]"#,
            ],
            values: ["23.1", "Machine Room", "false", "hi \n"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.6, of several devices",
            json: """
                [{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
                 {"n":"humidity","u":"%RH","v":30},
                 {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
                 {"n":"humidity","u":"%RH","v":67}]
                """,
            cbor: """
                84 A5 21 6C'2001:db8::2/' 22 1A4EAECC5D 00 6B'temperature' 01 63'Cel' 02 FB4039333333333333 \
                A3 00 68'humidity' 01 63'%RH' 02 181E \
                A4 21 6C'2001:db8::1/' 00 6B'temperature' 01 63'Cel' 02 FB402899999999999A \
                A3 00 68'humidity' 01 63'%RH' 02 1843
                """,
            records: [
                #"[{"n":"2001:db8::2/temperature","u":"Cel","t":1320078429,"v":25.2}]"#,
                #"[{"n":"2001:db8::2/humidity","u":"%RH","t":1320078429,"v":30}]"#,
                #"[{"n":"2001:db8::1/temperature","u":"Cel","t":1320078429,"v":12.3}]"#,
                #"[{"n":"2001:db8::1/humidity","u":"%RH","t":1320078429,"v":67}]"#,
            ],
            values: ["25.2", "30", "12.3", "67"]
        ),
        SenMLVector(
            "RFC 8428 §5.1.7, an actuator",
            json: """
                [{"bn":"urn:dev:ow:10e2073a01080063:"},
                 {"n":"temp","u":"Cel","v":23.1},
                 {"n":"heat","u":"/","v":1},
                 {"n":"fan","u":"/","v":0}]
                """.replacing("\"},\n {\"n\":\"temp\"", with: "\",\"n\":\"temp\""),
            records: [
                #"[{"n":"urn:dev:ow:10e2073a01080063:temp","u":"Cel","v":23.1}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:heat","u":"/","v":1}]"#,
                #"[{"n":"urn:dev:ow:10e2073a01080063:fan","u":"/","v":0}]"#,
            ],
            values: ["23.1", "1", "0"]
        ),
    ]

    /// What the standard allows and has no example for.
    static let others: [SenMLVector] = [
        SenMLVector(
            "base value and base sum are added, each to its own kind",
            json:
                #"[{"n":"a","bv":20,"bs":100,"v":1.5,"s":-1},{"n":"b"},{"n":"c","vs":"x"},{"n":"d","bv":-0.5,"vb":true}]"#,
            cbor:
                "84 A5 00 61'a' 24 14 25 1864 02 F93E00 05 20 A1 00 61'b' A2 00 61'c' 03 61'x' A3 00 61'd' 24 F9B800 04 F5",
            records: [
                #"[{"n":"a","v":21.5,"s":99}]"#, #"[{"n":"b","v":20,"s":100}]"#, #"[{"n":"c","vs":"x","s":100}]"#,
                #"[{"n":"d","vb":true,"s":100}]"#,
            ],
            values: ["21.5", "20", "x", "true"]
        ),
        SenMLVector(
            "a sum alone, and an update time",
            json: #"[{"n":"meter","u":"J","s":12345678901234567,"ut":60}]"#,
            cbor: "81 A4 00 65'meter' 01 61'J' 05 1B002BDC545D6B4B87 07 183C",
            records: [#"[{"n":"meter","u":"J","ut":60,"s":12345678901234567}]"#],
            values: ["12345678901234567"]
        ),
        SenMLVector(
            "times that are relative to now stay so, if nobody says when that is",
            json: #"[{"n":"a","bt":-10,"v":1},{"n":"a","t":10,"v":2},{"n":"a","t":268435466,"v":3}]"#,
            cbor: "83 A3 00 61'a' 22 29 02 01 A3 00 61'a' 06 0A 02 02 A3 00 61'a' 06 1A1000000A 02 03",
            records: [
                #"[{"n":"a","t":-10,"v":1}]"#, #"[{"n":"a","t":0,"v":2}]"#, #"[{"n":"a","t":268435456,"v":3}]"#,
            ],
            values: ["1", "2", "3"]
        ),
        SenMLVector(
            "unknown fields are left out, whatever is in them",
            json:
                #" [ { "x" : [ { "y" : [ null , true , -1.5e3 , "\u00e9" ] } , { } , [ ] ] , "n" : "a" , "v" : 1 , "vlo":"1:2" } ] "#,
            cbor:
                "81 A5 61'x' 82 A1 61'y' 84 F6 F5 FB C097700000000000 62 C3A9 A0 00 61'a' 02 01 63'vlo' 63'1:2' 1863 C1 1A00000001",
            records: [#"[{"n":"a","v":1}]"#],
            values: ["1"]
        ),
        SenMLVector(
            "text with everything that JSON escapes",
            json: #"[{"n":"a","u":"\"","vs":"\"\\\/\b\f\n\r\t\u0001\u00e9\ud83d\ude00é"}]"#,
            cbor: "81 A3 00 61'a' 01 6122 03 71 225C2F08 0C0A0D09 01 C3A9 F09F9880 C3A9",
            records: [#"[{"n":"a","u":"\"","vs":"\"\\/\u0008\u000c\n\r\t\u0001é😀é"}]"#],
            values: ["\"\\/\u{8}\u{c}\n\r\t\u{1}é😀é"]
        ),
        SenMLVector(
            "whole numbers stay whole, and others are written short",
            json: """
                [{"bn":"a","n":"1","v":9007199254740993},{"n":"2","v":-9223372036854775808},{"n":"3","v":1e2},{"n":"4","v":-0.0},
                 {"n":"5","v":0.30},{"n":"6","v":1E-7},{"n":"7","v":18446744073709551615},{"n":"8","v":1e22},{"n":"9","v":5e-324}]
                """,
            cbor: """
                89 A3 21 61'a' 00 61'1' 02 1B0020000000000001 A2 00 61'2' 02 3B7FFFFFFFFFFFFFFF A2 00 61'3' 02 FA42C80000 \
                A2 00 61'4' 02 F98000 A2 00 61'5' 02 C482 20 03 A2 00 61'6' 02 C482 26 01 A2 00 61'7' 02 1BFFFFFFFFFFFFFFFF \
                A2 00 61'8' 02 C482 16 01 A2 00 61'9' 02 FB0000000000000001
                """,
            records: [
                #"[{"n":"a1","v":9007199254740993}]"#, #"[{"n":"a2","v":-9223372036854775808}]"#,
                #"[{"n":"a3","v":100}]"#,
                #"[{"n":"a4","v":0}]"#, #"[{"n":"a5","v":0.3}]"#, #"[{"n":"a6","v":1e-07}]"#,
                #"[{"n":"a7","v":1.8446744073709552e+19}]"#, #"[{"n":"a8","v":1e+22}]"#, #"[{"n":"a9","v":5e-324}]"#,
            ],
            values: [
                "9007199254740993", "-9223372036854775808", "100", "0", "0.3", "1e-07", "1.8446744073709552e+19",
                "1e+22",
                "5e-324",
            ]
        ),
        SenMLVector(
            "arrays and maps without a length, as encoders of small nodes write them",
            cbor: "9F BF 00 61'a' 02 01 FF BF 00 61'b' 02 02 61'x' 9F 01 BF 61'y' 02 FF FF FF FF",
            records: [#"[{"n":"a","v":1}]"#, #"[{"n":"b","v":2}]"#],
            values: ["1", "2"]
        ),
        SenMLVector(
            "integers in more bytes than they need, halves, and data of every length",
            json:
                #"[{"n":"a","v":1},{"n":"b","v":0.000030517578125},{"n":"c","vd":""},{"n":"d","vd":"_w=="},{"n":"e","vd":"-_8"}]"#,
            cbor: """
                85 A2 1800 7801'a' 190002 1B0000000000000001 A2 00 61'b' 02 F90200 A2 00 61'c' 08 40 A2 00 61'd' 08 41FF \
                A2 00 61'e' 08 42FBFF
                """,
            records: [
                #"[{"n":"a","v":1}]"#, #"[{"n":"b","v":3.0517578125e-05}]"#, #"[{"n":"c","vd":""}]"#,
                #"[{"n":"d","vd":"_w"}]"#,
                #"[{"n":"e","vd":"-_8"}]"#,
            ],
            values: []
        ),
    ]

    static let all = Self.standard + Self.others
}
