import Logging
import MQTTCodec
import NIOCore
import Transport
import Uplink

/// Better connections, and new credentials.
extension UplinkLink {
    /// How long what is in flight is waited for before a change to a better connection.
    private static let changeOverTime: TimeAmount = .seconds(5)

    /// What is in flight is waited for, for a moment, so that it need not be sent twice.
    func uplinkCanChangeOver(to address: String) {
        guard self.isConnected, !self.isStopping, let channel = self.channel, self.changingFrom == nil else { return }
        self.logger.notice("uplink changes over", metadata: ["uplink": "\(self.name)", "address": "\(address)"])
        self.changingFrom = channel
        guard self.client.inFlightCount > 0 else { return self.changeOver(from: channel) }
        self.loop.assumeIsolated().scheduleTask(in: Self.changeOverTime) { [weak self, weak channel] in
            if let self, let channel { self.changeOver(from: channel) }
        }
    }

    func changeOver(from channel: UplinkChannel) {
        guard self.channel === channel, self.changingFrom === channel, !self.isStopping else { return }
        let action = channel.write { self.client.changeOver(now: .now(), into: &$0) }
        channel.close()
        self.channel = nil
        self.status.address = nil
        self.perform(action)
    }

    /// The certificate of the connection is about to expire, and there is another one.
    func renewConnection() {
        self.connector.renew()
    }

    /// For the next connection.
    func replaceCredentials(_ userName: MQTTString?, _ password: Password?) {
        self.client.replaceCredentials(userName: userName, password: password)
    }
}
