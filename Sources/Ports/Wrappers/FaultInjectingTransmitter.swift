import Base
import Memory

/// A transmitter whose line loses, repeats, damages and reorders frames. The caller's frames stay as they are: damage is
/// done to copies in a pool of its own.
public final class FaultInjectingTransmitter: PortTransmitter, @unchecked Sendable {
    public let inner: PortTransmitter
    private var injector: FaultInjector
    private var pool = PacketPool(small: 64, large: 64)
    private let scratch = UnsafeMutablePointer<Packet>.allocate(capacity: 64)
    private let copies = UnsafeMutablePointer<Packet>.allocate(capacity: 64)

    public init(around inner: PortTransmitter, plan: FaultPlan) {
        self.inner = inner
        injector = FaultInjector(plan)
        super.init(maximumFrame: inner.maximumFrame)
    }

    deinit {
        scratch.deallocate()
        copies.deallocate()
    }

    /// Read by the owner.
    public var counts: FaultCounts { injector.counts }

    override public var handlesChecksum: Bool { inner.handlesChecksum }
    override public var handlesSegmentation: Bool { inner.handlesSegmentation }

    /// What the transmitter inside sent, and the drops of both.
    override public var statistics: PortStatistics {
        var result = inner.statistics
        result.drops.merge(counters.statistics.drops, uniquingKeysWith: &+)
        return result
    }

    override public func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        var done = 0
        while done < count {
            let part = min(32, count - done)
            send(packets + done, part)
            done += part
        }
    }

    private func send(_ packets: UnsafePointer<Packet>, _ count: Int) {
        var filled = 0
        var copied = 0
        for index in 0..<count {
            if injector.drops() {
                counters.drop(.faultInjected)
                continue
            }
            var packet = packets[index]
            let twice = injector.duplicates()
            if injector.damages, let copy = pool.copy(packet) {
                injector.damage(copy)
                copies[copied] = copy
                copied += 1
                packet = copy
            }
            scratch[filled] = packet
            if filled > 0, injector.reorders() { swap(&scratch[filled], &scratch[filled - 1]) }
            filled += 1
            if twice {
                scratch[filled] = packets[index]
                filled += 1
            }
        }
        inner.transmit(scratch, filled)
        for index in 0..<copied { pool.free(copies[index]) }
    }

    override public func flush() { inner.flush() }
}
