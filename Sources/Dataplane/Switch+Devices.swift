import CLinux
import Pipeline
import Ports
import Synchronization

// Network devices are the world outside: they come, go and change by themselves, in real time, whatever the switch's clock
// says. The kernel tells when something happens to one (`InterfaceMonitor`), and only the ports on that device look. Because a
// message can be lost, and some things have none (a new speed of a link that stays up), all of them look now and then.

/// What has changed at network devices since the control thread looked last.
final class DeviceWatch: Sendable {
    private let pending = Mutex(DeviceChanges())
    private let monitor = Mutex<InterfaceMonitor?>(nil)

    /// - Parameter wake: called once for all changes until `take`; any thread.
    init(_ wake: @escaping @Sendable () -> Void) throws(PortError) {
        let made = try InterfaceMonitor { [weak self] changes in
            if self?.add(changes) == true { wake() }
        }
        monitor.withLock { $0 = made }
    }

    /// Whether there was nothing before.
    private func add(_ changes: DeviceChanges) -> Bool {
        pending.withLock { pending in
            defer { pending.formUnion(changes) }
            return pending.isEmpty
        }
    }

    func take() -> DeviceChanges {
        pending.withLock { pending in
            defer { pending = DeviceChanges() }
            return pending
        }
    }
}

extension Switch {
    /// Milliseconds of real time between two looks at all devices, with and without messages from the kernel.
    private static var slowPeriod: UInt64 { 2000 }
    private static var fastPeriod: UInt64 { 500 }
    /// A port whose device changes more often than this between two looks at all of them waits for the next: a device that
    /// cannot be opened may change by the very attempt.
    private static var looksAtMost: Int { 32 }

    /// From now on the kernel tells of changes to network devices. `wake` may be called on any thread; the control thread
    /// answers it with `followDevices`.
    public func watchDevices(_ wake: @escaping @Sendable () -> Void) throws(PortError) {
        deviceWatch = try DeviceWatch(wake)
    }

    /// Looks at the devices that the kernel has told of.
    public func followDevices() {
        guard let changes = deviceWatch?.take(), !changes.isEmpty else { return }
        for attached in ports.values where attached.looks < Self.looksAtMost {
            guard let device = attached.port.watchedDevice, changes.concern(device) else { continue }
            attached.looks += 1
            attached.port.refresh()
            followLink(attached)
        }
    }

    /// Looks at all devices if that is due.
    func lookAtDevices() {
        let now = weft_monotonic_nanoseconds() / 1_000_000
        guard now >= nextLook else { return }
        nextLook = now + (deviceWatch == nil ? Self.fastPeriod : Self.slowPeriod)
        refreshPorts()
    }

    /// Looks at every device again: link, MTU, whether it vanished or came back.
    public func refreshPorts() {
        for attached in ports.values {
            attached.looks = 0
            attached.port.refresh()
            followLink(attached)
        }
    }

    /// Tells the pipeline of a port's link, MTU and MAC address.
    func followLink(_ attached: AttachedPort) {
        let status = attached.port.status
        try? model.setPort(attached.index) { (port: inout PortState) throws(StateError) in
            port.linkUp = status.linkUp
            // The loopback device has one more than an IP packet can have.
            port.mtu = min(status.mtu, 65535)
            if status.hardwareAddress != 0 { port.hardwareAddress = status.hardwareAddress }
        }
    }
}
