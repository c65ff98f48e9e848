import CLinux
import Dispatch
import Glibc
import Ports
import Synchronization
import Testing

/// A network namespace of its own for one test: nothing in it is seen by the machine, and it goes away with everything
/// in it when the last descriptor is closed. `run` moves the calling thread into it and back, so that what is opened in
/// between belongs to the namespace.
final class Namespace {
    private let home: Int32
    let descriptor: Int32
    private static let newNetwork: Int32 = 0x4000_0000

    static let refusal: Comment = "needs root: network namespaces and devices cannot be made without CAP_SYS_ADMIN"
    static let allowed: Bool = geteuid() == 0 && (try? Namespace()) != nil

    init() throws {
        home = weft_open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0)
        guard home >= 0, weft_leave_namespace(Self.newNetwork) == 0 else {
            throw Refused(call: "unshare", errno: errno)
        }
        descriptor = weft_open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0)
        precondition(weft_enter_namespace(home, Self.newNetwork) == 0, "cannot go back to the namespace of the process")
        try command("ip", "link", "set", "lo", "up")
    }

    deinit {
        close(home)
        close(descriptor)
    }

    /// As `ip link ... netns PATH` takes it.
    var path: String { "/proc/\(getpid())/fd/\(descriptor)" }

    func run<T>(_ body: () throws -> T) throws -> T {
        guard weft_enter_namespace(descriptor, Self.newNetwork) == 0 else { throw Refused(call: "setns", errno: errno) }
        defer {
            precondition(
                weft_enter_namespace(home, Self.newNetwork) == 0, "cannot go back to the namespace of the process")
        }
        return try body()
    }

    /// Runs a program inside.
    func command(_ words: String...) throws { try run(words) }

    func run(_ words: [String]) throws {
        try run {
            var arguments = words.map { strdup($0) } + [nil]
            defer { for argument in arguments { Glibc.free(argument) } }
            var child: pid_t = 0
            guard posix_spawnp(&child, words[0], nil, nil, &arguments, nil) == 0 else {
                throw Refused(call: words.joined(separator: " "), errno: errno)
            }
            var status: Int32 = 0
            guard waitpid(child, &status, 0) == child, status == 0 else {
                throw Refused(call: words.joined(separator: " "), errno: 0)
            }
        }
    }

    /// A pair of devices, `name` here and `peer` in the other namespace, both up and without IPv6 chatter.
    func veth(_ name: String, _ peer: String, in other: Namespace) throws {
        try command("ip", "link", "add", name, "type", "veth", "peer", "name", peer, "netns", other.path)
        for (space, device) in [(self, name), (other, peer)] {
            try space.command("ip", "link", "set", device, "addrgenmode", "none")
            try space.command("ip", "link", "set", device, "up")
        }
    }

    func open(_ name: String, _ type: String, _ options: [String: String] = [:]) throws -> Port {
        try run { try Port.open(name: name, type: type, options: options, log: quiet) }
    }

    func transmitter(_ port: Port, worker: Int = 0) throws -> PortTransmitter {
        try run { try port.makeTransmitter(worker: worker) }
    }

    func refresh(_ port: Port) throws { try run { port.refresh() } }

    struct Refused: Error {
        var call: String
        var errno: Int32
    }
}

/// What an `InterfaceMonitor` of a namespace reports.
final class DeviceEvents: Sendable {
    private let seen: Seen
    private let monitor: InterfaceMonitor

    private final class Seen: Sendable {
        let changes = Mutex(DeviceChanges())
        let more = DispatchSemaphore(value: 0)
    }

    init(in space: Namespace) throws {
        let seen = Seen()
        self.seen = seen
        monitor = try space.run {
            try InterfaceMonitor { changes in
                seen.changes.withLock { $0.formUnion(changes) }
                seen.more.signal()
            }
        }
    }

    /// Waits until what was reported since the last call is as wished; a report that never comes fails the test.
    func wait(_ location: SourceLocation = #_sourceLocation, until isWished: (DeviceChanges) -> Bool) {
        while !isWished(seen.changes.withLock { $0 }) {
            guard seen.more.wait(timeout: .now() + 10) == .success else {
                Issue.record("no report within 10 s", sourceLocation: location)
                return
            }
        }
        seen.changes.withLock { $0 = DeviceChanges() }
    }
}
