import MQTTCodec
import NIOCore
import OpenSSL
import Synchronization

/// The user names and passwords for one outside broker and the proxy on the way to it, read from their files, and again when
/// these change. Any thread.
final class BrokerSecrets: Sendable {
    struct Values: Sendable {
        var userName: MQTTString?
        var password: Password?
        /// The value of Proxy-Authorization (RFC 7617 §2).
        var proxyAuthorization: String?
    }

    private struct State {
        var values: Values
        var stamps: [TLSFile.Stamp?]
        /// Why the files could not be used at the last look.
        var failure: String?
    }

    private let configuration: UplinkConfiguration
    private let state: Mutex<State>

    /// Reads the files. Blocks.
    init(_ configuration: UplinkConfiguration) throws {
        self.configuration = configuration
        let stamps = Self.stamps(configuration)
        self.state = Mutex(State(values: try Self.read(configuration), stamps: stamps))
    }

    /// As they are now.
    var current: Values { self.state.withLock(\.values) }

    /// Reads files that have changed. Blocks: not for the loop.
    ///
    /// - Returns: Whether there is anything new.
    /// - Throws: ``FileError`` if a file can't be used, but not for the same reason as the last time: the values stay.
    func refresh() throws -> Bool {
        let stamps = Self.stamps(self.configuration)
        guard self.state.withLock({ $0.stamps != stamps }) else { return false }
        do {
            let values = try Self.read(self.configuration)
            self.state.withLock { $0 = State(values: values, stamps: stamps) }
            return true
        } catch {
            let isNews = self.state.withLock { state in
                defer { state.failure = "\(error)" }
                return state.failure != "\(error)"
            }
            if isNews { throw error }
            return false
        }
    }

    private static func stamps(_ configuration: UplinkConfiguration) -> [TLSFile.Stamp?] {
        [configuration.usernameFile, configuration.passwordFile, configuration.proxy?.passwordFile]
            .compactMap { $0 }.map { TLSFile.stamp(path: $0.path) }
    }

    /// As the files are now. Blocks if there are any.
    static func read(_ configuration: UplinkConfiguration) throws -> Values {
        var values = Values()
        if let file = configuration.usernameFile {
            let bytes = try SecretFile.loadSecret(file)
            guard bytes.count <= 65_535, let name = try? MQTTString(validating: ByteBuffer(bytes: bytes)) else {
                throw FileError(path: file.path, kind: .content("holds what is no user name of MQTT"))
            }
            values.userName = name
        } else {
            values.userName = try configuration.username.map { try MQTTString($0) }
        }
        values.password = try configuration.passwordFile.map {
            Password(ByteBuffer(bytes: try SecretFile.loadSecret($0)))
        }
        if let proxy = configuration.proxy, let name = proxy.username, let file = proxy.passwordFile {
            let credentials = Array("\(name):".utf8) + (try SecretFile.loadSecret(file))
            values.proxyAuthorization = "Basic " + Base64.encode(credentials)
        }
        return values
    }
}
