/// What this build calls itself.
package enum Version {
    /// As `sealgate --version` prints it.
    package static let text = "0.2.0"
    /// A day before the release, in milliseconds since 1970: no clock that is right shows less. Set by hand with ``text``, so that two
    /// builds of one source are the same; long enough before the release that a build machine may be late.
    package static let notBefore: Int64 = 1_767_225_600_000  // 2026-01-01
}
