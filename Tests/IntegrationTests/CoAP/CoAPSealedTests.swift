import CoAPCodec
import Foundation
import NIOCore
import TestSupport
import Testing

/// Nodes that seal (v1), over plain CoAP; commands down to observers and in the answers to posts.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread) struct CoAPSealedTests {
    private func site(sensor: [String] = [], plain: [String] = []) async throws -> CoAPSite {
        var configuration = CoAPSite.Configuration()
        configuration.sensor = sensor
        configuration.plain = plain
        configuration.devices =
            SiteDevices.plain("lamp") + SiteDevices.sealed("kitchen", nodeID: "11242238", secret: 7)
        return try await CoAPSite.start(configuration)
    }

    private func seal(_ data: String, session: String) throws -> String {
        try SealedNode.seal(data, session: session, nodeID: "11242238", secret: 7)
    }

    private func session(_ node: CoAPNode) throws -> String {
        let answer = try #require(try node.get("sid", query: ["d=kitchen"]))
        #expect(answer.code == .content)
        return answer.text
    }

    @Test("a sealed reading arrives opened and once; retransmitted it is acknowledged, replayed it is refused")
    func once() async throws {
        let site = try await self.site()
        let node = try CoAPNode(port: try site.port)
        let sealed = try self.seal("adc=512", session: try self.session(node))
        let post = node.request(.post, "ps/nodes/kitchen/data", ByteBuffer(string: sealed))
        let answer = try #require(try node.ask(post))
        #expect(answer.code == .changed)
        // The same datagram gets the same answer; the same seal under another Message ID is the node that did not hear.
        #expect(try node.ask(post) == answer)
        #expect(try node.post("nodes/kitchen/data", sealed)?.code == .changed)
        // Nine later readings push the first out of what is remembered.
        for number in 1...9 {
            let next = try self.seal("adc=\(number)", session: try self.session(node))
            #expect(try node.post("nodes/kitchen/data", next)?.code == .changed)
        }
        let other = try CoAPNode(port: try site.port)
        #expect(try other.post("nodes/kitchen/data", sealed)?.code.codeClass == 4)
        #expect(try other.post("nodes/kitchen/data", "in the clear")?.code.codeClass == 4)
        #expect(try other.post("nodes/kitchen/data", try self.seal("forged", session: "0"))?.code.codeClass == 4)
        try await site.gateway.logged("refused", "kitchen", "nodes/kitchen/data")
        let last = try self.seal("last", session: try self.session(node))
        #expect(try node.post("nodes/kitchen/data", last)?.code == .changed)
        try await site.outside.message(payload: "last")
        #expect(site.outside.received.map(\.payload) == ["adc=512"] + (1...9).map { "adc=\($0)" } + ["last"])
        #expect(Set(site.outside.received.map(\.topic)) == ["sites/attic/kitchen/data"])
    }

    @Test("whoever observes /sid gets each next session ID; nobody is told which devices there are")
    func observedSession() async throws {
        let site = try await self.site()
        let node = try CoAPNode(port: try site.port)
        let observe = node.observation(of: "sid", query: ["d=kitchen"], token: "sid")
        let first = try #require(try node.ask(observe))
        #expect(first.number(.observe) != nil)
        let poster = try CoAPNode(port: try site.port)
        #expect(try poster.post("nodes/kitchen/data", try self.seal("1", session: first.text))?.code == .changed)
        let next = try #require(try node.notification(of: observe, "sid", query: ["d=kitchen"]))
        let second = String(buffer: next)
        #expect(second != first.text)
        #expect(try poster.post("nodes/kitchen/data", try self.seal("2", session: second))?.code == .changed)
        try await site.outside.message(payload: "2")
        #expect(try poster.get("sid", query: ["d=nobody"])?.code == poster.get("sid", query: ["d=lamp"])?.code)
    }

    @Test("a sealed command goes to who observes its topic, under the session ID that the node posted")
    func sealedCommand() async throws {
        let site = try await self.site()
        let node = try CoAPNode(port: try site.port)
        let observe = node.observation(of: "ps/" + SealedCommandSite.topic, token: "cmd")
        let first = try #require(try node.ask(observe))
        #expect(first.number(.observe) != nil, "\(first.code)")
        let session = String(repeating: "5", count: 32)
        #expect(try node.post(SealedCommandSite.sessionTopic, session)?.code == .changed)
        try await site.command("on", to: "kitchen/cmd/light")
        // The node acknowledges the present value first, which is none.
        var command = try #require(try node.notification(of: observe, "ps/" + SealedCommandSite.topic))
        #expect(command.readableBytes == 0)
        command = try #require(try node.notification(of: observe, "ps/" + SealedCommandSite.topic))
        #expect(try SealedCommandSite.open(String(buffer: command), session: session) == "on")
    }

    @Test("a sealed command is not lost to an observer at an address where nobody is")
    func observerThatIsNobody() async throws {
        let site = try await self.site()
        let forger = try CoAPNode(port: try site.port)
        let observe = forger.observation(of: "ps/" + SealedCommandSite.topic, token: "cmd")
        #expect(try forger.ask(observe)?.number(.observe) != nil)
        let poster = try CoAPNode(port: try site.port)
        let session = String(repeating: "5", count: 32)
        #expect(try poster.post(SealedCommandSite.sessionTopic, session, query: ["retain"])?.code == .changed)
        try await site.command("on", to: "kitchen/cmd/light")
        // It is asked to acknowledge, and does not.
        let asked = try #require(try forger.receive())
        #expect(asked.type == .confirmable && asked.payload.readableBytes == 0)
        let node = try CoAPNode(port: try site.port)
        let own = node.observation(of: "ps/" + SealedCommandSite.topic, token: "own")
        #expect(try node.ask(own)?.number(.observe) != nil)
        var command = ByteBuffer()
        while command.readableBytes == 0 {
            command = try #require(try node.notification(of: own, "ps/" + SealedCommandSite.topic))
        }
        #expect(try SealedCommandSite.open(String(buffer: command), session: session) == "on")
    }

    @Test("a node that only posts gets a command that waits for it in the answer")
    func piggyback() async throws {
        let site = try await self.site(
            sensor: ["piggyback_commands = true"],
            plain: ["piggyback_commands = true"]
        )
        let node = try CoAPNode(port: try site.port)
        // It is known from its first post on.
        #expect(try node.post("nodes/lamp/data", "0")?.code == .changed)
        try await site.command("on", to: "lamp/cmd/light")
        var number = 0
        var carried: CoAPMessage?
        try await eventually {
            number += 1
            carried = try node.post("nodes/lamp/data", "\(number)")
            return carried?.payload.readableBytes ?? 0 > 0
        }
        #expect(carried?.text == "on" && carried?.code == .changed)
        #expect(try node.post("nodes/lamp/data", "last")?.text == "")
        try await site.outside.message(payload: "last")

        let session = String(repeating: "6", count: 32)
        try await site.command("off", to: "kitchen/cmd/light")
        var sealedCommand = ""
        try await eventually {
            let sealed = try self.seal("x", session: try self.session(node))
            sealedCommand = try node.post("nodes/kitchen/data", sealed, query: ["csid=" + session])?.text ?? ""
            return !sealedCommand.isEmpty
        }
        #expect(try SealedCommandSite.open(sealedCommand, session: session) == "off")
    }
}
