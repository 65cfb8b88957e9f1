import Foundation
import Logging

/// What was done about a damaged database.
struct Rescue {
    /// Where it was put; nil: an earlier run had done so.
    var setAside: String?
    /// What was saved; nil: nothing could be.
    var report: SalvageReport?

    /// Sets the database aside and begins a new one with what can be read of it.
    static func run(
        _ directory: StateDirectory,
        damage: String,
        options: StoreOptions,
        logger: Logger
    ) throws(StoreError) -> Rescue {
        var metadata: Logger.Metadata = ["database": "\(directory.database)", "damage": "\(damage)"]
        var report: SalvageReport?
        do {
            report = try Salvage.run(directory, options: options)
        } catch {
            let error = StoreError(
                error,
                file: directory.salvage,
                operation: "saving what is left of a damaged database"
            )
            metadata["saving"] = "\(error)"
        }
        let aside = try directory.setDatabaseAside(now: time(nil))
        metadata["set-aside"] = "\(aside)"
        if let report {
            try directory.useSalvaged()
            metadata["saved"] = "\(report.saved)"
            metadata["lost-rows"] = "\(report.lostRows)"
            metadata["damaged-pages"] = "\(report.damagedPages) of \(report.pages)"
            if let reason = report.cutShort { metadata["not-all-was-read"] = "\(reason)" }
            if report.mayHaveDeletedRows { metadata["deleted-rows"] = "may have come back" }
            logger.error(
                "The database is damaged. It was set aside and a new one begun with what could be read of it.",
                metadata: metadata
            )
        } else {
            let message: Logger.Message =
                """
                The database is damaged. It was set aside and a new one begun, which has none of its devices, waiting \
                messages, sessions and retained messages.
                """
            logger.error(message, metadata: metadata)
        }
        try directory.prepare(for: .gateway)
        return Rescue(setAside: aside, report: report)
    }

    /// Goes on where a process was ended after it had saved everything.
    static func goOn(_ directory: StateDirectory, logger: Logger) throws(StoreError) -> Rescue {
        // Nothing in its place, or only the beginning of a new one: it had been set aside.
        let isThere = (StateDirectory.status(of: directory.database)?.bytes ?? 0) > 0
        let aside = isThere ? try directory.setDatabaseAside(now: time(nil)) : nil
        try directory.useSalvaged()
        logger.error(
            "A damaged database was set aside; what could be read of it is in the new one.",
            metadata: ["database": "\(directory.database)", "set-aside": "\(aside ?? "before")"]
        )
        return Rescue(setAside: aside, report: nil)
    }
}
