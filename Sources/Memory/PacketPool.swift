import Base
import CLinux

/// Fixed sets of frame buffers, owned by one worker: no lock, no growth. When it is empty, a frame is dropped as
/// `noBuffer`.
///
/// Two sizes: most frames fit 2 KiB; segmentation offload brings frames of up to 64 KiB. The memory is reserved at
/// start and touched only when used, so large buffers that are never needed cost nothing.
///
///     | header 192 | headroom 128 | frame ... |
public struct PacketPool: ~Copyable {
    @inlinable public static var headerSize: Int { 192 }
    /// Room for pushed headers: GENEVE over IPv6 with options, twice VLAN, MPLS.
    @inlinable public static var headroom: Int { 128 }
    @inlinable public static var smallSize: Int { 2048 + 320 }
    @inlinable public static var largeSize: Int { 65536 + 512 }

    @usableFromInline let memory: UnsafeMutableRawPointer
    @usableFromInline let byteCount: Int
    /// Stacks of free buffers: the last freed is the next taken, it is still in the first-level cache.
    @usableFromInline let small: UnsafeMutablePointer<Packet>
    @usableFromInline let large: UnsafeMutablePointer<Packet>
    /// Free buffers, small and large. Behind a pointer, as all that changes: a full output batch gives buffers back in
    /// the middle of a program that takes some, through a path of its own.
    @usableFromInline let counts: UnsafeMutablePointer<Int>
    public let smallTotal: Int
    public let largeTotal: Int

    /// `smallCount` buffers of 2 KiB frames, `largeCount` of 64 KiB frames. Traps only if the kernel refuses the
    /// address space, which is before any outside input.
    public init(small smallTotal: Int = 4096, large largeTotal: Int = 256) {
        self.smallTotal = smallTotal
        self.largeTotal = largeTotal
        byteCount = smallTotal * Self.smallSize + largeTotal * Self.largeSize
        guard let memory = Self.map(byteCount) else {
            fatalError("mmap of \(byteCount) bytes of packet buffers: \(String(cString: strerror(weft_errno())))")
        }
        self.memory = memory
        small = .allocate(capacity: smallTotal)
        large = .allocate(capacity: largeTotal)
        counts = .allocate(capacity: 8)
        counts[0] = smallTotal
        counts[1] = largeTotal
        var at = memory
        for i in 0..<smallTotal {
            small[smallTotal - 1 - i] = at.assumingMemoryBound(to: PacketHeader.self)
            at += Self.smallSize
        }
        for i in 0..<largeTotal {
            large[largeTotal - 1 - i] = at.assumingMemoryBound(to: PacketHeader.self)
            at += Self.largeSize
        }
    }

    deinit {
        munmap(memory, byteCount)
        small.deallocate()
        large.deallocate()
        counts.deallocate()
    }

    private static func map(_ size: Int) -> UnsafeMutableRawPointer? {
        let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let address, address != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
        return address
    }

    /// Buffers in use, of both sizes: 0 when no frame is under way.
    @inlinable public var inUse: Int { smallTotal &- counts[0] &+ largeTotal &- counts[1] }

    /// Free buffers of a packet's size.
    @inlinable public func available(like packet: Packet) -> Int { counts[packet.pointee.sizeClass == 0 ? 0 : 1] }

    /// A buffer for a frame of `length` bytes, its `data` behind the headroom and `length` set; nil if none is left or
    /// `length` is beyond 64 KiB. Only offsets, offloads, queue and mark are reset.
    @inlinable @inline(__always) public mutating func take(_ length: Int) -> Packet? {
        let packet: Packet
        let size: Int
        if length <= Self.smallSize &- Self.headerSize &- Self.headroom {
            guard counts[0] > 0 else { return nil }
            counts[0] &-= 1
            packet = small[counts[0]]
            size = Self.smallSize
            packet.pointee.sizeClass = 0
        } else {
            guard counts[1] > 0, length <= Self.largeSize &- Self.headerSize &- Self.headroom else { return nil }
            counts[1] &-= 1
            packet = large[counts[1]]
            size = Self.largeSize
            packet.pointee.sizeClass = 1
        }
        packet.pointee.data = UnsafeMutableRawPointer(packet) + Self.headerSize + Self.headroom
        packet.pointee.length = UInt32(truncatingIfNeeded: length)
        packet.pointee.room = UInt32(truncatingIfNeeded: size &- Self.headerSize &- Self.headroom)
        packet.pointee.queue = 0
        packet.pointee.mark = 0
        packet.pointee.offload = PacketHeader.Offload()
        packet.pointee.isTracked = false
        packet.pointee.recirculations = 0
        packet.pointee.trace = 0
        return packet
    }

    @inlinable @inline(__always) public mutating func free(_ packet: Packet) {
        if packet.pointee.sizeClass == 0 {
            small[counts[0]] = packet
            counts[0] &+= 1
        } else {
            large[counts[1]] = packet
            counts[1] &+= 1
        }
    }

    /// A second buffer with the same frame and metadata, nil if none is left.
    @inlinable public mutating func copy(_ packet: Packet) -> Packet? {
        let length = Int(packet.pointee.length)
        guard let twin = take(length) else { return nil }
        twin.pointee.data.copyMemory(from: packet.pointee.data, byteCount: length)
        twin.pointee.offsetMPLS = packet.pointee.offsetMPLS
        twin.pointee.offsetL3 = packet.pointee.offsetL3
        twin.pointee.offsetL4 = packet.pointee.offsetL4
        twin.pointee.padL2 = packet.pointee.padL2
        twin.pointee.inPort = packet.pointee.inPort
        twin.pointee.queue = packet.pointee.queue
        twin.pointee.mark = packet.pointee.mark
        twin.pointee.hash = packet.pointee.hash
        twin.pointee.offload = packet.pointee.offload
        twin.pointee.timestamp = packet.pointee.timestamp
        twin.pointee.recirculations = packet.pointee.recirculations
        twin.pointee.frozen = packet.pointee.frozen
        if packet.pointee.isTracked {
            twin.pointee.isTracked = true
            twin.pointee.tracking = packet.pointee.tracking
            twin.pointee.connection = packet.pointee.connection
        }
        return twin
    }
}
