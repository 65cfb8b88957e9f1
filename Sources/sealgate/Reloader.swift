import Gateway
import Logging
import ServiceLifecycle
import UnixSignals

/// Reads gateway.conf again on SIGHUP. A file with any error changes nothing.
struct Reloader: Service {
    let gateway: Gateway
    let path: String
    let logger: Logger

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            do {
                let configuration = try GatewayConfiguration.load(path: self.path)
                await self.gateway.reload(configuration)
            } catch {
                self.logger.error(
                    "gateway.conf is not valid: the old configuration stays",
                    metadata: ["findings": "\(error)"]
                )
            }
        }
    }
}
