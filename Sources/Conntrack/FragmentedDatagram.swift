import Base
import Memory
import Wire

/// A datagram that became whole: the fragments, in order of their offsets, and the whole as one packet. Each worker
/// has one, which `FragmentReassembler.submit` fills; its buffer for the whole is used again and again.
///
///     case .complete:
///         track(datagram.whole)
///         datagram.distribute()
///         for i in 0..<datagram.count { goOn(with: datagram.fragments[i]) }
public final class FragmentedDatagram {
    /// Frames of the worker's pool, `count` of them; the caller's from then on. One of them is the frame that was submitted.
    public let fragments: UnsafeMutablePointer<Packet>
    public private(set) var count = 0
    /// The whole datagram behind the link headers of its first fragment, offsets set, without padding; belongs to this
    /// object, valid until the next `submit`. Meaningful only after `complete`.
    public private(set) var whole: Packet
    private var pool = PacketPool(small: 1, large: 1)
    private let capacity: Int
    private var isIPv6 = false
    private let ends: UnsafeMutablePointer<(payload: Int, count: Int)>

    public init(capacity: Int = 256) {
        self.capacity = capacity
        fragments = .allocate(capacity: capacity)
        ends = .allocate(capacity: capacity)
        guard let packet = pool.take(0) else { fatalError("a pool of two buffers has none") }
        whole = packet
    }

    deinit {
        fragments.deallocate()
        ends.deallocate()
    }

    func reset() { count = 0 }

    var isFull: Bool { count == capacity }

    /// The next fragment in order: `length` bytes of payload from `payload` on.
    func append(_ packet: Packet, payload: Int, length: Int) {
        guard count < capacity else { return }
        fragments[count] = packet
        ends[count] = (payload, length)
        count &+= 1
    }

    /// Builds `whole`. False if it is too long for a packet.
    func assemble(isIPv6: Bool) -> Bool {
        guard count > 0 else { return false }
        self.isIPv6 = isIPv6
        let first = fragments[0]
        let front = ends[0].payload
        var length = front
        for i in 0..<count { length &+= ends[i].count }
        let l3 = Int(first.pointee.offsetL3)
        let size = isIPv6 ? length &- l3 &- 40 : length &- l3
        guard size <= 0xffff else { return false }
        pool.free(whole)
        // Both sizes of buffer are free, and the larger one holds any IP packet behind any link header.
        guard let packet = pool.take(length) ?? pool.take(0) else { return false }
        whole = packet
        guard Int(packet.pointee.length) == length else { return false }
        // It must not grow: the fragments go on with the lengths that they have.
        packet.pointee.room = packet.pointee.length
        copyMetadata(first, to: packet)
        let data = packet.pointee.data
        data.copyMemory(from: first.pointee.data, byteCount: front)
        var at = front
        for i in 0..<count {
            (data + at).copyMemory(from: fragments[i].pointee.data + ends[i].payload, byteCount: ends[i].count)
            at &+= ends[i].count
        }
        finishHeader(data + l3, size: size, fragmentHeader: front &- l3 &- 8)
        return true
    }

    private func copyMetadata(_ first: Packet, to packet: Packet) {
        packet.pointee.offsetMPLS = first.pointee.offsetMPLS
        packet.pointee.offsetL3 = first.pointee.offsetL3
        packet.pointee.offsetL4 = first.pointee.offsetL4
        packet.pointee.padL2 = 0
        packet.pointee.inPort = first.pointee.inPort
        packet.pointee.queue = first.pointee.queue
        packet.pointee.mark = first.pointee.mark
        packet.pointee.hash = first.pointee.hash
        packet.pointee.timestamp = first.pointee.timestamp
        packet.pointee.isTracked = first.pointee.isTracked
        packet.pointee.tracking = first.pointee.tracking
        packet.pointee.connection = first.pointee.connection
    }

    /// Length and fragmentation fields of the whole. In IPv6 the fragment header stays, with an offset of 0 and nothing
    /// more to come (RFC 6946): so all offsets are those of the first fragment.
    private func finishHeader(_ header: UnsafeMutableRawPointer, size: Int, fragmentHeader: Int) {
        let view = UnsafeRawPointer(header)
        let length = UInt16(truncatingIfNeeded: size)
        if isIPv6 {
            header.store16(length, 4)
            header.store16(0, fragmentHeader &+ 2)
            return
        }
        let field = view.be16(6) & ~0x2000
        var checksum = InternetChecksum.update(view.be16(10), from: view.be16(6), to: field)
        checksum = InternetChecksum.update(checksum, from: view.be16(2), to: length)
        header.store16(field, 6)
        header.store16(length, 2)
        header.store16(checksum, 10)
    }

    /// Gives every fragment what connection tracking found out about the whole and did to it: metadata, addresses, and
    /// to the first one its transport header, whose checksum covers the whole.
    public func distribute() {
        guard count > 0 else { return }
        for i in 0..<count {
            let packet = fragments[i]
            packet.pointee.isTracked = whole.pointee.isTracked
            packet.pointee.tracking = whole.pointee.tracking
            packet.pointee.connection = whole.pointee.connection
            let l3 = Int(packet.pointee.offsetL3)
            copyAddresses(
                from: whole.pointee.data + Int(whole.pointee.offsetL3), to: packet.pointee.data + l3)
        }
        // Everything of the payload that the first fragment carries.
        let first = fragments[0]
        (first.pointee.data + ends[0].payload).copyMemory(
            from: whole.pointee.data + ends[0].payload, byteCount: ends[0].count)
    }

    /// Gives every fragment the Ethernet destination that the whole has by now.
    public func distributeStation() {
        let station = UnsafeRawPointer(whole.pointee.data).be48(0)
        for i in 0..<count { fragments[i].pointee.data.store48(station, 0) }
    }

    private func copyAddresses(from source: UnsafeMutableRawPointer, to header: UnsafeMutableRawPointer) {
        if isIPv6 {
            (header + 8).copyMemory(from: source + 8, byteCount: 32)
        } else {
            header.replaceIPv4Addresses(UnsafeRawPointer(source).be64(12))
        }
    }
}
