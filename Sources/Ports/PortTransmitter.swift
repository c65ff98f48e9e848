import Base
import CLinux
import Memory

/// One transmit queue of a port, used by one worker at a time.
///
/// Subclasses override `transmitFrames` and `flush`; callers use `transmit` for any number of bursts and `flush` once
/// when the round is over.
open class PortTransmitter: @unchecked Sendable {
    public final let counters = PortCounters()
    private let observers = Handoff<FrameObserver>()
    private var observer: FrameObserver?

    /// - Parameter maximumFrame: bytes of Ethernet frame without VLAN tag: MTU + 14.
    public init(maximumFrame: Int) { counters.maximumFrame = maximumFrame }

    /// Whether frames may come with `offload.needsChecksum`.
    open var handlesChecksum: Bool { false }
    /// Whether frames may come with a segmentation type. Implies `handlesChecksum`.
    open var handlesSegmentation: Bool { false }
    /// Bytes of Ethernet frame without VLAN tag (MTU + 14); a longer one is dropped as `exceedsMTU`. Follows the device.
    public final var maximumFrame: Int { counters.maximumFrame }

    /// Counts of the queue. Any thread.
    open var statistics: PortStatistics { counters.statistics }

    /// Copies the frames out, or counts them as dropped. Does not free them.
    public final func transmit(_ packets: UnsafePointer<Packet>, _ count: Int) {
        if observers.hasNews { observers.take(into: &observer) }
        if observer != nil { show(packets, count) }
        transmitFrames(packets, count)
    }

    @inline(never) private func show(_ packets: UnsafePointer<Packet>, _ count: Int) {
        observer?.observe(packets, count, .transmitted)
    }

    /// What `transmit` does for this kind of port.
    open func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {}

    /// Makes sure that what was transmitted is on its way: wakes the kernel, writes the file.
    open func flush() {}

    /// Control thread: from the next burst on `observer` sees the frames; nil ends it.
    open func observe(with observer: FrameObserver?) { observers.offer(observer) }

    /// Control thread: gives back what the worker has let go.
    func collect() { observers.collect() }

    /// Whether the frame is longer than `maximum` allows: a VLAN tag comes on top, and a frame that will be cut into
    /// segments counts by its segments.
    @inlinable @inline(__always) public static func exceeds(_ packet: Packet, _ maximum: Int) -> Bool {
        let length = Int(packet.pointee.length)
        if length <= maximum { return false }
        let offload = packet.pointee.offload
        if offload.segmentationType & 0x7f != 0, offload.segmentSize != 0 {
            return Int(offload.headerLength) &+ Int(offload.segmentSize) > maximum &+ 8
        }
        guard length >= 14 else { return true }
        let type = UnsafeRawPointer(packet.pointee.data).be16(12)
        return length > maximum &+ (type == 0x8100 || type == 0x88a8 ? 4 : 0)
    }
}
