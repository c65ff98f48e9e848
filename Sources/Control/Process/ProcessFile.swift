import CLinux
import Glibc

/// The pid file of a running switch: its number on a line, locked for as long as the process lives.
public struct ProcessFile: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private let path: String
    private let descriptor: CInt

    /// Writes the file. Another living process that holds it is an error.
    public init(path: String) throws(Failure) {
        func failure(_ call: String) -> Failure {
            Failure(description: "pid file \(path): \(call): \(String(cString: strerror(weft_errno())))")
        }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("open") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let isHeld = weft_errno() == EWOULDBLOCK
            close(descriptor)
            throw isHeld ? Failure(description: "pid file \(path): a running switch holds it") : failure("flock")
        }
        let line = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0, write(descriptor, line, line.count) == line.count else {
            close(descriptor)
            throw failure("write")
        }
        self.path = path
        self.descriptor = descriptor
    }

    public func remove() {
        unlink(path)
        close(descriptor)
    }
}
