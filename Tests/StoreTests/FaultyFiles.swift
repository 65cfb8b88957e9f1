import Foundation
import GRDBSQLite
import Synchronization

/// A layer between SQLite and the disk that fails what it is told to fail, and knows what a power cut would leave.
///
/// Reads and writes go to the real files, syncs go nowhere: what was written and not synced is kept here as such.
final class FaultyFiles: Sendable {
    /// What SQLite asks for.
    enum Call: String, CaseIterable, Sendable {
        case open, read, write, sync, truncate, delete, sharedMemory
    }

    /// Which calls fail.
    struct Fault: Sendable {
        var call: Call
        /// The first that fails, counted from 1 since ``FaultyFiles/fail(_:)``.
        var number: Int
        /// How many fail from then on.
        var count = 1
        /// SQLite's result code.
        var code: Int32
        /// Half of what was to be written is.
        var isShort = false
    }

    /// A file as it would be found after a power cut.
    struct Image: Sendable {
        /// What is on disk for sure.
        var durable: [UInt8] = []
        /// What was asked for since the last sync, in order.
        var pending: [Change] = []

        enum Change: Sendable {
            case write(offset: Int, bytes: [UInt8])
            case truncate(Int)
        }

        /// With those of the pending changes that `isKept` says, sector by sector.
        func afterPowerCut(_ isKept: () -> Bool) -> [UInt8] {
            var bytes = self.durable
            for change in self.pending {
                switch change {
                case .truncate(let size): if isKept() { Self.resize(&bytes, to: size) }
                case .write(let offset, let new):
                    for start in stride(from: 0, to: new.count, by: 512) where isKept() {
                        let part = new[start..<min(start + 512, new.count)]
                        Self.write(part, at: offset + start, in: &bytes)
                    }
                }
            }
            return bytes
        }

        mutating func sync() {
            self.durable = self.afterPowerCut { true }
            self.pending = []
        }

        private static func resize(_ bytes: inout [UInt8], to size: Int) {
            if bytes.count > size { bytes.removeLast(bytes.count - size) }
        }

        private static func write(_ part: ArraySlice<UInt8>, at offset: Int, in bytes: inout [UInt8]) {
            let missing = offset + part.count - bytes.count
            if missing > 0 { bytes += [UInt8](repeating: 0, count: missing) }
            bytes.replaceSubrange(offset..<offset + part.count, with: part)
        }
    }

    private struct State {
        var fault: Fault?
        var counts: [Call: Int] = [:]
        var hits = 0
        var images: [String: Image] = [:]
        var onSync: (@Sendable ([String: Image]) -> Void)?
    }

    let name = "faulty-" + UUID().uuidString
    private let state = Mutex(State())
    private nonisolated(unsafe) let registered: UnsafeMutablePointer<sqlite3_vfs>
    private nonisolated(unsafe) let base: UnsafeMutablePointer<sqlite3_vfs>

    init() {
        guard let base = sqlite3_vfs_find(nil) else { preconditionFailure("SQLite has no file system") }
        self.base = base
        self.registered = .allocate(capacity: 1)
        self.registered.initialize(to: base.pointee)
        self.registered.pointee.szOsFile = Int32(FaultyFile.innerOffset) + base.pointee.szOsFile
        self.registered.pointee.zName = UnsafePointer(strdup(self.name))
        self.registered.pointee.pNext = nil
        self.registered.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
        self.registered.pointee.xOpen = { vfs, path, file, flags, outFlags in
            guard let vfs, let file else { return SQLITE_MISUSE }
            return FaultyFiles.behind(vfs).open(path, file, flags, outFlags)
        }
        self.registered.pointee.xDelete = { vfs, path, syncDirectory in
            guard let vfs, let path else { return SQLITE_MISUSE }
            return FaultyFiles.behind(vfs).delete(path, syncDirectory)
        }
        self.registered.pointee.xAccess = { vfs, path, flags, result in
            guard let vfs else { return SQLITE_MISUSE }
            let base = FaultyFiles.behind(vfs).base
            return base.pointee.xAccess(base, path, flags, result)
        }
        sqlite3_vfs_register(self.registered, 0)
    }

