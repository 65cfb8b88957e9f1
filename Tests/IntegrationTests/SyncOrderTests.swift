import Foundation
import TestSupport
import Testing

/// What the system sees: the disk has a message before its node is told so.
@Suite(.inTurn, .timeLimit(.minutes(5)), .ownThread) struct SyncOrderTests {
    /// The system lets a process be traced.
    private static let canTrace: Bool = {
        guard let tried = try? ChildProcess("strace", ["-o", "/dev/null", "true"]) else { return false }
        let process = tried
        while process.exitIfEnded == nil { usleep(1_000) }
        return process.exitIfEnded == .status(0)
    }()

    /// A call as `strace -f -y -x` tells of it, at its end.
    private struct Call {
        let name: String
        /// From the opening parenthesis on.
        let rest: Substring

        /// Calls that were interrupted by another thread's are told of in two lines; the second is the end.
        static func calls(in trace: String) -> [Self] {
            var begun: [Substring: Substring] = [:]
            return trace.split(separator: "\n").compactMap { line in
                let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
                guard parts.count == 2 else { return nil }
                var text = parts[1].drop { $0 == " " }
                if text.hasSuffix("<unfinished ...>") {
                    begun[parts[0]] = text
                    return nil
                }
                if text.hasPrefix("<... ") { text = (begun.removeValue(forKey: parts[0]) ?? "") + text }
                guard let parenthesis = text.firstIndex(of: "(") else { return nil }
                return Self(name: String(text[..<parenthesis]), rest: text[parenthesis...])
            }
        }

        func isOnLog(_ names: String...) -> Bool { names.contains(self.name) && self.rest.contains("sealgate.db-wal>") }
        func has(_ bytes: [UInt8], _ names: String...) -> Bool {
            names.contains(self.name) && self.rest.contains("socket:")
                && self.rest.contains(bytes.map { "\\x" + hexText([$0]) }.joined())
        }
    }

    @Test("fdatasync comes between the PUBLISH and its PUBACK, fifty times", .enabled(if: canTrace))
    func order() async throws {
        // No acknowledgement from outside, so that the disk is written for the node's messages only.
        var script = BrokerScript()
        script.acknowledging = .never
        let broker = try ScriptedBroker(script)
        let home = try GatewayProcess.Home(configuration: SiteConfiguration.plain(port: broker.port).text)
        try await home.importDevices(SiteDevices.plain("lamp"))
        let trace = home.directory.file("trace")
        let calls = "trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"
        let gateway = try await home.start(by: [
            "strace", "-D", "-f", "-y", "-x", "-s", "64", "-e", calls, "-o", trace,
        ])
        let node = try MQTTPeer(port: try gateway.port(), .init(id: "node", level: 4))
        for number in UInt16(1)...50 {
            try node.publish("nodes/lamp/data", "\(1000 + number)", id: number)
            try node.expect(.puback, number)
        }
        #expect(try await gateway.stop() == .status(0))

        var isWritten = false
        var isSynced = false
        var next: UInt16 = 1
        for call in Call.calls(in: try String(contentsOfFile: trace, encoding: .utf8)) where next <= 50 {
            if call.has(Array("\(1000 + next)".utf8), "read", "recvfrom", "recvmsg") {
                (isWritten, isSynced) = (false, false)
            } else if call.isOnLog("pwrite64") {
                isWritten = true
            } else if call.isOnLog("fdatasync", "fsync"), isWritten, call.rest.hasSuffix("= 0") {
                isSynced = true
            } else if call.has([0x40, 2] + MQTTPeer.number(next), "write", "writev", "sendto", "sendmsg") {
                #expect(isWritten && isSynced, "PUBACK \(next)")
                next += 1
            }
        }
        #expect(next == 51, "PUBACKs in the trace: \(next - 1)")
    }
}
