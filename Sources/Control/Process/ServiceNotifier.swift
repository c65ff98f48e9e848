import CLinux
import Glibc

/// Tells the service manager how the switch is: the datagram protocol of sd_notify(3).
///
/// Without `NOTIFY_SOCKET` in the environment nothing is sent.
public struct ServiceNotifier: Sendable {
    private let socketPath: String?
    /// How often the manager wants a sign of life, in seconds; nil if it does not.
    public let watchdogInterval: Double?

    public init(environment: [String: String]) {
        socketPath = environment["NOTIFY_SOCKET"]
        let isMeant = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
        // Half of the time allowed, as sd_watchdog_enabled(3) recommends.
        watchdogInterval = isMeant ? environment["WATCHDOG_USEC"].flatMap(Double.init).map { $0 / 2_000_000 } : nil
    }

    public func ready(status: String) { send("READY=1\nSTATUS=\(status)\nMAINPID=\(getpid())") }
    public func stopping() { send("STOPPING=1\nSTATUS=Stopping") }
    public func watchdog() { send("WATCHDOG=1") }
    public func status(_ text: String) { send("STATUS=\(text)") }

    /// The time stamp goes with it because `Type=notify-reload` asks for it.
    public func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)\nSTATUS=Reloading")
    }

    /// Sends one message; a manager that does not listen is its own problem.
    private func send(_ message: String) {
        guard let socketPath, let address = UnixAddress(path: socketPath, allowsAbstract: true) else { return }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(message.utf8)
        _ = address.withPointer { sendto(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0, $1) }
    }
}
