import Base
import CLinux
import Memory

/// Reads what the host sends into one queue of a TAP device.
///
/// How long a frame is, is known only after it was read. A read therefore offers a small buffer and, behind it, scratch
/// memory for the rest of a super-frame; once a super-frame came, the next reads offer a large buffer until a small
/// frame comes again. So in a stream of either kind every frame is copied once.
final class TapReceiver: PortReceiver, @unchecked Sendable {
    private let replacements = Handoff<TapQueue>()
    private var queue: TapQueue?
    private var expectLarge = false
    /// Virtio header, then room for what a small buffer does not hold.
    private let scratch = UnsafeMutableRawPointer.allocate(byteCount: 64 + longest, alignment: 64)
    private let parts = UnsafeMutablePointer<iovec>.allocate(capacity: 3)

    private static var longest: Int { 65535 + 18 }
    private static var small: Int { 2048 }

    init(queue: TapQueue?) {
        super.init()
        replacements.offer(queue)
        replacements.take(into: &self.queue)
        parts[0] = iovec(iov_base: scratch, iov_len: VirtioHeader.size)
    }

    deinit {
        scratch.deallocate()
        parts.deallocate()
    }

    override var pollDescriptor: Int32? { queue?.descriptor }

    /// Control thread: the device is gone (nil), or was made again.
    func replace(_ queue: TapQueue?) { replacements.offer(queue) }
    /// When no worker uses the queue any more.
    func abandon() {
        replacements.take(into: &queue)
        queue = nil
        collect()
    }
    override func collect() {
        super.collect()
        replacements.collect()
    }

    override func receiveFrames(
        _ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool
    ) -> Int {
        if replacements.hasNews { replacements.take(into: &queue) }
        guard let queue else { return 0 }
        var filled = 0
        var bytes: UInt64 = 0
        for _ in 0..<limit {
            guard let length = read(queue.descriptor, batch + filled, &pool) else { break }
            if length > 0 {
                filled &+= 1
                bytes &+= UInt64(truncatingIfNeeded: length)
            }
        }
        if filled > 0 { counters.count(packets: filled, bytes: bytes) }
        return filled
    }

    /// Length of the frame put at `target`; 0 if it was dropped; nil if none waits.
    private func read(_ descriptor: Int32, _ target: UnsafeMutablePointer<Packet>, _ pool: inout PacketPool) -> Int? {
        var room = expectLarge ? Self.longest : Self.small
        var packet = pool.take(room)
        if packet == nil, expectLarge {
            room = Self.small
            packet = pool.take(room)
        }
        parts[1] = iovec(iov_base: packet?.pointee.data, iov_len: packet == nil ? 0 : room)
        parts[2] = iovec(iov_base: scratch + 64, iov_len: Self.longest)
        let count = readv(descriptor, parts, 3)
        let length = count - VirtioHeader.size
        guard let packet else {
            // Taken from the queue all the same, or the device would stay readable for ever.
            if count > 0 { counters.drop(.noBuffer) }
            return count > 0 ? 0 : nil
        }
        guard length > 0 else {
            pool.free(packet)
            if count < 0, weft_errno() != EAGAIN, weft_errno() != EINTR { counters.error() }
            return nil
        }
        expectLarge = length > Self.small
        guard let whole = settle(packet, length, room, &pool) else { return 0 }
        whole.pointee.length = UInt32(truncatingIfNeeded: length)
        whole.pointee.inPort = portIndex
        whole.pointee.timestamp = 0
        VirtioHeader.read(scratch, into: whole, shift: 0)
        target.pointee = whole
        return length
    }

    /// Brings a frame of `length` bytes, read into a buffer that offered `room`, into a buffer of the fitting size.
    private func settle(_ packet: Packet, _ length: Int, _ room: Int, _ pool: inout PacketPool) -> Packet? {
        if length > room {
            guard let larger = pool.take(length) else {
                pool.free(packet)
                counters.drop(length > Self.longest ? .frameTooLong : .noBuffer)
                return nil
            }
            memcpy(larger.pointee.data, packet.pointee.data, room)
            memcpy(larger.pointee.data + room, scratch + 64, length - room)
            pool.free(packet)
            return larger
        }
        guard room > Self.small, length <= 512, let smaller = pool.take(length) else { return packet }
        memcpy(smaller.pointee.data, packet.pointee.data, length)
        pool.free(packet)
        return smaller
    }
}
