/// What this build calls itself.
package enum Version {
    /// As `sealgate --version` prints it.
    package static let text = "0.2.0"
}
