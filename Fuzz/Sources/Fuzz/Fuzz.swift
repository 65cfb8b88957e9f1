import CLibFuzzer
import Glibc

/// The fuzzer: one program for all targets, which the first argument chooses among. The rest goes to libFuzzer.
@main
struct Fuzz {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "list":
            print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
        case "seeds" where arguments.count >= 3:
            Seeds.write(to: arguments[1], from: Array(arguments[2...]))
        case let name?:
            guard let target = FuzzTarget.all.first(where: { $0.name == name }) else { Self.usage() }
            Self.run(target)
        case nil:
            Self.usage()
        }
    }

    private static func run(_ target: FuzzTarget) {
        current = target
        atexit { Tally.report() }
        // libFuzzer starts itself again for some options, with the arguments that it was given: ours has to be among them.
        var count = CommandLine.argc
        var values: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
        values?[1] = strdup("--\(target.name)")
        exit(LLVMFuzzerRunDriver(&count, &values, runOneInput))
    }

    private static func usage() -> Never {
        let text = """
            usage: fuzz list                        names of the targets
                   fuzz seeds DIRECTORY FILE...     writes a corpus for each target from the test vectors in the files
                   fuzz TARGET [OPTION...] PATH...  options are libFuzzer's; paths are a corpus, or inputs to run once

            """
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
        exit(2)
    }
}

/// Set once, before libFuzzer calls ``runOneInput(_:_:)`` on the same thread.
nonisolated(unsafe) private var current = FuzzTarget(name: "none") { _ in }

private func runOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    current.check(FuzzInput(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
