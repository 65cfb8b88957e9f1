import Broker
import CoAPCodec
import CoAPEndpoint
import Devices
import MQTTCodec
import NIOCore
import Sealing
import TestSupport
import Testing

@testable import Gateway

@Suite("Sealed nodes that observe over CoAP", .timeLimit(.minutes(5)))
struct SealedObserverTests {
    private static let configuration = """
        [profile.sealed]
        seal = "v1"
        publish = ["s/%d/#"]
        subscribe = ["s/%d/sessionID", "s/%d/cmd/#"]
        session_topic = "s/%d/sessionID"
        """
    private static let command = "s/q/cmd/light"

    private func run(_ body: (DownlinkSite, V1Keys) async throws -> Void) async throws {
        let keys = V1Keys.random()
        var device = Device(id: try DeviceID("q"), profile: "sealed")
        device.v1Keys = keys
        try await DownlinkSite.run(Self.configuration, devices: [device]) { site in
            await site.introduce(DownlinkSite.secure, claimed: "q")
            try await body(site, keys)
        }
    }

    /// The node has published a session ID for its commands.
    private func offer(_ id: String, at site: DownlinkSite) async throws {
        let topic = try TopicName(Self.command)
        let device = try DeviceID("q")
        await site.look { core, _ in
            let id = CommandSessionID(ByteBuffer(string: id), isRetained: true, isProven: true, source: nil)
            #expect(core.commandDesk.offer(id, for: topic, of: device) == .taken)
            core.pumpCommands()
        }
    }

    private func next(_ site: DownlinkSite) async throws -> CoAPMessage {
        var found: CoAPMessage?
        try await eventually {
            found = await site.take().last
            return found != nil
        }
        return try #require(found)
    }

    private func open(_ message: CoAPMessage, _ keys: V1Keys, session: String) throws -> String {
        let opened = try V1Cipher(keys: keys)
            .open(message.payload, nodeID: Array("q".utf8), sessionIDs: [Array(session.utf8)])
        return String(buffer: opened.data)
    }

    @Test("each command leaves sealed under the session ID that the node gave for it, in order")
    func commands() async throws {
        try await self.run { site, keys in
            let first = try await site.get("ps/" + Self.command, observe: 0)
            #expect(first.isObserved && first.payload.readableBytes == 0)
            for number in 1...3 { try await site.publish(Self.command, "\(number)") }
            for number in 1...3 {
                #expect(await site.take().isEmpty)
                try await self.offer("session\(number)", at: site)
                let message = try await self.next(site)
                #expect(message.type == .confirmable)
                #expect(try self.open(message, keys, session: "session\(number)") == "\(number)")
                await site.answer(message)
            }
            #expect(await site.counters.commandsSealed == 3)
        }
    }

    @Test("what is retained is not given in clear: not to a GET, and sealed to an observer")
    func retained() async throws {
        try await self.run { site, keys in
            try await site.publish(Self.command, "on", retain: true)
            #expect(try await site.get("ps/" + Self.command).code == .notFound)
            let first = try await site.get("ps/" + Self.command, observe: 0)
            #expect(first.isObserved && first.payload.readableBytes == 0)
            await site.pass(.minutes(61))
            let asked = try #require(await site.take().first)
            #expect(asked.payload.readableBytes == 0)
            await site.answer(asked)
            try await self.offer("one", at: site)
            #expect(try self.open(try await self.next(site), keys, session: "one") == "on")
        }
    }

    @Test("a GET of the session topic gives a session ID that is valid, and an observer each new one")
    func sessionIDs() async throws {
        try await self.run { site, keys in
            let first = try await site.get("sid", observe: 0)
            #expect(first.isObserved && first.payload.readableBytes == 32)
            #expect(try await site.get("ps/s/q/sessionID").text == first.text)
            let topic = try TopicName("s/q/sessionID")
            var valid = first.text
            for _ in 0..<3 {
                let sealed = try V1Cipher.seal(
                    ByteBuffer(string: "21"),
                    keys: keys,
                    nodeID: Array("q".utf8),
                    sessionID: Array(valid.utf8)
                )
                try await site.look { core, _ in
                    let channel = try #require(core.channels[topic])
                    let verdict = channel.receiver.receive(sealed, claimed: "q", now: .now())
                    guard case .opened(_, _, let issued, _) = verdict else { return }
                    core.publish(issued, of: channel)
                }
                let next = try #require(await site.take().last)
                #expect(next.type == .confirmable && next.payload.readableBytes == 32 && next.text != valid)
                valid = next.text
                await site.answer(next)
            }
            #expect(try await site.get("sid").text == valid)
            // Registering anew tells the newest, and none that waited.
            #expect(try await site.get("sid", observe: 0).text == valid)
            #expect(await site.take().isEmpty)
            await site.introduce(DownlinkSite.other, claimed: "nobody")
            #expect(try await site.get("sid", from: DownlinkSite.other).code == .notFound)
        }
    }
}
