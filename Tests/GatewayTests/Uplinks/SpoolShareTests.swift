import Devices
import Store
import Testing

@testable import Gateway

@Suite("Spools that share limits") struct SpoolShareTests {
    private func lane(
        _ id: Int64,
        _ priority: RoutePriority = .normal,
        messages: Int = 0,
        bytes: Int = 0
    ) -> UplinkLane {
        let totals = SpoolTotals(uplink: id, messages: messages, bytes: bytes)
        return UplinkLane(priority: priority, storeID: id, stored: totals, order: .oldestFirst)
    }

    @Test("are counted together, whatever changes in which of them")
    func sums() {
        let share = SpoolShare()
        let (one, two) = (self.lane(1, messages: 3, bytes: 30), self.lane(2))
        share.add(one)
        share.add(two)
        #expect(share.messages == 3 && share.bytes == 30)
        two.uncounted = (messages: 2, bytes: 20)
        #expect(share.messages == 5 && share.bytes == 50)
        two.totals = SpoolTotals(uplink: 2, messages: 2, bytes: 20)
        two.uncounted.messages -= 2
        two.uncounted.bytes -= 20
        one.totals = SpoolTotals(uplink: 1)
        #expect(share.messages == 2 && share.bytes == 20)
    }

    @Test("make room by the one that has most, of those that are no more urgent")
    func largest() {
        let share = SpoolShare()
        #expect(share.laneToDropFrom(upTo: RoutePriority.high.rank) == nil)
        let small = self.lane(1, messages: 1, bytes: 10)
        let large = self.lane(2, messages: 5, bytes: 500)
        let urgent = self.lane(3, .high, messages: 9, bytes: 900)
        for lane in [small, large, urgent] { share.add(lane) }
        #expect(share.laneToDropFrom(upTo: RoutePriority.normal.rank) === large)
        #expect(share.laneToDropFrom(upTo: RoutePriority.high.rank) === urgent)
        #expect(share.laneToDropFrom(upTo: RoutePriority.low.rank) == nil)
    }

    @Test("name the same one while its drop is under way")
    func dropping() {
        let share = SpoolShare()
        let (one, two) = (self.lane(1, messages: 9, bytes: 900), self.lane(2, messages: 8, bytes: 800))
        share.add(one)
        share.add(two)
        #expect(share.laneToDropFrom(upTo: 1) === one)
        one.isDropping = true
        one.totals = SpoolTotals(uplink: 1, messages: 1, bytes: 100)
        #expect(share.laneToDropFrom(upTo: 1) === one)
        one.isDropping = false
        #expect(share.laneToDropFrom(upTo: 1) === two)
    }
}