    deinit {
        sqlite3_vfs_unregister(self.registered)
        free(UnsafeMutableRawPointer(mutating: self.registered.pointee.zName))
        self.registered.deallocate()
    }

    private static func behind(_ vfs: UnsafeMutablePointer<sqlite3_vfs>) -> FaultyFiles {
        Unmanaged<FaultyFiles>.fromOpaque(vfs.pointee.pAppData).takeUnretainedValue()
    }

    // MARK: - For tests

    /// Fails these from now on; nil: nothing.
    func fail(_ fault: Fault?) {
        self.state.withLock { state in
            state.fault = fault
            state.counts = [:]
            state.hits = 0
        }
    }

    /// How many calls have failed.
    var hits: Int { self.state.withLock { $0.hits } }

    /// Calls `body` before each sync with what all files would be if the power failed now.
    func beforeSyncs(_ body: (@Sendable ([String: Image]) -> Void)?) {
        self.state.withLock { $0.onSync = body }
    }

    /// What all files would be if the power failed now.
    var images: [String: Image] { self.state.withLock { $0.images } }

    // MARK: - Calls of SQLite

    /// What a call is to answer; nil: go on.
    fileprivate func pass(_ call: Call) -> Fault? {
        self.state.withLock { state in
            state.counts[call, default: 0] += 1
            guard let fault = state.fault, fault.call == call else { return nil }
            let number = state.counts[call] ?? 0
            guard number >= fault.number, number - fault.number < fault.count else { return nil }
            state.hits += 1
            return fault
        }
    }

    private func open(
        _ path: UnsafePointer<CChar>?,
        _ file: UnsafeMutablePointer<sqlite3_file>,
        _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        file.pointee.pMethods = nil
        if let fault = self.pass(.open) { return fault.code }
        let inner = FaultyFile.inner(file)
        let code = self.base.pointee.xOpen(self.base, path, inner, flags, outFlags)
        guard code == SQLITE_OK else { return code }
        let name = path.map { String(cString: $0) } ?? ""
        self.state.withLock { state in
            guard state.images[name] == nil else { return }
            let bytes = FileManager.default.contents(atPath: name).map { [UInt8]($0) } ?? []
            state.images[name] = Image(durable: bytes)
        }
        FaultyFile.attach(FaultyFile(name: name, files: self), to: file)
        return SQLITE_OK
    }

    private func delete(_ path: UnsafePointer<CChar>, _ syncDirectory: Int32) -> Int32 {
        if let fault = self.pass(.delete) { return fault.code }
        self.state.withLock { $0.images[String(cString: path)] = nil }
        return self.base.pointee.xDelete(self.base, path, syncDirectory)
    }

    fileprivate func changed(_ name: String, _ change: Image.Change) {
        self.state.withLock { $0.images[name]?.pending.append(change) }
    }

    fileprivate func sync(_ name: String) {
        let (images, body) = self.state.withLock { ($0.images, $0.onSync) }
        body?(images)
        self.state.withLock { $0.images[name]?.sync() }
    }
}

/// What is behind one open file. In front of the real `sqlite3_file`, so that SQLite finds ours first.
private final class FaultyFile: Sendable {
    static let innerOffset = 16

    let name: String
    let files: FaultyFiles

    init(name: String, files: FaultyFiles) {
        self.name = name
        self.files = files
    }

    typealias Handle = UnsafeMutablePointer<sqlite3_file>

    static func inner(_ file: Handle) -> Handle {
        UnsafeMutableRawPointer(file).advanced(by: self.innerOffset).assumingMemoryBound(to: sqlite3_file.self)
    }

    static func attach(_ own: FaultyFile, to file: Handle) {
        UnsafeMutableRawPointer(file).storeBytes(
            of: Unmanaged.passRetained(own).toOpaque(),
            toByteOffset: 8,
            as: UnsafeMutableRawPointer.self
        )
        file.pointee.pMethods = UnsafePointer(self.methods)
    }

    private static func handle(_ file: Handle) -> Unmanaged<FaultyFile> {
        .fromOpaque(UnsafeRawPointer(file).load(fromByteOffset: 8, as: UnsafeMutableRawPointer.self))
    }

