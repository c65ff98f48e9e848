import Base
import CLinux
import Logging
import Synchronization

/// A network device through packet sockets: type `afpacket`. The device keeps its own offload settings; frames with
/// partial checksums and segmentation super-frames pass in both directions as they are.
final class PacketSocketPort: Port, @unchecked Sendable {
    private let options: PortOptions
    private let device: NetworkDevice
    private let queues: [PacketSocketReceiver]
    private let rings: Mutex<[PacketRing]>
    private let closed = Atomic<Bool>(false)

    init(name: String, options: PortOptions, log: Logger) throws(PortError) {
        let device = try NetworkDevice(name: options.device, port: name)
        var status = PortStatus()
        var rings: [PacketRing] = []
        if device.currentIndex() != nil {
            try Self.configure(device, options)
            guard let state = device.state() else { throw Self.missing(device) }
            rings = try Self.open(device, state, options)
            status.follow(state)
            device.index.store(state.index, ordering: .relaxed)
        } else {
            guard options.waitsForDevice else { throw Self.missing(device) }
            status.present = false
            status.carrier = false
            status.error = Self.missing(device).message
        }
        self.options = options
        self.device = device
        self.rings = Mutex(rings)
        queues = (0..<options.queues).map { PacketSocketReceiver(ring: rings.isEmpty ? nil : rings[$0]) }
        super.init(name: name, type: .afpacket, receivers: queues, status: status, log: log)
    }

    private static func missing(_ device: NetworkDevice) -> PortError {
        PortError(.noSuchDevice(device.name), port: device.port, "there is no network device \"\(device.name.echoed)\"")
    }

    private static func configure(_ device: NetworkDevice, _ options: PortOptions) throws(PortError) {
        if let mtu = options.mtu { try device.setMTU(mtu) }
        if let address = options.hardwareAddress { try device.setAddress(address) }
    }

    private static func open(
        _ device: NetworkDevice, _ state: NetworkDevice.State, _ options: PortOptions
    ) throws(PortError) -> [PacketRing] {
        var rings: [PacketRing] = []
        var fanout: Int32 = 0
        for _ in 0..<options.queues {
            rings.append(
                try PacketRing(
                    device: device, index: state.index, mtu: state.mtu, frames: options.ring, queues: options.queues,
                    fanout: &fanout))
        }
        return rings
    }

    override var watchedDevice: WatchedDevice? {
        WatchedDevice(name: device.name, index: device.index.load(ordering: .relaxed))
    }

    override func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        try PacketSocketTransmitter(device: device, maximumFrame: frameLimit(status))
    }

    override func setAdmin(up: Bool) throws(PortError) {
        if device.currentIndex() != nil { try device.setUp(up) }
        for queue in queues { queue.counters.adminDown = !up }
        refresh()
    }

    override func setMTU(_ mtu: Int) throws(PortError) {
        try device.setMTU(mtu)
        refresh()
    }

    /// The device may have vanished, come back under another index, or changed.
    override func refreshDevice() {
        if closed.load(ordering: .relaxed) { return }
        collectDrops()
        let known = device.index.load(ordering: .relaxed)
        guard let state = device.state() else {
            if known != 0 { vanished() }
            return
        }
        if known != 0, state.index == known, !isBound(to: known) {
            // Deleted, and made again under the same index.
            vanished()
            appeared(state)
        } else if state.index != known {
            appeared(state)
        }
        guard device.index.load(ordering: .relaxed) == state.index else { return }
        updateStatus { $0.follow(device.state() ?? state) }
    }

    private func isBound(to index: Int32) -> Bool {
        rings.withLock { rings in rings.allSatisfy { weft_packet_bound_index($0.descriptor) == index } }
    }

    private func vanished() {
        device.index.store(0, ordering: .relaxed)
        for queue in queues { queue.replace(nil) }
        rings.withLock { $0 = [] }
        let text = Self.missing(device).message
        log.warning("\(text)", metadata: ["port": "\(name)"])
        updateStatus { status in
            status.present = false
            status.carrier = false
            status.error = text
        }
    }

    private func appeared(_ state: NetworkDevice.State) {
        do throws(PortError) {
            try Self.configure(device, options)
            let opened = try Self.open(device, state, options)
            for (queue, ring) in zip(queues, opened) { queue.replace(ring) }
            rings.withLock { $0 = opened }
            device.index.store(state.index, ordering: .relaxed)
            updateStatus { $0.error = nil }
            log.notice("network device \(device.name) is there", metadata: ["port": "\(name)"])
        } catch {
            updateStatus { $0.error = error.message }
        }
    }

    /// Frames that the kernel dropped because a ring was full.
    override func collectDrops() {
        rings.withLock { rings in
            for (queue, ring) in zip(queues, rings) {
                queue.counters.kernelDrops(UInt64(weft_packet_drops(ring.descriptor)))
            }
        }
    }

    override func close() {
        closed.store(true, ordering: .relaxed)
        device.index.store(0, ordering: .relaxed)
        for queue in queues { queue.replace(nil) }
        rings.withLock { $0 = [] }
        for queue in queues { queue.abandon() }
    }
}
