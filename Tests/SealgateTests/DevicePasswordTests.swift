import Foundation
import TestSupport
import Testing

@testable import sealgate

@Suite(.inTurn) struct DevicePasswordTests {
    private static let configuration =
        CommandHome.configuration + "\n[[listener]]\nprotocol = \"mqtt\"\nbind = \"127.0.0.1:0\"\npassword = true\n"

    private func home(_ configuration: String = Self.configuration) async throws -> GatewayProcess.Home {
        let home = try GatewayProcess.Home(configuration: configuration)
        let added = try await home.sealgate("device add hass --profile plain")
        #expect(added.exit == .status(0), "\(added.all)")
        return home
    }

    @Test("the first line of standard input is the password; show, list and removal tell that there is one")
    func set() async throws {
        let home = try await self.home()
        #expect(try await home.sealgate("device show hass --json").json("password") as? Bool == false)
        let first = try await home.sealgate("device password hass", input: "a long secret\nanother line\n")
        #expect(first.exit == .status(0), "\(first.all)")
        #expect(first.output == ["device hass has a password; in force within one second"])
        #expect(first.errors == [])
        let second = try await home.sealgate("device password hass", input: "another secret\r\n")
        #expect(second.output == ["device hass has another password; in force within one second"])
        #expect(
            try await home.sealgate("device show hass").output.contains("password       set; the user name is hass")
        )
        #expect(try await home.sealgate("device list").output[1].split(separator: " ").contains("set"))
        #expect(try !CommandHome.isAnywhere("a long secret", below: home.directory.path))
        #expect(try !CommandHome.isAnywhere("another secret", below: home.directory.path))

