import TestSupport
import Testing

/// Client libraries and programs that others wrote, against one gateway. The scripts of the folder Clients hold the
/// scenarios; each script runs once, its scenarios side by side, and each scenario is a case of the test.
@Suite(.inTurn, .timeLimit(.minutes(5)), GuestSite.Shared(), ClientScript.Shared()) struct RealClientTests {
    @Test("a client of others does what it does with any broker", arguments: try await ClientScenario.all())
    func scenario(_ scenario: ClientScenario) async throws {
        let result = try await scenario.result()
        #expect(result == "PASS \(scenario.name)")
    }
}
