import CLinux
import Logging
import Synchronization

/// A TAP device: a network device of the host whose cable ends in the switch. Types `tap` (any name, several queues) and
/// `internal` (the port's own name). The device is made if missing, set up, and goes away with the port unless somebody
/// else made it persistent; if it is deleted while the port is open, it is made again.
final class TapPort: Port, @unchecked Sendable {
    private let options: PortOptions
    private let device: NetworkDevice
    private let queues: [TapReceiver]

    private struct Open {
        var queues: [TapQueue] = []
        var transmitters: [(worker: Int, transmitter: TapTransmitter)] = []
        var closed = false
        /// What `setAdmin` asked for, to be kept when the device has to be made again.
        var up = true
    }
    private let open: Mutex<Open>

    init(name: String, options: PortOptions, log: Logger) throws(PortError) {
        let device = try NetworkDevice(name: options.device, port: name)
        let opened = try TapQueue.open(options.device, count: options.queues, port: name)
        try Self.configure(device, options, up: true)
        var status = PortStatus()
        if let state = device.state() {
            status.follow(state)
            device.index.store(state.index, ordering: .relaxed)
        }
        self.options = options
        self.device = device
        queues = opened.map { TapReceiver(queue: $0) }
        open = Mutex(Open(queues: opened))
        super.init(name: name, type: options.type, receivers: queues, status: status, log: log)
    }

    private static func configure(_ device: NetworkDevice, _ options: PortOptions, up: Bool) throws(PortError) {
        // The address of a device that is up can be changed too, but some daemons note the first one they see.
        if let address = options.hardwareAddress { try device.setAddress(address) }
        if let mtu = options.mtu { try device.setMTU(mtu) }
        if up { try device.setUp(true) }
    }

    override var watchedDevice: WatchedDevice? {
        WatchedDevice(name: device.name, index: device.index.load(ordering: .relaxed))
    }

    override func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        let limit = frameLimit(status)
        return open.withLock { open in
            let queue = open.queues.isEmpty ? nil : open.queues[worker % open.queues.count]
            let transmitter = TapTransmitter(queue: queue, maximumFrame: limit)
            open.transmitters.append((worker, transmitter))
            return transmitter
        }
    }

    override func retire(_ transmitter: PortTransmitter) {
        super.retire(transmitter)
        open.withLock { $0.transmitters.removeAll { $0.transmitter === transmitter } }
    }

    override func setAdmin(up: Bool) throws(PortError) {
        open.withLock { $0.up = up }
        try device.setUp(up)
        for queue in queues { queue.counters.adminDown = !up }
        refresh()
    }

    override func setMTU(_ mtu: Int) throws(PortError) {
        try device.setMTU(mtu)
        refresh()
    }

    override func refreshDevice() {
        let (closed, attached) = open.withLock { ($0.closed, $0.queues.first?.isAttached ?? false) }
        if closed { return }
        // A device that was moved to another namespace cannot be asked from here any more, but it works on.
        if !attached { remake() }
        guard let state = device.state(), state.index == device.index.load(ordering: .relaxed) else { return }
        updateStatus { $0.follow(state) }
    }

    /// Deleted by somebody: the queues are dead, so all of them are opened anew.
    private func remake() {
        do throws(PortError) {
            let opened = try TapQueue.open(device.name, count: options.queues, port: name)
            try Self.configure(device, options, up: open.withLock { $0.up })
            install(opened)
            device.index.store(device.currentIndex() ?? 0, ordering: .relaxed)
            updateStatus { $0.error = nil }
            log.notice("TAP device \(device.name) was deleted and is made again", metadata: ["port": "\(name)"])
        } catch {
            install([])
            device.index.store(0, ordering: .relaxed)
            updateStatus { status in
                status.present = false
                status.error = error.message
            }
        }
    }

    private func install(_ opened: [TapQueue]) {
        let transmitters = open.withLock { open in
            open.queues = opened
            return open.transmitters
        }
        for (index, queue) in queues.enumerated() { queue.replace(opened.isEmpty ? nil : opened[index]) }
        for entry in transmitters {
            entry.transmitter.replace(opened.isEmpty ? nil : opened[entry.worker % opened.count])
        }
    }

    override func close() {
        let transmitters = open.withLock { open in
            open.closed = true
            return open.transmitters
        }
        install([])
        for queue in queues { queue.abandon() }
        for entry in transmitters { entry.transmitter.abandon() }
    }
}
