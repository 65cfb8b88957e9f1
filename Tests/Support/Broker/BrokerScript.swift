/// What a ``ScriptedBroker`` does that a real one would not do on command. As it is made it is a good broker.
package struct BrokerScript: Sendable {
    /// The answer to CONNECT.
    package enum Welcome: Sendable, Equatable {
        /// Come in.
        case accept
        /// CONNACK with this code, then the end.
        case refuse(UInt8)
        /// CONNACK with success, then the end at once.
        case acceptAndClose
        /// Nothing at all.
        case silence
    }

    /// When PUBACK and PUBREC go out.
    package enum Acknowledging: Sendable, Equatable {
        case atOnce
        /// When ``ScriptedBroker/release(_:)`` says so.
        case held
        /// So many are collected, and go out the last one first. It needs as many messages.
        case reversed(Int)
        case never
    }

    /// What happens to a message.
    package enum Action: Sendable, Equatable {
        /// The broker does not take it, and says so (5.0).
        case refuse(UInt8, reason: String? = nil)
        /// The connection is closed on it.
        case close
        /// DISCONNECT with this code, then the end (5.0).
        case disconnect(UInt8)
        /// It is neither taken nor acknowledged.
        case ignore
        /// It is taken, and the acknowledgement is lost with the connection.
        case takeAndClose
        /// It is taken, and from then on the link is half-open: nothing is read and nothing is sent.
        case takeAndFreeze
        /// It is taken, and answered with these bytes instead.
        case takeAndWrite([UInt8])

        /// Whether the broker has the message afterwards.
        var takes: Bool {
            switch self {
            case .refuse, .close, .disconnect, .ignore: false
            case .takeAndClose, .takeAndFreeze, .takeAndWrite: true
            }
        }
    }

    /// Whom an action is for: all that are given must match.
    package struct Rule: Sendable {
        /// The topic ends with this.
        package var topic: String?
        /// The payload is this text.
        package var payload: String?
        /// How often it applies.
        package var times: Int
        /// What happens.
        package var action: Action

        /// A rule for all messages, if nothing else is given.
        package init(topic: String? = nil, payload: String? = nil, times: Int = .max, _ action: Action) {
            self.topic = topic
            self.payload = payload
            self.times = times
            self.action = action
        }

        func matches(_ message: ScriptedBroker.Message) -> Bool {
            guard self.times > 0 else { return false }
            if let topic, !message.topic.hasSuffix(topic) { return false }
            if let payload, message.text != payload { return false }
            return true
        }
    }

    /// The answer to CONNECT.
    package var welcome = Welcome.accept
    /// Properties of the CONNACK (5.0). The limits among them are held against what the client sends.
    package var limits: [WireProperty] = []
    /// Whether a session outlives its connection, if the client wants that.
    package var keepsSessions = true
    /// When PUBACK and PUBREC go out.
    package var acknowledging = Acknowledging.atOnce
    /// How many PUBRELs are taken and answered with the end of the connection.
    package var closesOnReleases = 0
    /// Whether PINGREQ is answered.
    package var answersPings = true
    /// Code of each filter of SUBSCRIBE; the QoS that it asks for if nil.
    package var grants: UInt8?
    /// The first that matches counts.
    package var rules: [Rule] = []
    /// Whether messages are kept in ``ScriptedBroker/messages`` and its log.
    package var keepsMessages = true

    /// A good broker, with these rules.
    package init(_ rules: Rule...) {
        self.rules = rules
    }
}
