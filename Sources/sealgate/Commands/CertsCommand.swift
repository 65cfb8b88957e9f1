import ArgumentParser

struct CertsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certs",
        abstract: "Make certificates for trying things out.",
        discussion: "  sealgate certs init",
        subcommands: [CertsInitCommand.self]
    )
}
