import NIOCore
import Transport
import Uplink

/// Ends of connections that may be wanted again: those of devices that come and go.
extension UplinkLink {
    /// How long what is in flight is waited for.
    private static let restTime: TimeAmount = .seconds(5)

    /// Something is to be sent, or answered by the broker, or not safe yet.
    var isBusy: Bool {
        !self.isDrained || !self.unwritten.isEmpty || self.lanes.contains { $0.uncounted.messages > 0 }
    }

    /// Nothing of it would be missed: the next message may find a new link in its place.
    var isForgettable: Bool {
        self.client.phase == .idle && !self.isBusy && self.waitingMessages == 0 && self.client.isForgettable
    }

    /// Begins to connect, if it rests.
    func wake() {
        guard !self.isStopping, self.client.phase == .idle else { return }
        self.start()
    }

    /// Ends the connection when what is in flight is acknowledged, or after a while. Nothing new is sent meanwhile. Then
    /// ``Hooks/rested``; ``wake()`` begins again.
    func rest() {
        guard !self.isStopping, !self.isResting else { return }
        guard let channel = self.channel, self.isConnected, self.client.inFlightCount > 0 else { return self.restNow() }
        self.isResting = true
        self.loop.assumeIsolated().scheduleTask(in: Self.restTime) { [weak self, weak channel] in
            guard let self, self.isResting, self.channel === channel else { return }
            self.restNow()
        }
    }

    /// Ends the connection, or the attempt at one, at once. What is not acknowledged stays in the spool.
    func restNow() {
        guard !self.isStopping else { return }
        self.isResting = false
        self.isConnected = false
        self.waitsForClock = false
        self.changingFrom = nil
        self.connector.cancel()
        if let channel = self.channel.take() {
            channel.write { self.client.rest(into: &$0) }
            channel.close()
        } else {
            var nowhere = ByteBuffer()
            self.client.rest(into: &nowhere)
        }
        self.status.address = nil
        self.status.since = .now()
        self.writeDownAll()
        self.hooks.rested?()
    }
}
