import Base
import CLinux
import Glibc

/// Why there is no control socket.
public struct ControlSocketError: Error, CustomStringConvertible {
    public let description: String
}

/// The file system side of the control socket: a bound and listening socket, and its file.
public struct ControlSocketFile: Sendable {
    public let path: String
    /// The listening socket.
    public let descriptor: CInt
    /// Which file it is: numbers of files are used again, but not at the same time.
    private let identity: Identity

    private struct Identity: Equatable {
        let inode: ino_t
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            inode = status.st_ino
            seconds = status.st_ctim.tv_sec
            nanoseconds = status.st_ctim.tv_nsec
        }
    }

    /// Binds and listens. The file has mode 0600 from its first moment.
    ///
    /// A file left behind by a switch that has died is replaced; a socket at which someone answers, or a file of
    /// another kind, is left alone and an error. The directory is locked meanwhile, so that two switches that
    /// start at the same time do not replace each other's socket.
    public init(path: String) throws(ControlSocketError) {
        func fail(_ what: String) -> ControlSocketError {
            ControlSocketError(description: "control socket \(path): \(what)")
        }
        func systemError(_ call: String) -> ControlSocketError {
            fail("\(call): \(String(cString: strerror(weft_errno())))")
        }

        guard let address = UnixAddress(path: path) else {
            throw fail("path is empty or longer than \(UnixAddress.maximumPathLength) bytes")
        }
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        // /run is empty after a restart of the machine. Only this one level is made: a mistyped path stays an error.
        mkdir(directory, 0o755)
        let lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0 else { throw systemError("directory \(directory)") }
        defer { close(lock) }
        guard flock(lock, LOCK_EX) == 0 else { throw systemError("lock of \(directory)") }

        var status = stat()
        if lstat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFSOCK else { throw fail("exists and is no socket") }
            guard !Self.answers(address) else { throw fail("another switch answers there") }
            guard unlink(path) == 0 else { throw systemError("removal of the old socket") }
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw systemError("socket") }
        do throws(ControlSocketError) {
            // Linux gives the file the mode of the socket.
            guard fchmod(descriptor, 0o600) == 0 else { throw systemError("fchmod") }
            guard address.withPointer({ bind(descriptor, $0, $1) }) == 0 else { throw systemError("bind") }
            guard listen(descriptor, 1024) == 0 else { throw systemError("listen") }
            guard lstat(path, &status) == 0 else { throw systemError("stat") }
        } catch {
            close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
        identity = Identity(status)
    }

    /// Removes the file, if it is still the one that was made.
    public func remove() {
        var status = stat()
        if lstat(path, &status) == 0, Identity(status) == identity { unlink(path) }
    }

    private static func answers(_ address: UnixAddress) -> Bool {
        let probe = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { return true }
        defer { close(probe) }
        // A full backlog (EAGAIN) has a living owner; only a refusal proves that nobody listens.
        return address.withPointer { connect(probe, $0, $1) } == 0 || weft_errno() != ECONNREFUSED
    }
}

/// A `sockaddr_un`.
struct UnixAddress {
    static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    private var address = sockaddr_un()
    private let length: socklen_t

    /// Nil where the path is empty or too long. A leading `@` names the abstract name space.
    init?(path: String, allowsAbstract: Bool = false) {
        var bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.maximumPathLength, !bytes.contains(0) else { return nil }
        let isAbstract = allowsAbstract && bytes[0] == UInt8(ascii: "@")
        if isAbstract { bytes[0] = 0 }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
    }

    func withPointer<Value>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Value) -> Value {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }
}
