package import MQTTCodec
package import NIOCore

/// A will whose client is gone, and which may not have to be published (MQTT 5.0 §3.1.3.2.2).
package struct PendingWill {
    package let will: Will
    /// When it is to be published, if its session has not ended before `[MQTT-3.1.3-9]`.
    package let due: NIODeadline
    /// Who left it; whatever the broker's owner needs to publish it.
    package let sender: AnyObject

    package init(will: Will, due: NIODeadline, sender: AnyObject) {
        self.will = will
        self.due = due
        self.sender = sender
    }
}
