import Base

/// A frame in a pool buffer: a plain pointer to its header, so that handling it costs no reference counting.
/// It belongs to one worker, from receipt until the worker frees it into the pool that it came from.
public typealias Packet = UnsafeMutablePointer<PacketHeader>

/// What is known about a frame beside its bytes. Lies at the start of the buffer, before headroom and data.
public struct PacketHeader {
    /// First byte of the Ethernet header.
    public var data: UnsafeMutableRawPointer
    /// Bytes of frame.
    public var length: UInt32
    /// Bytes from `data` to the end of the buffer.
    public var room: UInt32
    /// Offsets from `data`, 0xffff while unknown, set by key extraction: MPLS stack, network header, transport header.
    public var offsetMPLS: UInt16
    public var offsetL3: UInt16
    public var offsetL4: UInt16
    /// Bytes behind the network packet's own length (Ethernet padding).
    public var padL2: UInt16
    /// Port it was received on.
    public var inPort: PortIndex
    /// Set by `set_queue`, for the transmitting port.
    public var queue: UInt32
    /// `pkt_mark`, for the transmitting port.
    public var mark: UInt32
    /// Symmetric flow hash, once computed.
    public var hash: UInt32
    /// Work that the sender left to the network device.
    public var offload: Offload
    /// Nanoseconds of the port's clock; 0 if it has none.
    public var timestamp: UInt64
    /// Which free list the buffer returns to.
    public var sizeClass: UInt8
    /// State that it came back to the tables with last, if `recirculations` is not 0.
    public var frozen: UInt32
    /// How often it came back to the tables.
    public var recirculations: UInt8
    /// Whether connection tracking has seen it; `tracking` says nothing otherwise.
    public var isTracked: Bool
    /// What connection tracking found out, laid out as words 19 to 27 of a `FlowKey`: state, zone, mark, label, original tuple.
    public var tracking: InlineArray<9, UInt64>
    /// The connection, as the tracker that found it numbers it.
    public var connection: UInt64
    /// Guard of the connection as the last `ct` left it, 0 if what was found cannot be relied on for the next packet; and how
    /// the packet went through it.
    public var guardWord: UInt64
    public var passage: UInt8
    /// Number of the trace that records its way, 0 if none does.
    public var trace: UInt16

    /// `struct virtio_net_hdr` without the flags that no port uses.
    public struct Offload {
        /// The checksum at `checksumStart + checksumOffset` covers only the pseudo header; the rest, from
        /// `checksumStart` to the end, is still to be added.
        public var needsChecksum: Bool
        /// The checksums inside are known to be right.
        public var checksumValid: Bool
        /// VIRTIO_NET_HDR_GSO_*: 0 none, 1 TCPv4, 3 UDP fragmentation, 4 TCPv6, 5 UDP segmentation; 0x80 ECN.
        public var segmentationType: UInt8
        public var checksumStart: UInt16
        public var checksumOffset: UInt16
        /// Payload bytes a segment.
        public var segmentSize: UInt16
        /// Bytes of all headers that each segment repeats; 0 if unknown.
        public var headerLength: UInt16

        @inlinable public init() {
            needsChecksum = false
            checksumValid = false
            segmentationType = 0
            checksumStart = 0
            checksumOffset = 0
            segmentSize = 0
            headerLength = 0
        }
    }

    @inlinable public static var unknownOffset: UInt16 { 0xffff }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Start of the buffer's data area, behind the header.
    @inlinable public var bufferStart: UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(self) + PacketPool.headerSize
    }

    /// Free bytes in front of the frame.
    @inlinable public var headroom: Int { pointee.data - bufferStart }

    /// Makes room for `count` bytes at the front. False, and nothing changed, if the headroom is used up.
    @inlinable public func push(_ count: Int) -> Bool {
        guard headroom >= count else { return false }
        pointee.data -= count
        pointee.length &+= UInt32(truncatingIfNeeded: count)
        pointee.room &+= UInt32(truncatingIfNeeded: count)
        return true
    }

    /// Takes `count` bytes (at most `length`) off the front.
    @inlinable public func pull(_ count: Int) {
        pointee.data += count
        pointee.length &-= UInt32(truncatingIfNeeded: count)
        pointee.room &-= UInt32(truncatingIfNeeded: count)
    }
}
