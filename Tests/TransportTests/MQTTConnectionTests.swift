import NIOCore
import NIOEmbedded
import Testing

@testable import Transport

@Suite struct MQTTConnectionTests {
    // MARK: Slow readers

    @Test("a client that takes nothing for too long is cut off")
    func slowReader() throws {
        let client = try EmbeddedClient(keepAlive: "0000")
        client.setWritable(false)
        client.loop.advanceTime(by: .seconds(30) - .nanoseconds(1))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(client.delegate.end?.reason == "too slow a reader")
    }

    @Test("a client that takes what waits in time stays, however often it is slow")
    func slowButAlive() throws {
        let client = try EmbeddedClient(keepAlive: "0000") { $0.slowReaderTimeout = .seconds(10) }
        for _ in 0..<5 {
            client.setWritable(false)
            client.loop.advanceTime(by: .seconds(9))
            client.setWritable(true)
            client.loop.advanceTime(by: .seconds(9))
        }
        #expect(client.delegate.end == nil)
    }

    // MARK: Pauses

    @Test("a pause ends after a minute at most")
    func pause() throws {
        let client = try EmbeddedClient(keepAlive: "0000")
        #expect(client.canRead())
        client.connection.pauseReading(for: .hours(1))
        #expect(!client.canRead())
        client.loop.advanceTime(by: .minutes(1) - .nanoseconds(1))
        #expect(!client.canRead())
        let before = client.reads.count
        client.loop.advanceTime(by: .nanoseconds(1))
        #expect(client.reads.count == before + 1)
        client.connection.pauseReading(for: .seconds(1))
        #expect(!client.canRead())
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.canRead())
    }

    @Test("a connection that ends leaves no timer behind")
    func timersEnd() throws {
        weak var left: MQTTConnection?
        let channel: EmbeddedChannel
        do {
            let client = try EmbeddedClient(keepAlive: "0e10")
            channel = client.channel
            client.connection.pauseReading(for: .seconds(5))
            client.setWritable(false)
            left = client.connection
            client.connection.close(reason: "test")
            client.loop.run()
            #expect(client.delegate.end?.reason == "test")
        }
        #expect(left == nil)
        channel.embeddedEventLoop.advanceTime(by: .hours(2))
    }

    // MARK: Keep alive

    @Test("the keep alive ends a silent client")
    func keepAlive() throws {
        let client = try EmbeddedClient(keepAlive: "000a")
        client.loop.advanceTime(by: .seconds(14))
        try client.send("c000")
        client.loop.advanceTime(by: .seconds(14))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.delegate.end?.reason == "nothing received for 1.5 times the keep alive")
    }

    @Test("the keep alive does not run against a client that the gateway does not read")
    func keepAliveWhileCongested() throws {
        let client = try EmbeddedClient(keepAlive: "000a")
        client.delegate.isCongested = true
        #expect(!client.canRead())
        client.loop.advanceTime(by: .seconds(100))
        #expect(client.delegate.end == nil)
        client.delegate.isCongested = false
        client.connection.resumeReading()
        client.loop.advanceTime(by: .seconds(14))
        #expect(client.delegate.end == nil)
        client.loop.advanceTime(by: .seconds(1))
        #expect(client.delegate.end != nil)
    }

    @Test("a keep alive shorter than the pauses does not end a client over its rate")
    func keepAliveWhilePaused() throws {
        let client = try EmbeddedClient(keepAlive: "0001")
        for _ in 0..<5 {
            client.connection.pauseReading(for: .seconds(5))
            #expect(!client.canRead())
            client.loop.advanceTime(by: .seconds(5))
            client.loop.advanceTime(by: .milliseconds(1499))
            #expect(client.delegate.end == nil)
        }
        client.loop.advanceTime(by: .milliseconds(1))
        #expect(client.delegate.end != nil)
    }

    // MARK: Packets

    @Test("a packet with more filters than one may have ends the connection")
    func filters() throws {
        let client = try EmbeddedClient(keepAlive: "0000") { $0.maxFiltersPerPacket = 2 }
        try client.send("82 0a 0001 0001 61 00 0001 62 00")
        #expect(client.delegate.events == ["subscribe"])
        try client.send("82 0e 0001 0001 61 00 0001 62 00 0001 63 00")
        #expect(client.delegate.events == ["subscribe"])
        #expect(client.delegate.end?.kind == .misbehaved)
        #expect(client.delegate.end?.reason == "more filters than 2 in one packet")
    }
}