        let removed = try await home.sealgate("device password hass --remove")
        #expect(removed.output == ["device hass has no password any more; in force within one second"])
        let again = try await home.sealgate("device password hass --remove")
        #expect(again.output == ["device hass had no password"] && again.exit == .status(0))
        #expect(try await home.sealgate("device show hass --json").json("password") as? Bool == false)
    }

    @Test("a password that is made is printed alone, once, and is another one each time")
    func generated() async throws {
        let home = try await self.home()
        let first = try await home.sealgate("device password hass --generate")
        #expect(first.exit == .status(0), "\(first.all)")
        #expect(first.output.count == 1 && first.output[0].utf8.count == 24)
        #expect(first.errors == ["device hass has a password; in force within one second"])
        let second = try await home.sealgate("device password hass --generate --json")
        let password = try #require(second.json("generated") as? String)
        #expect(password.utf8.count == 24 && password != first.output[0])
        #expect(try second.json("password") as? Bool == true)
        #expect(try !CommandHome.isAnywhere(password, below: home.directory.path))
    }

    @Test(
        "what can't be a password changes nothing, and is not repeated",
        arguments: [
            ("short\n", "the password has 5 bytes; it needs 8 at least"),
            (String(repeating: "a", count: 129), "the password has 129 bytes; 128 are the most"),
            ("tab\tinside it\n", "the password has a character that can't be seen or typed"),
            ("", "standard input has no line with a password"), ("\n", "the password has 0 bytes"),
            (String(repeating: "a", count: 20_000), "128 are the most"),
        ]
    )
    func rules(input: String, message: String) async throws {
        let home = try await self.home()
        let finished = try await home.sealgate("device password hass", input: input)
        #expect(finished.exit == .status(2))
        #expect(finished.all.contains(message), "\(finished.all)")
        #expect(finished.output == [])
        #expect(try await home.sealgate("device show hass --json").json("password") as? Bool == false)
    }

    @Test("an unknown device, one that is revoked, and a configuration without such a listener are told of")
    func warnings() async throws {
        let home = try await self.home(CommandHome.configuration)
        let unknown = try await home.sealgate("device password hase --generate")
        #expect(unknown.exit == .status(1))
        #expect(unknown.errors == ["sealgate: there is no device hase; did you mean \"hass\"?"])
        #expect(try await home.sealgate("device password hass --generate --remove").exit == .status(2))
        _ = try await home.sealgate("device revoke hass")
        let set = try await home.sealgate("device password hass", input: "a long secret")
        #expect(set.exit == .status(0))
        #expect(
            set.errors == [
                "sealgate: device hass is revoked: its password opens nothing",
                "sealgate: no listener of gateway.conf has password = true: nobody can use a password yet",
            ]
        )
        let empty = try CommandHome.make()
        #expect(try await empty.sealgate("device password hass --generate").exit == .status(1))
        #expect(!FileManager.default.fileExists(atPath: empty.directory.file("state")))
    }

    @Test(
        "an export has the hash with the keys or not at all; an import brings it back, and without it keeps the old one"
    )
    func exported() async throws {
        let home = try await self.home()
        _ = try await home.sealgate("device password hass", input: "a long secret")
        let bare = try await home.sealgate("device export")
        #expect(!bare.text.contains("password_hash"))
        #expect(bare.errors == ["they have passwords, which --secrets adds as hashes: hass"])
        let full = try await home.sealgate("device export --secrets")
        #expect(full.text.contains("password_hash = \"hex:010e080110"))

        let other = try GatewayProcess.Home(configuration: Self.configuration)
        let imported = try await other.sealgate("device import -", input: full.text)
        #expect(imported.output == ["devices: 1 added, 1 with a password; in force within one second"])
        #expect(try await other.sealgate("device export --secrets").text == full.text)
        let again = try await other.sealgate("device import --replace -", input: bare.text)
        #expect(again.output == ["devices: 0 added, 1 as they were"], "\(again.all)")
        #expect(try await other.sealgate("device export --secrets").text == full.text)
    }

    // MARK: The terminal

    /// A terminal whose other end the test has.
    private final class Terminal {
        let keyboard: Int32
        let screen: Int32

        init() throws {
            self.keyboard = open("/dev/ptmx", O_RDWR | O_NOCTTY)
            // Glibc's module lacks unlockpt and ptsname; these are what they do on Linux (TIOCSPTLCK, TIOCGPTN).
            var isLocked: Int32 = 0
            var number: UInt32 = 0
            try #require(self.keyboard >= 0)
            try #require(ioctl(self.keyboard, 0x4004_5431, &isLocked) == 0)
            try #require(ioctl(self.keyboard, 0x8004_5430, &number) == 0)
            self.screen = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
            #expect(self.screen >= 0)
        }

        deinit {
            close(self.keyboard)
            close(self.screen)
        }

        /// Waits for the end of a line; all that was shown up to it.
        func shownLine() -> [UInt8] {
            var bytes: [UInt8] = []
            var byte: UInt8 = 0
            while bytes.last != 0x0A, read(self.keyboard, &byte, 1) == 1 { bytes.append(byte) }
            return bytes
        }

        var echoes: Bool {
            var settings = termios()
            return tcgetattr(self.screen, &settings) == 0 && settings.c_lflag & tcflag_t(ECHO | ICANON) != 0
        }
    }

    /// What the prompt makes of keys that are typed when it asks, and what the screen shows of them.
    private func typed(_ keys: [UInt8]) throws -> (line: [UInt8]?, screen: [UInt8]) {
        let terminal = try Terminal()
        let prompt = PasswordPrompt(input: terminal.screen, output: terminal.screen)
        #expect(prompt.isTerminal)
        let (keyboard, done) = (terminal.keyboard, DispatchSemaphore(value: 0))
        DispatchQueue.global().async {
            // The question comes when nothing that is typed is shown any more.
            var byte: UInt8 = 0
            while byte != UInt8(ascii: "?"), read(keyboard, &byte, 1) == 1 {}
            _ = write(keyboard, keys, keys.count)
            done.signal()
        }
        let line = try? prompt.read("Password?")
        done.wait()
        #expect(terminal.echoes)
        return (line, terminal.shownLine())
    }

    @Test("what is typed on a terminal is not shown, and can be mended")
    func terminal() throws {
        #expect(try self.typed(Array("a secret\n".utf8)) == (Array("a secret".utf8), [0x0D, 0x0A]))
        #expect(try self.typed(Array("a secret\r".utf8)).line == Array("a secret".utf8))
        #expect(try self.typed(Array("xy\u{7F}\u{8}az\u{7F}é\u{7F} secret\n".utf8)).line == Array("a secret".utf8))
        #expect(try self.typed(Array("something\u{15}a secret\n".utf8)).line == Array("a secret".utf8))
    }

    @Test(
        "Ctrl-C and Ctrl-D give up, and leave the terminal as it was",
        arguments: [[0x61, 0x03], [0x04]] as [[UInt8]]
    )
    func givenUp(keys: [UInt8]) throws { #expect(try self.typed(keys).line == nil) }
}
