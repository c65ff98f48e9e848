import Logging
import Memory

/// Sends nothing, swallows everything.
public final class NullPort: Port, @unchecked Sendable {
    public init(name: String, options: PortOptions, log: Logger) {
        var status = PortStatus()
        status.mtu = options.mtu ?? 65521
        status.hardwareAddress = options.hardwareAddress ?? 0
        super.init(name: name, type: .null, receivers: [NullReceiver()], status: status, log: log)
    }

    override public func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        NullTransmitter(maximumFrame: frameLimit(status))
    }
}

final class NullReceiver: PortReceiver, @unchecked Sendable {
    override var isFinished: Bool { true }
}

/// Counts packets and bytes, so that a benchmark that ends here still reads each frame's length.
final class NullTransmitter: PortTransmitter, @unchecked Sendable {
    override var handlesChecksum: Bool { true }
    override var handlesSegmentation: Bool { true }

    override func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        var bytes: UInt64 = 0
        for index in 0..<count { bytes &+= UInt64(packets[index].pointee.length) }
        counters.count(packets: count, bytes: bytes)
    }
}
