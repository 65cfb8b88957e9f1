import TestSupport
import Testing

/// What clients send byte by byte, and what the gateway answers: the table is in the files under Conversations.
@Suite(.inTurn, .timeLimit(.minutes(5)), .serialized, .ownThread, GuestSite.Shared(plain: true))
struct ConversationTests {
    @Test("a conversation goes as the standard says", arguments: Conversation.all)
    func conversation(_ conversation: Conversation) throws {
        try ConversationRunner.run(conversation, port: try GuestSite.shared.gateway.port())
    }

    @Test("each conversation has a name of its own and a section")
    func names() {
        #expect(Set(Conversation.all.map(\.name)).count == Conversation.all.count)
        #expect(Conversation.all.allSatisfy { !$0.section.isEmpty && !$0.steps.isEmpty })
    }
}
