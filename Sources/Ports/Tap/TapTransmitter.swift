import Base
import CLinux
import Memory

/// Writes frames to the host, one write(2) each: the kernel has no call for several.
final class TapTransmitter: PortTransmitter, @unchecked Sendable {
    private let replacements = Handoff<TapQueue>()
    private var queue: TapQueue?
    private let scratch = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    private let parts = UnsafeMutablePointer<iovec>.allocate(capacity: 2)

    init(queue: TapQueue?, maximumFrame: Int) {
        super.init(maximumFrame: maximumFrame)
        replacements.offer(queue)
        replacements.take(into: &self.queue)
    }

    deinit {
        scratch.deallocate()
        parts.deallocate()
    }

    override var handlesChecksum: Bool { true }
    override var handlesSegmentation: Bool { true }

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

    override func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        if replacements.hasNews { replacements.take(into: &queue) }
        guard let queue else {
            counters.drop(.portDown, count)
            return
        }
        let maximum = maximumFrame
        var sent = 0
        var bytes: UInt64 = 0
        for index in 0..<count {
            let packet = packets[index]
            if Self.exceeds(packet, maximum) {
                counters.drop(.exceedsMTU)
                continue
            }
            if let reason = write(packet, queue.descriptor) {
                counters.drop(reason)
            } else {
                sent &+= 1
                bytes &+= UInt64(packet.pointee.length)
            }
        }
        if sent > 0 { counters.count(packets: sent, bytes: bytes) }
    }

    /// Nil if the frame was taken.
    private func write(_ packet: Packet, _ descriptor: Int32) -> DropReason? {
        let length = Int(packet.pointee.length)
        // The header goes into the headroom, whose content nobody reads.
        let start = packet.headroom >= VirtioHeader.size ? packet.pointee.data - VirtioHeader.size : scratch
        VirtioHeader.write(packet, to: start)
        while true {
            let result: Int
            if start != scratch {
                result = CLinux.write(descriptor, start, length &+ VirtioHeader.size)
            } else {
                parts[0] = iovec(iov_base: scratch, iov_len: VirtioHeader.size)
                parts[1] = iovec(iov_base: packet.pointee.data, iov_len: length)
                result = writev(descriptor, parts, 2)
            }
            if result >= 0 { return nil }
            switch weft_errno() {
            case EINTR: continue
            case EAGAIN, ENOBUFS, ENOMEM: return .transmitQueueFull
            // EIO: the device is down. EBADFD: it was deleted.
            case EIO, EBADFD, ENETDOWN: return .portDown
            default: return .transmitError
            }
        }
    }
}
