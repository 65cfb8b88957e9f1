import MQTTCodec
import NIOCore
import Testing

@testable import Gateway

@Suite("Provider limits")
struct ProviderLimitsTests {
    @Test(
        "say what AWS IoT Core would not take",
        arguments: [
            ("a/b/c/d/e/f/g/h", 1000, nil),
            ("a/b/c/d/e/f/g/h/i", 1000, "levels"),
            (String(repeating: "x", count: 257), 1000, "topic of 257 bytes"),
            (String(repeating: "x", count: 256), 131_072, nil),
            ("a", 131_073, "payload of 131073 bytes"),
        ]
    )
    func aws(topic: String, bytes: Int, words: String?) {
        let objection = ProviderLimits(.aws).objection(topic: ByteBuffer(string: topic), payloadBytes: bytes)
        if let words {
            #expect(objection?.detail.contains(words) == true)
        } else {
            #expect(objection == nil)
        }
    }

    @Test("leave a generic broker what MQTT allows")
    func generic() {
        let limits = ProviderLimits()
        #expect(limits.maxQoS == .exactlyOnce)
        #expect(limits.retain)
        let topic = ByteBuffer(string: String(repeating: "x/", count: 60))
        #expect(limits.objection(topic: topic, payloadBytes: 200 << 20) == nil)
    }
}

@Suite("Retain guard")
struct RetainGuardTests {
    @Test("lets the newest value of a topic be retained, and none after it that is older")
    func newestOnly() {
        var retain = RetainGuard()
        let kitchen = ByteBuffer(string: "kitchen")
        let cellar = ByteBuffer(string: "cellar")
        #expect(retain.mayRetain(kitchen, isBacklog: false) == true)
        #expect(retain.mayRetain(kitchen, isBacklog: true) == false)
        #expect(retain.mayRetain(cellar, isBacklog: true) == true)
        #expect(retain.mayRetain(cellar, isBacklog: true) == false)
        #expect(retain.mayRetain(cellar, isBacklog: false) == true)
        retain.reset()
        #expect(retain.mayRetain(kitchen, isBacklog: true) == true)
    }
}
