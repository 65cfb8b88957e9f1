import Foundation
import TestSupport

/// A directory with a gateway.conf, for commands that run as child processes in it.
enum CommandHome {
    /// One profile of each kind that devices can have.
    static let configuration = """
        [gateway]
        name = "attic"

        [[listener]]
        protocol  = "mqtt"
        bind      = "127.0.0.1:0"
        anonymous = true

        [[listener]]
        protocol = "mqtts"
        bind     = "127.0.0.1:0"
        psk      = true

        [profile.sensor]
        seal      = "v1"
        publish   = ["nodes/%d/#"]
        subscribe = ["nodes/%d/sessionID", "nodes/%d/cmd/#"]
        deny      = ["nodes/%d/secret/#"]

        [profile.article]
        seal          = "v1"
        session_topic = "mytopic/sessionID"
        publish       = ["mytopic/data"]
        subscribe     = ["mytopic/sessionID"]

        [profile.plain]
        publish   = ["plain/%d/+"]
        subscribe = ["plain/%d/cmd/#"]

        [uplink.cloud]
        address = ["mqtt://127.0.0.1:1"]

        [[route]]
        direction = "out"
        from      = "nodes/%d/#"
        to        = "sites/%g/%d/#"
        uplink    = "cloud"

        [[route]]
        direction = "in"
        from      = "sites/%g/%d/cmd/#"
        to        = "nodes/%d/cmd/#"
        uplink    = "cloud"
        """

    /// The keys of the published sample.
    static let sampleKeys = """
        [[device]]
        id         = "sample"
        profile    = "article"
        node_id    = "11242238"
        static_iv  = "abcdef2345678901"
        iv_key     = "2345678901abcdef"
        data_key   = "0123456789abcdef"
        passphrase = "mypassphrase"
        """

    /// A new directory with that configuration.
    static func make() throws -> GatewayProcess.Home {
        try GatewayProcess.Home(configuration: Self.configuration)
    }

    /// Whether the bytes of any file below `path` hold `text`.
    static func isAnywhere(_ text: String, below path: String) throws -> Bool {
        let needle = Data(text.utf8)
        for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
            guard let content = FileManager.default.contents(atPath: path + "/" + name) else { continue }
            if content.range(of: needle) != nil { return true }
        }
        return false
    }
}

extension GatewayProcess.Home {
    /// Runs `sealgate` with arguments that are separated by blanks.
    func sealgate(_ line: String, input: String? = nil) async throws -> ChildProcess.Finished {
        try await self.run(line.split(separator: " ").map(String.init), input: input)
    }

    /// Permission bits of a file.
    func mode(_ name: String) throws -> Int? {
        let attributes = try FileManager.default.attributesOfItem(atPath: self.directory.file(name))
        return (attributes[.posixPermissions] as? NSNumber)?.intValue
    }
}

extension ChildProcess.Finished {
    /// A member of the one JSON object on standard output.
    func json(_ key: String) throws -> Any? {
        try (JSONSerialization.jsonObject(with: Data(self.text.utf8)) as? [String: Any])?[key]
    }
}
