import Devices
import MQTTCodec
import OpenSSL

/// What one device's connection shows to an outside broker.
struct DeviceCredentials: Sendable {
    /// nil: nothing of its own.
    var tls: TLSClientCredentials?
    var userName: MQTTString?
    var password: Password?

    /// Puts them together for one device, and reads its files: blocks if there are any.
    ///
    /// - Parameter key: The device's own TLS-PSK, if that proves it; nil: there is none.
    /// - Throws: ``CredentialsError``.
    init(_ configuration: UplinkConfiguration, device: DeviceID, key: [UInt8]?) throws(CredentialsError) {
        var own = configuration.forDevice(device)
        own.proxy = nil
        // Nothing else of an id means anything in a path.
        if configuration.hasDeviceFiles, device.text == "." || device.text == ".." {
            throw CredentialsError(words: "a device of this name has no files: the path would lead elsewhere")
        }
        do {
            if let identity = configuration.devices?.keyIdentity, let gateway = configuration.devices?.gateway {
                guard let key else { throw CredentialsError(words: "the device has no TLS-PSK here") }
                let name = Array(identity.expand(device: device.text, gateway: gateway).utf8)
                self.tls = try TLSClientCredentials(preSharedKey: TLSPreSharedKey(identity: name, key: key))
            } else if let certificate = own.certificate, let file = own.key {
                self.tls = try TLSClientCredentials(
                    certificateChain: certificate.path,
                    privateKey: file.path,
                    passphrase: try own.keyPassphraseFile.map { try SecretFile.loadPassphrase($0) }
                )
            }
            let secrets = try BrokerSecrets.read(own)
            self.userName = secrets.userName
            self.password = secrets.password
        } catch let error as CredentialsError {
            throw error
        } catch {
            throw CredentialsError(words: "\(error)")
        }
    }
}

/// Why a device's connection has nothing to show.
struct CredentialsError: Error, Equatable {
    /// For the log; without secrets.
    let words: String
}
