import MQTTCodec

/// One thing that is fuzzed: what must hold for every input. What does not hold ends the process, which is a find.
struct FuzzTarget: Sendable {
    let name: String
    let check: @Sendable (FuzzInput) -> Void

    static let all =
        [
            FuzzTarget(name: "frames", check: FramesTarget.check),
            FuzzTarget(name: "connection", check: ConnectionTarget.check),
            FuzzTarget(name: "uplink", check: UplinkTarget.check),
            FuzzTarget(name: "topics", check: TopicsTarget.check),
            FuzzTarget(name: "tree", check: TreeTarget.check),
            FuzzTarget(name: "sealed", check: SealedTarget.check),
            FuzzTarget(name: "oscore", check: OSCORETarget.check),
            FuzzTarget(name: "coap", check: CoAPTarget.check),
            FuzzTarget(name: "coap-server", check: CoAPServerTarget.check),
            FuzzTarget(name: "coap-observer", check: CoAPObserverTarget.check),
            FuzzTarget(name: "senml", check: SenMLTarget.check),
        ]
        + MQTTPacketType.allCases.map { type in
            FuzzTarget(name: "\(type)") { PacketTarget.check($0, type: type) }
        }
}

/// Ends the process if `condition` does not hold.
func expect(_ condition: Bool, _ words: @autoclosure () -> String, line: UInt = #line, file: StaticString = #file) {
    if !condition { fatalError(words(), file: file, line: line) }
}

/// How many inputs got how far: shows that a target does not spend its time on inputs that are refused at the door.
enum Tally {
    nonisolated(unsafe) private static var counts: [StaticString.Key: Int] = [:]

    static func count(_ what: StaticString) { self.counts[StaticString.Key(text: what), default: 0] += 1 }

    static func report() {
        let lines = self.counts.map { "\($0.key.text)=\($0.value)" }.sorted()
        if !lines.isEmpty { print("tally: \(lines.joined(separator: " "))") }
    }
}

extension StaticString {
    /// By address: equal literals may count apart, and are then told apart.
    fileprivate struct Key: Hashable {
        let text: StaticString
        static func == (left: Key, right: Key) -> Bool { left.text.utf8Start == right.text.utf8Start }
        func hash(into hasher: inout Hasher) { hasher.combine(self.text.utf8Start) }
    }
}
