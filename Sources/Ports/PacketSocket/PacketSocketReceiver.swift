import Base
import CLinux
import Memory

/// One receive ring of a network device.
final class PacketSocketReceiver: PortReceiver, @unchecked Sendable {
    private let replacements = Handoff<PacketRing>()
    private var ring: PacketRing?
    private var slot = 0
    private var idle = 0
    /// The virtio header of a frame that comes through the socket instead of the ring.
    private let scratch = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)

    init(ring: PacketRing?) {
        super.init()
        replacements.offer(ring)
        replacements.take(into: &self.ring)
    }

    deinit { scratch.deallocate() }

    override var pollDescriptor: Int32? { ring?.descriptor }

    /// Control thread: the device is gone (nil), or is there again.
    func replace(_ ring: PacketRing?) { replacements.offer(ring) }

    /// When no worker uses the queue any more.
    func abandon() {
        replacements.take(into: &ring)
        ring = nil
        collect()
    }

    override func collect() {
        super.collect()
        replacements.collect()
    }

    override func receiveFrames(
        _ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool
    ) -> Int {
        if replacements.hasNews {
            replacements.take(into: &ring)
            slot = 0
        }
        // Kept by `ring`, and changed here alone: no reference is counted for each burst.
        guard let kept = ring.map(Unmanaged.passUnretained) else { return 0 }
        return kept._withUnsafeGuaranteedRef { receive(from: $0, batch, limit, &pool) }
    }

    @inline(__always) private func receive(
        from ring: PacketRing, _ batch: UnsafeMutablePointer<Packet>, _ limit: Int, _ pool: inout PacketPool
    ) -> Int {
        let base = ring.base
        let size = ring.frameSize
        let last = ring.frameCount
        var slot = slot
        var filled = 0
        var bytes: UInt64 = 0
        var seen = 0
        while seen < limit {
            let frame = base + slot &* size
            let status = frame.assumingMemoryBound(to: UInt32.self)
            let flags = weft_atomic_load_acquire32(status)
            if flags & UInt32(TP_STATUS_USER) == 0 { break }
            seen &+= 1
            slot = slot &+ 1 == last ? 0 : slot &+ 1
            weft_prefetch(base + slot &* size)
            if let packet = take(frame, flags, ring, &pool) {
                batch[filled] = packet
                filled &+= 1
                bytes &+= UInt64(packet.pointee.length)
            }
            weft_atomic_store_release32(status, UInt32(TP_STATUS_KERNEL))
        }
        self.slot = slot
        if filled > 0 { counters.count(packets: filled, bytes: bytes) }
        if seen == 0 { rest(ring) }
        return filled
    }

    /// Copies the frame of a slot into a buffer; nil if it was dropped.
    @inline(__always) private func take(
        _ slot: UnsafeMutableRawPointer, _ flags: UInt32, _ ring: PacketRing, _ pool: inout PacketPool
    ) -> Packet? {
        let header = slot.assumingMemoryBound(to: tpacket2_hdr.self)
        let length = Int(header.pointee.tp_len)
        let tagged = flags & UInt32(TP_STATUS_VLAN_VALID) != 0
        let shift = tagged ? 4 : 0
        guard let packet = pool.take(length &+ shift) else {
            if flags & UInt32(TP_STATUS_COPY) != 0 { discard(ring) }
            counters.drop(length > 65535 ? .frameTooLong : .noBuffer)
            return nil
        }
        if flags & UInt32(TP_STATUS_COPY) != 0 {
            guard receiveCopy(packet, shift, ring) else {
                pool.free(packet)
                counters.drop(.noBuffer)
                return nil
            }
        } else {
            // Longer than the slot, and the socket's queue was full.
            guard Int(header.pointee.tp_snaplen) >= length else {
                pool.free(packet)
                counters.drop(.noBuffer)
                return nil
            }
            let start = Int(header.pointee.tp_mac)
            let target = packet.pointee.data + shift
            // Whole 32-byte steps while they stay inside the slot; a long frame is copied faster by memcpy.
            if length <= 256, start &+ ((length &+ 31) & ~31) <= ring.frameSize {
                weft_copy_frame(target, slot + start, UInt64(truncatingIfNeeded: length))
            } else {
                memcpy(target, slot + start, length)
            }
            VirtioHeader.read(slot + start - VirtioHeader.size, into: packet, shift: UInt16(truncatingIfNeeded: shift))
        }
        if tagged { restoreTag(packet, header, flags) }
        packet.pointee.inPort = portIndex
        packet.pointee.timestamp = UInt64(header.pointee.tp_sec) &* 1_000_000_000 &+ UInt64(header.pointee.tp_nsec)
        return packet
    }

    /// The kernel keeps the outermost VLAN tag beside the frame; it goes back behind the addresses.
    private func restoreTag(_ packet: Packet, _ header: UnsafeMutablePointer<tpacket2_hdr>, _ flags: UInt32) {
        let data = packet.pointee.data
        memmove(data, data + 4, 12)
        let known = flags & UInt32(TP_STATUS_VLAN_TPID_VALID) != 0
        data.store16(known ? header.pointee.tp_vlan_tpid : 0x8100, 12)
        data.store16(header.pointee.tp_vlan_tci, 14)
    }

    /// A frame longer than a slot waits on the socket, behind its virtio header.
    private func receiveCopy(_ packet: Packet, _ shift: Int, _ ring: PacketRing) -> Bool {
        let room = Int(packet.pointee.length) - shift
        var parts = (
            iovec(iov_base: scratch, iov_len: VirtioHeader.size),
            iovec(iov_base: packet.pointee.data + shift, iov_len: room)
        )
        let count = withUnsafeMutablePointer(to: &parts) { parts in
            parts.withMemoryRebound(to: iovec.self, capacity: 2) { receiveMessage(ring, $0, 2) }
        }
        guard count >= VirtioHeader.size + 14, count - VirtioHeader.size <= room else { return false }
        packet.pointee.length = UInt32(truncatingIfNeeded: count - VirtioHeader.size + shift)
        VirtioHeader.read(scratch, into: packet, shift: UInt16(truncatingIfNeeded: shift))
        return true
    }

    private func discard(_ ring: PacketRing) {
        var part = iovec(iov_base: scratch, iov_len: VirtioHeader.size)
        _ = receiveMessage(ring, &part, 1)
    }

    /// Real length of the next message, negative on failure. A pending error of the socket (the device went down) is
    /// reported in place of the first message, so it gets a second try.
    private func receiveMessage(_ ring: PacketRing, _ parts: UnsafeMutablePointer<iovec>, _ count: Int) -> Int {
        var message = msghdr()
        message.msg_iov = parts
        message.msg_iovlen = count
        let flags = Int32(MSG_DONTWAIT | MSG_TRUNC)
        let result = recvmsg(ring.descriptor, &message, flags)
        return result >= 0 ? result : recvmsg(ring.descriptor, &message, flags)
    }

    /// After a device went down its socket carries an error that makes poll(2) return at once. An idle queue clears it
    /// now and then.
    private func rest(_ ring: PacketRing) {
        idle &+= 1
        if idle & 255 == 0, weft_socket_error(ring.descriptor) != 0 { counters.error() }
    }
}
