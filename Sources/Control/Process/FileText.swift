import Base
import CLinux
import Glibc

/// Why a file could not be read or written: its path, and what the system says.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ path: String, _ what: String) { description = "\(path.printable()): \(what)" }

    init(_ path: String, errno: CInt) { self.init(path, String(cString: strerror(errno))) }
}

/// Whole files, read and written at once.
enum FileText {
    /// Bytes of a file; with `anyKind` also of a pipe or device, for which the caller then waits. The switch itself reads
    /// regular files alone: a pipe that nobody writes to would hold up every command.
    static func read(_ path: String, anyKind: Bool = false, limit: Int = 256 << 20) throws(FileError) -> [UInt8] {
        let descriptor = weft_open(path, O_RDONLY | O_CLOEXEC | (anyKind ? 0 : O_NONBLOCK), 0)
        guard descriptor >= 0 else { throw FileError(path, errno: weft_errno()) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(path, errno: weft_errno()) }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFREG || anyKind && kind != S_IFDIR else {
            throw FileError(path, kind == S_IFDIR ? "is a directory" : "is not a regular file")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(max(0, min(limit, Int(status.st_size))))
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count > 0 {
                bytes += chunk[..<count]
            } else if weft_errno() != EINTR {
                throw FileError(path, errno: weft_errno())
            }
            guard bytes.count <= limit else { throw FileError(path, "longer than \(limit) bytes") }
        }
    }

    /// Writes a file beside its place and moves it there, so that whoever reads it finds the old or the new one, whole. A
    /// symbolic link stays one, and an old file's permissions stay.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        guard !path.isEmpty else { throw FileError(path, errno: ENOENT) }
        let target =
            realpath(path, nil).map { resolved in
                defer { free(resolved) }
                return String(cString: resolved)
            } ?? path
        var status = stat()
        let isThere = stat(target, &status) == 0
        if isThere, status.st_mode & S_IFMT != S_IFREG {
            throw FileError(path, status.st_mode & S_IFMT == S_IFDIR ? "is a directory" : "is not a regular file")
        }
        let beside = target + ".\(getpid()).new"
        // In a directory that others write to, the name may be taken by a pipe that nobody reads, or a file of theirs.
        unlink(beside)
        let descriptor = weft_open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(path, errno: weft_errno()) }
        var failure = isThere && fchmod(descriptor, status.st_mode & 0o7777) != 0 ? weft_errno() : 0
        var written = 0
        while failure == 0, written < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
            if count > 0 {
                written += count
            } else if count == 0 || weft_errno() != EINTR {
                failure = count == 0 ? EIO : weft_errno()
            }
        }
        if failure == 0, fsync(descriptor) != 0 { failure = weft_errno() }
        close(descriptor)
        if failure == 0, rename(beside, target) != 0 { failure = weft_errno() }
        guard failure == 0 else {
            unlink(beside)
            throw FileError(path, errno: failure)
        }
    }
}
