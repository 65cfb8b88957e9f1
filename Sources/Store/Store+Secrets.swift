import Foundation
import GRDB
package import NIOCore
import Sealing

extension Store {
    /// A secret of the gateway's own that has to outlive a restart, such as the keys of DTLS tickets: random bytes, wrapped by
    /// the master key, which is made if nothing depends on one yet. Made at the first call, and anew when it is too old, of
    /// another length, or of another master key. Blocks. Only for the gateway.
    ///
    /// - Parameters:
    ///   - name: Not that of a device: those have no spaces.
    ///   - count: Bytes of it.
    ///   - maxAge: It is made anew when it is older; what it protected is worth nothing then.
    ///   - now: The time of day, in milliseconds since 1970. A clock that is behind makes nothing anew.
    package func secret(
        named name: String,
        bytes count: Int,
        maxAge: TimeAmount,
        now: Int64
    ) throws(StoreError) -> [UInt8] {
        precondition(name.contains(" "), "a device may have the name \(name)")
        let secrets = self.secrets
        let oldest = now - maxAge.nanoseconds / 1_000_000
        return try self.access(operation: "reading a secret of the gateway") { db in
            var secret: [UInt8] = []
            try db.inTransaction(.immediate) {
                let keys = try secrets.open(db, create: true)
                let sql = "SELECT value FROM secret WHERE name = ? AND made_at >= ?"
                let wrapped = try Data.fetchOne(db, sql: sql, arguments: [name, oldest])
                if let known = wrapped.flatMap({ keys.unwrap([UInt8]($0), device: name) }), known.count == count {
                    secret = known
                    return .rollback
                }
                // The system's generator is one for keys.
                secret = (0..<count).map { _ in UInt8.random(in: .min ... .max) }
                try db.execute(
                    sql: "INSERT OR REPLACE INTO secret (name, value, made_at) VALUES (?, ?, ?)",
                    arguments: [name, Data(keys.wrap(secret, device: name)), now]
                )
                return .commit
            }
            return secret
        }
    }
}
