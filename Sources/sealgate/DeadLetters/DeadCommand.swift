import ArgumentParser

struct DeadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead",
        abstract: "Messages that could not be delivered outside: list, show, send again, drop.",
        discussion: """
            A message that an outside broker can't take (too large, a topic too long), that it refused again and again, \
            or on which it closed the connection, is taken out of the uplink's way and kept here, 10,000 messages and \
            64 MiB at most. A gateway may be running: what is to be sent again is on its way within one second, behind what \
            waits already.

              sealgate dead list
              sealgate dead show 7
              sealgate dead resend 7
              sealgate dead drop --all
            """,
        subcommands: [
            DeadListCommand.self, DeadShowCommand.self, DeadResendCommand.self, DeadDropCommand.self,
        ]
    )
}