    private static func own(_ file: Handle) -> FaultyFile { self.handle(file).takeUnretainedValue() }

    private static func real(_ file: Handle) -> (Handle, sqlite3_io_methods) {
        let inner = self.inner(file)
        return (inner, inner.pointee.pMethods.pointee)
    }

    /// One table for all files, for ever.
    private nonisolated(unsafe) static let methods: UnsafeMutablePointer<sqlite3_io_methods> = {
        let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        methods.initialize(to: sqlite3_io_methods())
        methods.pointee.iVersion = 2
        methods.pointee.xClose = { file in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            let code = real.xClose(inner)
            FaultyFile.handle(file).release()
            return code
        }
        methods.pointee.xRead = { file, bytes, count, offset in
            guard let file else { return SQLITE_MISUSE }
            if let fault = FaultyFile.own(file).files.pass(.read) { return fault.code }
            let (inner, real) = FaultyFile.real(file)
            return real.xRead(inner, bytes, count, offset)
        }
        methods.pointee.xWrite = { file, bytes, count, offset in
            guard let file, let bytes else { return SQLITE_MISUSE }
            let own = FaultyFile.own(file)
            let fault = own.files.pass(.write)
            if let fault, !fault.isShort { return fault.code }
            let written = fault == nil ? count : count / 2
            let (inner, real) = FaultyFile.real(file)
            let code = real.xWrite(inner, bytes, written, offset)
            guard code == SQLITE_OK else { return code }
            let content = [UInt8](UnsafeRawBufferPointer(start: bytes, count: Int(written)))
            own.files.changed(own.name, .write(offset: Int(offset), bytes: content))
            return fault?.code ?? SQLITE_OK
        }
        methods.pointee.xTruncate = { file, size in
            guard let file else { return SQLITE_MISUSE }
            let own = FaultyFile.own(file)
            if let fault = own.files.pass(.truncate) { return fault.code }
            let (inner, real) = FaultyFile.real(file)
            let code = real.xTruncate(inner, size)
            if code == SQLITE_OK { own.files.changed(own.name, .truncate(Int(size))) }
            return code
        }
        methods.pointee.xSync = { file, _ in
            guard let file else { return SQLITE_MISUSE }
            let own = FaultyFile.own(file)
            if let fault = own.files.pass(.sync) { return fault.code }
            own.files.sync(own.name)
            return SQLITE_OK
        }
        methods.pointee.xShmMap = { file, region, size, extend, result in
            guard let file else { return SQLITE_MISUSE }
            if let fault = FaultyFile.own(file).files.pass(.sharedMemory) { return fault.code }
            let (inner, real) = FaultyFile.real(file)
            return real.xShmMap(inner, region, size, extend, result)
        }
        FaultyFile.passThrough(&methods.pointee)
        return methods
    }()

    private static func passThrough(_ methods: inout sqlite3_io_methods) {
        methods.xFileSize = { file, size in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xFileSize(inner, size)
        }
        methods.xLock = { file, level in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xLock(inner, level)
        }
        methods.xUnlock = { file, level in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xUnlock(inner, level)
        }
        methods.xCheckReservedLock = { file, result in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xCheckReservedLock(inner, result)
        }
        methods.xFileControl = { file, operation, argument in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xFileControl(inner, operation, argument)
        }
        methods.xSectorSize = { file in
            guard let file else { return 512 }
            let (inner, real) = FaultyFile.real(file)
            return real.xSectorSize(inner)
        }
        // None: a device of which nothing is known.
        methods.xDeviceCharacteristics = { _ in 0 }
        methods.xShmLock = { file, offset, count, flags in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xShmLock(inner, offset, count, flags)
        }
        methods.xShmBarrier = { file in
            guard let file else { return }
            let (inner, real) = FaultyFile.real(file)
            real.xShmBarrier(inner)
        }
        methods.xShmUnmap = { file, isDelete in
            guard let file else { return SQLITE_MISUSE }
            let (inner, real) = FaultyFile.real(file)
            return real.xShmUnmap(inner, isDelete)
        }
    }
}
