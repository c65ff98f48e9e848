import Base
import CLinux
import Memory

/// One receive queue of a port, used by one worker at a time.
///
/// Subclasses override `receiveFrames`; callers use `receive`, which adds what all ports have in common (administrative
/// state, capture) at the cost of two loads a burst.
open class PortReceiver: @unchecked Sendable {
    public final let counters = PortCounters()
    /// Written into each frame; set by the dataplane before the first burst.
    public final var portIndex = PortIndex.none
    private let observers = Handoff<FrameObserver>()
    private var observer: FrameObserver?

    public init() {}

    /// Takes up to `limit` frames into buffers of `pool` and returns how many stand in `batch`.
    ///
    /// Sets data, length, input port, offload and timestamp (0 if the port has no clock). Frames that find no buffer or
    /// are too long are counted as drops.
    public final func receive(_ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool) -> Int {
        if observers.hasNews { observers.take(into: &observer) }
        if counters.adminDown { return 0 }
        let count = receiveFrames(batch, limit: limit, pool: &pool)
        if observer != nil, count > 0 { show(batch, count) }
        return count
    }

    @inline(never) private func show(_ batch: UnsafeMutablePointer<Packet>, _ count: Int) {
        observer?.observe(batch, count, .received)
    }

    /// What `receive` does for this kind of port.
    open func receiveFrames(_ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool) -> Int { 0 }

    /// Counts of the queue. Any thread.
    open var statistics: PortStatistics { counters.statistics }

    /// Becomes readable when frames wait, so that an idle worker can sleep on it; nil if the queue has no descriptor.
    /// May change while the port is open: ask again before each sleep.
    open var pollDescriptor: Int32? { nil }

    /// Nanoseconds of the monotonic clock at which the next frame comes by itself, without anything that makes a descriptor
    /// readable: a worker must not sleep for longer. `UInt64.max` if none does.
    open var nextFrameDue: UInt64 { .max }

    /// True if there will never be another frame, as at the end of a file.
    open var isFinished: Bool { false }

    /// Control thread: from the next burst on `observer` sees the frames; nil ends it.
    open func observe(with observer: FrameObserver?) { observers.offer(observer) }

    /// Control thread: gives back what the worker has let go.
    func collect() { observers.collect() }
}
