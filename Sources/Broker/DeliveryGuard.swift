package import MQTTCodec

/// What decides, when a queued message goes out at last, whether its session may still have it: policy may have changed while
/// it waited. Shared by the sessions of one broker; set by its owner. Bound to the gateway's loop.
package final class DeliveryGuard {
    /// Nothing is held back until it is set.
    package var mayReceive: (Session, TopicName) -> Bool = { _, _ in true }

    package init() {}
}
