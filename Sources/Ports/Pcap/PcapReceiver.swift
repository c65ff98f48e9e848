import Base
import CLinux
import Memory
import Synchronization

/// Replays one queue of a capture file from memory. The benchmark path: for each frame a buffer from the pool, two or
/// more 32-byte moves, four stores.
public final class PcapReceiver: PortReceiver, @unchecked Sendable {
    private let frames: PcapFrames
    private let arena: UnsafeRawPointer
    private let index: UnsafePointer<UInt64>
    /// Frames in this queue.
    public let frameCount: Int
    private let loop: Bool
    /// Frames a second, 0 without limit, and the frames sent since `start` in nanoseconds of the monotonic clock.
    private let rate: UInt64
    private var start: UInt64 = 0
    private var sent: UInt64 = 0
    private var position = 0
    /// Frames still to be received at the most.
    var remaining = Int.max {
        didSet { if remaining == 0 { atEnd.store(true, ordering: .releasing) } }
    }
    private let atEnd: Atomic<Bool>

    init(frames: PcapFrames, queue: Int, loop: Bool, rate: UInt64) {
        self.frames = frames
        arena = UnsafeRawPointer(frames.arena)
        let entries = frames.indexes[queue]
        frameCount = entries.count
        // An empty queue is never read from.
        index = UnsafePointer(entries.baseAddress ?? UnsafeMutablePointer(bitPattern: 8).unsafelyUnwrapped)
        self.loop = loop
        self.rate = rate
        atEnd = Atomic(entries.isEmpty)
        super.init()
    }

    /// Asked by any thread while the worker reads on.
    override public var isFinished: Bool { atEnd.load(ordering: .acquiring) }

    override public var nextFrameDue: UInt64 {
        if isFinished { return .max }
        guard rate > 0, start > 0 else { return 0 }
        // Rounded up: the first moment at which `due` allows one frame more.
        let (high, low) = (sent &+ 1).multipliedFullWidth(by: 1_000_000_000)
        guard high < rate else { return .max }
        let (quotient, remainder) = rate.dividingFullWidth((high, low))
        return start &+ quotient &+ (remainder > 0 ? 1 : 0)
    }

    /// Back to the first frame.
    public func rewind() {
        position = 0
        atEnd.store(frameCount == 0 || remaining == 0, ordering: .releasing)
    }

    override public func receiveFrames(
        _ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool
    ) -> Int {
        var wanted = min(limit, remaining)
        if rate > 0 { wanted = min(wanted, due()) }
        var filled = 0
        var taken = 0
        var bytes: UInt64 = 0
        while taken < wanted {
            if position == frameCount {
                guard loop, frameCount > 0 else { break }
                position = 0
            }
            let run = min(wanted &- taken, frameCount &- position)
            filled = copy(run, batch, filled, &bytes, &pool)
            taken &+= run
        }
        if filled > 0 { counters.count(packets: filled, bytes: bytes) }
        if taken != filled { counters.drop(.noBuffer, taken &- filled) }
        sent &+= UInt64(truncatingIfNeeded: taken)
        if remaining != Int.max { remaining &-= taken }
        if position == frameCount, !loop, taken > 0 { atEnd.store(true, ordering: .releasing) }
        return filled
    }

    /// The next `run` frames behind the `filled` that stand in `batch` already.
    @inline(__always) private func copy(
        _ run: Int, _ batch: UnsafeMutablePointer<Packet>, _ filled: Int, _ bytes: inout UInt64,
        _ pool: inout PacketPool
    ) -> Int {
        let entries = index + position
        let arena = arena
        let port = portIndex
        var filled = filled
        var sum = bytes
        for at in 0..<run {
            let entry = entries[at]
            let length = Int(truncatingIfNeeded: entry & 0xffff)
            let source = arena + Int(truncatingIfNeeded: entry &>> 16)
            weft_prefetch(source + 256)
            guard let packet = pool.take(length) else { continue }
            weft_copy_frame(packet.pointee.data, source, UInt64(truncatingIfNeeded: length))
            packet.pointee.inPort = port
            packet.pointee.timestamp = 0
            batch[filled] = packet
            filled &+= 1
            sum &+= UInt64(truncatingIfNeeded: length)
        }
        bytes = sum
        position &+= run
        return filled
    }

    /// Frames that the rate allows now. What a stalled reader missed is made up for at most a tenth of a second.
    private func due() -> Int {
        let now = weft_clock(CLOCK_MONOTONIC)
        if start == 0 { start = now }
        let elapsed = now &- start
        let (high, low) = elapsed.multipliedFullWidth(by: rate)
        guard high < 1_000_000_000 else { return 0 }
        // For hours 64 bits are enough, and a division that costs nothing.
        let allowed =
            high == 0 ? low / 1_000_000_000 : UInt64(1_000_000_000).dividingFullWidth((high, low)).quotient
        let backlog = rate / 10 + 1
        if allowed > sent &+ backlog { sent = allowed &- backlog }
        return allowed > sent ? Int(truncatingIfNeeded: min(allowed &- sent, 1 << 20)) : 0
    }
}
