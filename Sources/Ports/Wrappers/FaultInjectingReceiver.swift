import Base
import Memory

/// A receiver whose line loses, repeats, damages and reorders frames.
public final class FaultInjectingReceiver: PortReceiver, @unchecked Sendable {
    private let inner: PortReceiver
    private var injector: FaultInjector
    private let scratch = UnsafeMutablePointer<Packet>.allocate(capacity: 64)

    public init(around inner: PortReceiver, plan: FaultPlan) {
        self.inner = inner
        injector = FaultInjector(plan)
    }

    deinit { scratch.deallocate() }

    /// Read by the owner.
    public var counts: FaultCounts { injector.counts }

    override public var pollDescriptor: Int32? { inner.pollDescriptor }
    override public var nextFrameDue: UInt64 { inner.nextFrameDue }
    override public var isFinished: Bool { inner.isFinished }

    /// The frames that came out of this wrapper, and what the port inside dropped.
    override public var statistics: PortStatistics {
        var result = counters.statistics
        let inside = inner.statistics
        result.errors &+= inside.errors
        result.drops.merge(inside.drops, uniquingKeysWith: &+)
        return result
    }

    override public func receiveFrames(
        _ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool
    ) -> Int {
        inner.portIndex = portIndex
        // Every frame may come out twice.
        let wanted = min(64, limit / 2)
        guard wanted > 0 else { return single(batch, limit, &pool) }
        let count = inner.receive(scratch, limit: wanted, pool: &pool)
        var filled = 0
        for index in 0..<count { filled = deliver(scratch[index], batch, filled, true, &pool) }
        return finish(batch, filled)
    }

    private func single(_ batch: UnsafeMutablePointer<Packet>, _ limit: Int, _ pool: inout PacketPool) -> Int {
        guard limit == 1, inner.receive(scratch, limit: 1, pool: &pool) == 1 else { return 0 }
        return finish(batch, deliver(scratch[0], batch, 0, false, &pool))
    }

    private func deliver(
        _ packet: Packet, _ batch: UnsafeMutablePointer<Packet>, _ filled: Int, _ mayRepeat: Bool,
        _ pool: inout PacketPool
    ) -> Int {
        var filled = filled
        if injector.drops() {
            pool.free(packet)
            counters.drop(.faultInjected)
            return filled
        }
        let twin = mayRepeat && injector.duplicates() ? pool.copy(packet) : nil
        injector.damage(packet)
        batch[filled] = packet
        if filled > 0, injector.reorders() { swap(&batch[filled], &batch[filled - 1]) }
        filled += 1
        if let twin {
            batch[filled] = twin
            filled += 1
        }
        return filled
    }

    private func finish(_ batch: UnsafeMutablePointer<Packet>, _ count: Int) -> Int {
        var bytes: UInt64 = 0
        for index in 0..<count { bytes &+= UInt64(batch[index].pointee.length) }
        counters.count(packets: count, bytes: bytes)
        return count
    }
}
