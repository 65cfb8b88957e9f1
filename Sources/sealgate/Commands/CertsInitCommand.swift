import ArgumentParser
import Devices
import Foundation
import Gateway
import OpenSSL

struct CertsInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a CA, a certificate for the gateway and one for each client.",
        discussion: """
            The gateway's certificate is good for localhost, 127.0.0.1, ::1, the name of this machine, and each --name: \
            give the name or the address that nodes connect to. A client certificate names its owner by its CN: the \
            gateway at the outside broker, or a device at the gateway (client_ca). Without --client there is one, for the \
            gateway's own name.

              sealgate certs init --name gateway.example.org --name 192.168.1.10
              sealgate certs init --directory lab --client attic --client kitchen --days 30

            Keys get mode 0600. Nothing is overwritten without --force, which makes a new CA: certificates made before \
            are worth nothing then. The CA's key, ca.key, is not needed to run anything: keep it elsewhere.
            """
    )

    @Option(help: "Where to write.")
    var directory = "certs"

    @Option(help: ArgumentHelp("A host name or address of the gateway; may be given several times.", valueName: "host"))
    var name: [String] = []

    @Option(
        help: ArgumentHelp("The CN of a client certificate; may be given several times.", valueName: "cn"),
        transform: DeviceID.argument
    )
    var client: [DeviceID] = []

    @Option(help: ArgumentHelp("How long they are valid.", valueName: "days"))
    var days = 825

    @Flag(help: "Overwrite files that are there.")
    var force = false

    @OptionGroup var file: ConfigurationOption

    func validate() throws {
        guard (1...36_500).contains(self.days) else { throw ValidationError("--days takes 1 to 36500.") }
        guard !self.directory.isEmpty else { throw ValidationError("--directory is empty.") }
    }

    func run() throws {
        let clients = try self.clients()
        let files = CertificateFiles(directory: self.directory)
        let names = ["ca", "gateway"] + clients.map(\.file)
        let present = files.existing(names.flatMap { ["\($0).crt", "\($0).key"] })
        guard present.isEmpty || self.force else {
            throw CommandFailure(
                .no,
                "there already: \(present.joined(separator: ", ")). --force makes a new CA and overwrites them: "
                    + "certificates made before are worth nothing then"
            )
        }
        let hosts = self.hosts()
        let validity = CertificateAuthority.Validity.days(self.days, from: Int64(Date().timeIntervalSince1970))
        let authority = try CertificateAuthority(commonName: "Sealgate CA for trying things out", validity: validity)
        let server = try authority.issueServer(names: hosts.names, addresses: hosts.addresses, validity: validity)
        var issued = [("ca", authority.authority), ("gateway", server)]
        for client in clients {
            issued.append((client.file, try authority.issueClient(commonName: client.commonName, validity: validity)))
        }
        try files.write(
            issued.flatMap { name, pair in
                [
                    CertificateFiles.File(name: name + ".key", content: pair.privateKey, isKey: true),
                    CertificateFiles.File(name: name + ".crt", content: pair.certificate, isKey: false),
                ]
            }
        )
        self.explain(files, clients, hosts.names + hosts.addresses)
    }

    /// Common names, and what their files are called.
    private func clients() throws(CommandFailure) -> [(commonName: String, file: String)] {
        var names = self.client.map(\.text)
        if names.isEmpty { names = [try self.file.load().name] }
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }.map { name in
            (name, ["ca", "gateway"].contains(name) ? name + "-client" : name)
        }
    }

    /// What the gateway's certificate is good for, in the order given.
    private func hosts() -> (names: [String], addresses: [String]) {
        var names = ["localhost"]
        var addresses = ["127.0.0.1", "::1"]
        let machine = ProcessInfo.processInfo.hostName
        let isName = machine.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."): true
            default: false
            }
        }
        for host in (isName && !machine.isEmpty ? [machine] : []) + self.name {
            if Self.isAddress(host) {
                if !addresses.contains(host) { addresses.append(host) }
            } else if !names.contains(host) {
                names.append(host)
            }
        }
        return (names, addresses)
    }

    private static func isAddress(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
    }

    /// What was made, and where it goes.
    private func explain(
        _ files: CertificateFiles,
        _ clients: [(commonName: String, file: String)],
        _ hosts: [String]
    ) {
        // Paths in gateway.conf start where that file is.
        let isBeside = self.directory.hasPrefix("/") || !self.file.path.contains("/")
        let absolute = URL(fileURLWithPath: self.directory).path
        let shown = CertificateFiles(directory: isBeside ? self.directory : absolute)
        let client = clients[0].file
        var lines = [
            "\(files.path("ca.crt")), ca.key: the CA. Its key is not needed to run anything: keep it elsewhere.",
            "\(files.path("gateway.crt")), gateway.key: for \(hosts.joined(separator: ", "))",
        ]
        for client in clients {
            lines.append(
                "\(files.path(client.file + ".crt")), \(client.file).key: client with the CN \(client.commonName)"
            )
        }
        lines += [
            "Valid for \(self.days) days.",
            "",
            "In gateway.conf, in the [[listener]] with protocol = \"mqtts\":",
            "  certificate = \"\(shown.path("gateway.crt"))\"",
            "  key         = \"\(shown.path("gateway.key"))\"",
            "  client_ca   = \"\(shown.path("ca.crt"))\"    # then a certificate's CN names the device",
            "",
            "In the [uplink.NAME] that proves itself by a certificate, in place of psk:",
            "  ca          = \"\(shown.path("ca.crt"))\"    # if this CA signs the broker's certificate too",
            "  certificate = \"\(shown.path(client + ".crt"))\"",
            "  key         = \"\(shown.path(client + ".key"))\"",
            "",
            "The outside broker gets ca.crt, and a certificate and key for its own name. In mosquitto.conf, for that",
            "listener, with files that the user mosquitto can read:",
            "  cafile   /etc/mosquitto/certs/ca.crt",
            "  certfile /etc/mosquitto/certs/broker.crt",
            "  keyfile  /etc/mosquitto/certs/broker.key",
            "  require_certificate true",
            "  use_identity_as_username true",
            "",
            "Nodes get ca.crt too, to know the gateway by.",
        ]
        for line in lines { Output.line(line) }
    }
}
