import Base
import Logging
import Memory
import Synchronization

/// A source and sink of frames. Made by `Port.open`, used by the control thread; workers see only its receivers and
/// transmitters.
open class Port: @unchecked Sendable {
    public final let name: String
    public final let type: PortType
    public final let log: Logger
    /// One for each receive queue. Fixed for the life of the port.
    public final let receivers: [PortReceiver]

    private struct Shared {
        var status: PortStatus
        var transmitters: [PortTransmitter] = []
        var retired = PortStatistics()
        var observer: FrameObserver?
    }
    private let shared: Mutex<Shared>

    public init(name: String, type: PortType, receivers: [PortReceiver], status: PortStatus, log: Logger) {
        self.name = name
        self.type = type
        self.receivers = receivers
        self.log = log
        shared = Mutex(Shared(status: status))
    }

    /// Any thread.
    public final var status: PortStatus { shared.withLock { $0.status } }

    /// Changes the status, and tells transmitters of a new MTU.
    public final func updateStatus(_ change: (inout PortStatus) -> Void) {
        var (status, transmitters) = shared.withLock { ($0.status, $0.transmitters) }
        change(&status)
        shared.withLock { $0.status = status }
        for transmitter in transmitters { transmitter.counters.maximumFrame = frameLimit(status) }
    }

    /// Bytes of Ethernet frame without VLAN tag that a status allows.
    open func frameLimit(_ status: PortStatus) -> Int { status.mtu + 14 }

    /// A transmit queue for worker `worker`; the port remembers it for counters and captures until `retire`.
    public final func makeTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        let transmitter = try openTransmitter(worker: worker)
        let observer = shared.withLock { shared in
            shared.transmitters.append(transmitter)
            return shared.observer
        }
        if let observer { transmitter.observe(with: observer) }
        return transmitter
    }

    /// What `makeTransmitter` does for this kind of port.
    open func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        PortTransmitter(maximumFrame: frameLimit(status))
    }

    /// The worker that had `transmitter` is gone; its counts stay in the port's.
    open func retire(_ transmitter: PortTransmitter) {
        shared.withLock { shared in
            guard let index = shared.transmitters.firstIndex(where: { $0 === transmitter }) else { return }
            shared.transmitters.remove(at: index)
            shared.retired += transmitter.statistics
        }
    }

    /// Frames received, over all queues. Any thread.
    public final var received: PortStatistics {
        collectDrops()
        return receivers.reduce(into: PortStatistics()) { $0 += $1.statistics }
    }

    /// Adds drops that only the kernel knows about to the counters.
    open func collectDrops() {}

    /// Frames transmitted, over all workers. Any thread.
    public final var transmitted: PortStatistics {
        let (transmitters, retired) = shared.withLock { ($0.transmitters, $0.retired) }
        return transmitters.reduce(into: retired) { $0 += $1.statistics }
    }

    /// Switches the port on or off. Off, it receives nothing; a device is set down as by `ip link set down`.
    open func setAdmin(up: Bool) throws(PortError) {
        for receiver in receivers { receiver.counters.adminDown = !up }
        updateStatus { $0.adminUp = up }
    }

    /// Bytes of network packet.
    open func setMTU(_ mtu: Int) throws(PortError) { updateStatus { $0.mtu = mtu } }

    /// The network device that the port follows, for an `InterfaceMonitor` to be asked about; nil if it has none.
    open var watchedDevice: WatchedDevice? { nil }

    /// Compares with the device: link, MTU, whether it vanished or came back. Called by the control thread when an
    /// `InterfaceMonitor` reports a change, and now and then.
    public final func refresh() {
        let transmitters = shared.withLock { $0.transmitters }
        for receiver in receivers { receiver.collect() }
        for transmitter in transmitters { transmitter.collect() }
        refreshDevice()
    }

    /// What `refresh` does for this kind of port.
    open func refreshDevice() {}

    /// Gives sockets and devices back. The workers must have let go of its queues before.
    open func close() {}

    /// Shows all frames of the port to `observer` from each worker's next burst on; nil ends it.
    public final func observe(with observer: FrameObserver?) {
        let transmitters = shared.withLock { shared in
            shared.observer = observer
            return shared.transmitters
        }
        for receiver in receivers { receiver.observe(with: observer) }
        for transmitter in transmitters { transmitter.observe(with: observer) }
    }
}
