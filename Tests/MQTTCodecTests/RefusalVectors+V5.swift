import MQTTCodec

extension RefusalVector {
    static let v5: [RefusalVector] = [
        .init(
            "Authentication Data without method",
            .v5,
            accepted: "10 16 0004'MQTT' 05 02 0000 08 150001'm' 160001'd' 0001'n'",
            refused: "10 12 0004'MQTT' 05 02 0000 04 160001'd' 0001'n'",
            .missingAuthenticationMethod,
            "Authentication Method",
            17
        ),
        .init(
            "AUTH without method",
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 02 18 00",
            .missingAuthenticationMethod,
            "Authentication Method",
            4
        ),
        .init(
            "AUTH of the code alone",
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 01 18",
            .truncated,
            "Property Length",
            3
        ),
        .init(
            "a code that AUTH does not have",  // [MQTT-3.15.2-1]
            .v5,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 06 01 04 150001'm'",
            .invalidReasonCode(1),
            "Reason Code",
            2
        ),
        .init(
            "a code that PUBACK does not have",  // [MQTT-3.4.2-1]
            .v5,
            accepted: "40 03 0001 97",
            refused: "40 03 0001 92",
            .invalidReasonCode(0x92),
            "Reason Code",
            4
        ),
        .init(
            "a code that PUBREC does not have",  // [MQTT-3.5.2-1]
            .v5,
            accepted: "50 03 0001 97",
            refused: "50 03 0001 92",
            .invalidReasonCode(0x92),
            "Reason Code",
            4
        ),
        .init(
            "a code that PUBCOMP does not have",  // [MQTT-3.7.2-1]
            .v5,
            accepted: "70 03 0001 92",
            refused: "70 03 0001 97",
            .invalidReasonCode(0x97),
            "Reason Code",
            4
        ),
        .init(
            "a code that SUBACK does not have",  // [MQTT-3.9.3-2]
            .v5,
            accepted: "90 04 0001 00 02",
            refused: "90 04 0001 00 92",
            .invalidReasonCode(0x92),
            "Reason Code",
            5
        ),
        .init(
            "a code that UNSUBACK does not have",  // [MQTT-3.11.3-2]
            .v5,
            accepted: "B0 04 0001 00 11",
            refused: "B0 04 0001 00 01",
            .invalidReasonCode(1),
            "Reason Code",
            5
        ),
        .init(
            "a code that PUBREL does not have",  // [MQTT-3.6.2-1]
            .v5,
            accepted: "62 03 0001 92",
            refused: "62 03 0001 97",
            .invalidReasonCode(0x97),
            "Reason Code",
            4
        ),
        .init(
            "a code that DISCONNECT does not have",  // [MQTT-3.14.2-1]
            .v5,
            accepted: "E0 01 04",
            refused: "E0 01 84",
            .invalidReasonCode(0x84),
            "Reason Code",
            2
        ),
        .init(
            "a code that nothing has",  // [MQTT-3.2.2-8]
            .v5,
            accepted: "20 03 00 87 00",
            refused: "20 03 00 FF 00",
            .invalidReasonCode(0xFF),
            "Reason Code",
            3
        ),
        .init(
            "a session in a refusal",  // [MQTT-3.2.2-6]
            .v5,
            accepted: "20 03 00 87 00",
            refused: "20 03 01 87 00",
            .sessionPresentWithFailure,
            "Session Present",
            2
        ),
        .init(
            "a subscription identifier in a client's PUBLISH",  // [MQTT-3.3.4-6]
            .v5,
            from: .client,
            accepted: "30 07 0001'a' 03 230001",
            refused: "30 06 0001'a' 02 0B01",
            .notAllowed(from: .client),
            "Subscription Identifier",
            6
        ),
        .init(
            "a session expiry in a server's DISCONNECT",  // [MQTT-3.14.2-2]
            .v5,
            from: .server,
            accepted: "E0 09 9D 07 1C0004'host'",
            refused: "E0 07 8E 05 1100000001",
            .notAllowed(from: .server),
            "Session Expiry Interval",
            4
        ),
        .init(
            "a server reference in a client's DISCONNECT",
            .v5,
            from: .client,
            accepted: "E0 07 04 05 1100000001",
            refused: "E0 09 80 07 1C0004'host'",
            .notAllowed(from: .client),
            "Server Reference",
            4
        ),
        .init(
            "a server that wants its will sent",
            .v5,
            from: .server,
            accepted: "E0 01 8E",
            refused: "E0 01 04",
            .notAllowed(from: .server),
            "Disconnect Reason Code",
            2
        ),
        .init(
            "a client that says success in AUTH",
            .v5,
            from: .client,
            accepted: "F0 06 18 04 150001'm'",
            refused: "F0 06 00 04 150001'm'",
            .notAllowed(from: .client),
            "Authenticate Reason Code",
            2
        ),
        .init(
            "a server that asks to authenticate again",
            .v5,
            from: .server,
            accepted: "F0 06 00 04 150001'm'",
            refused: "F0 06 19 04 150001'm'",
            .notAllowed(from: .server),
            "Authenticate Reason Code",
            2
        ),
    ]
}
