internal import MQTTCodec

/// What a broker says in words, made safe for a log, a terminal or a page, and short.
enum ReasonWords {
    /// Characters of each text.
    static let limit = 160

    /// Reason String and Server Reference of an answer; `nil` if there is neither. Another server is told to the operator, and
    /// not followed: where the messages go is for gateway.conf to say.
    static func text(of properties: MQTTProperties) -> String? {
        guard !properties.isAbsent else { return nil }
        var words: [String] = []
        if let reason = properties.reasonString, !reason.isEmpty { words.append("\"\(Self.printable(reason))\"") }
        if let reference = properties.serverReference, !reference.isEmpty {
            words.append("it names another server: \"\(Self.printable(reference))\"")
        }
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }

    /// What steers a terminal, hides or turns the reading direction is shown as an escape.
    static func printable(_ text: MQTTString) -> String {
        var result = ""
        for (index, scalar) in text.description.unicodeScalars.enumerated() {
            guard index < Self.limit else { return result + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension ReasonCode {
    /// What the code says about a connection that a broker refuses or ends, and about a message that it does not take.
    package var uplinkWords: String {
        switch self {
        case .success: "no reason given"
        case .unspecifiedError: "an error that it does not specify"
        case .malformedPacket: "it could not read a packet of the gateway's"
        case .protocolError: "it takes something that the gateway sent for a breach of the protocol"
        case .implementationSpecificError: "its implementation does not take it"
        case .unsupportedProtocolVersion: "it does not speak this version of MQTT"
        case .clientIdentifierNotValid: "it does not take this client id"
        case .badUserNameOrPassword: "wrong user name or password"
        case .notAuthorized: "not authorized"
        case .serverUnavailable: "its MQTT service is unavailable"
        case .serverBusy: "it is busy"
        case .banned: "it has banned this client"
        case .serverShuttingDown: "it is shutting down"
        case .badAuthenticationMethod: "it wants another way of authentication"
        case .keepAliveTimeout: "it heard nothing of the gateway for one and a half keep-alive intervals"
        case .sessionTakenOver: "another connection with the same client id took the session over"
        case .topicFilterInvalid: "it does not take a topic filter"
        case .topicNameInvalid: "it does not take the topic name"
        case .packetIdentifierInUse: "the packet identifier is in use there"
        case .packetIdentifierNotFound: "it does not know the packet identifier"
        case .receiveMaximumExceeded: "the gateway sent more messages at once than its Receive Maximum"
        case .topicAliasInvalid: "it does not take a topic alias"
        case .packetTooLarge: "a packet was larger than it takes"
        case .messageRateTooHigh: "messages come too fast for it"
        case .quotaExceeded: "a quota is used up there"
        case .administrativeAction: "an administrator ended it"
        case .payloadFormatInvalid: "the payload is not what its format says"
        case .retainNotSupported: "it does not keep retained messages"
        case .qosNotSupported: "it does not take this QoS"
        case .useAnotherServer: "it asks to use another server for now"
        case .serverMoved: "it has moved for good"
        case .sharedSubscriptionsNotSupported: "it has no shared subscriptions"
        case .connectionRateExceeded: "connections come too fast for it"
        case .maximumConnectTime: "the longest time that it allows a connection is over"
        case .subscriptionIdentifiersNotSupported: "it has no subscription identifiers"
        case .wildcardSubscriptionsNotSupported: "it takes no wildcards in filters"
        case .grantedQoS1, .grantedQoS2, .disconnectWithWill, .noMatchingSubscribers, .noSubscriptionExisted,
            .continueAuthentication, .reauthenticate:
            "\(self)"
        }
    }
}
