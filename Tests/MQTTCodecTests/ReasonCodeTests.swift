import MQTTCodec
import Testing

@Suite("Reason and return codes")
struct ReasonCodeTests {
    @Test("there are the 43 numbers of the standard")
    func numbers() {
        let known = (UInt8.min...UInt8.max).filter { ReasonCode(rawValue: $0) != nil }
        #expect(known == [0, 1, 2, 4, 0x10, 0x11, 0x18, 0x19] + Array(0x80...0xA2))
        #expect(ReasonCode.allCases.allSatisfy { $0.isFailure == ($0.rawValue >= 0x80) })
        #expect(QoS.allCases.map { ReasonCode.granted($0).rawValue } == [0, 1, 2])
    }

    @Test("return codes of 3.1.1 go through 5.0's and come back")
    func roundTrip() {
        for code in ConnectReturnCode.allCases { #expect(ConnectReturnCode(code.reasonCode) == code) }
        #expect(ConnectReturnCode(.banned) == .notAuthorized)
        #expect(ConnectReturnCode(.serverBusy) == .serverUnavailable)
        #expect(ConnectReturnCode(.malformedPacket) == nil)
        #expect(ConnAck(reasonCode: .protocolError).returnCode == nil)
    }

    @Test("qualities of service are ordered, versions have names")
    func small() {
        #expect(QoS.atMostOnce < .atLeastOnce && QoS.atLeastOnce < .exactlyOnce)
        #expect(min(QoS.exactlyOnce, .atLeastOnce) == .atLeastOnce)
        #expect(MQTTVersion.allCases.map(\.description) == ["3.1", "3.1.1", "5.0"])
        #expect(MQTTVersion.allCases.map(\.hasProperties) == [false, false, true])
    }
}
