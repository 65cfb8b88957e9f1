import CoAPEndpoint
import OpenSSL
import Transport

extension CoAPSite {
    /// What `sealgate status` shows of the listener.
    var report: GatewayStatus.CoAPListener {
        let counters = self.channel?.counters
        let dtls = self.channel?.dtlsCounters
        return GatewayStatus.CoAPListener(
            bind: "\(self.listener.bind)",
            peers: self.channel?.peerCount ?? 0,
            observers: self.channel?.observationCount ?? 0,
            dtlsSessions: dtls == nil ? nil : self.channel?.sessionCount ?? 0,
            requests: counters?.requests ?? 0,
            repeated: counters?.duplicates ?? 0,
            malformed: counters?.malformed ?? 0,
            overloaded: (counters?.overloaded ?? 0) + (counters?.peersTurnedAway ?? 0),
            handshakes: dtls?.handshakes,
            resumptions: dtls?.resumptions,
            failedHandshakes: dtls?.unfinished
        )
    }

    /// What `$SYS` says of it.
    var systemValues: [(name: String, value: String)] {
        let base = "gateway/coap/\(self.listener.bind)"
        let report = self.report
        var values = [
            ("\(base)/peers", "\(report.peers)"),
            ("\(base)/observers", "\(report.observers)"),
            ("\(base)/requests", "\(report.requests)"),
            ("\(base)/repeated", "\(report.repeated)"),
            ("\(base)/malformed", "\(report.malformed)"),
            ("\(base)/overloaded", "\(report.overloaded)"),
        ]
        if let sessions = report.dtlsSessions {
            values += [
                ("\(base)/dtls/sessions", "\(sessions)"),
                ("\(base)/dtls/handshakes", "\(report.handshakes ?? 0)"),
                ("\(base)/dtls/resumptions", "\(report.resumptions ?? 0)"),
                ("\(base)/dtls/failed", "\(report.failedHandshakes ?? 0)"),
            ]
        }
        return values
    }
}
