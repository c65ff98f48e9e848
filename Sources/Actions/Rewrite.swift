import Base
import Flow
import Memory
import Wire

// Edits of a frame in its buffer, one function for each `DatapathOp` that edits.
//
// All of them rely on the offsets that key extraction left in the packet header, and keep them right. They return
// false, with the frame unchanged, if bytes that they would write are not there; nothing is ever read or written
// outside the frame. The result equals what Open vSwitch 3.1 makes of the same frame, byte for byte, including where
// one may argue about it:
//
// - Checksums are updated incrementally (RFC 1624), so a frame that came with a wrong one leaves with one that is as
//   wrong as before. Only setting ND extensions computes the ICMPv6 checksum anew.
// - A field that keeps its value touches no checksum.
// - Addresses of a later IPv4 fragment: the bytes where a first fragment has its TCP or UDP checksum are updated in
//   every fragment that is long enough.
// - Addresses of an IPv6 packet: a fragment header updates the transport checksum only in a first fragment that more
//   fragments follow. Behind a routing header with segments left, no transport checksum is updated: the destination
//   that counts there is the last one of the header.
// - Ports are left alone where the transport header is cut short; ARP, ICMP and ND messages cut short are refused.
//
// Frames whose sender left the checksum to hardware (`offload.needsChecksum`) carry the folded sum of the pseudo header
// in the place of the checksum. Addresses change it as a sum, not as its complement; ports and everything else that
// lies behind `checksumStart` do not, since whoever completes the checksum reads them then. This is what Linux calls
// CHECKSUM_PARTIAL and virtio VIRTIO_NET_HDR_F_NEEDS_CSUM. Pushed and popped headers move the offload's offsets.

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Bytes of frame.
    @inline(__always) var length: Int { Int(pointee.length) }

    /// Offset of the network header, nil if it is unknown or fewer than `count` bytes of frame follow it.
    @inline(__always) func network(_ count: Int) -> Int? {
        let offset = Int(pointee.offsetL3)
        guard offset != 0xffff, offset &+ count <= length else { return nil }
        return offset
    }

    /// Bytes from the transport header to the end of the network packet; 0 if there is no transport header.
    @inline(__always) var transportLength: Int {
        guard pointee.offsetL4 != PacketHeader.unknownOffset else { return 0 }
        return Swift.max(0, length &- Int(pointee.offsetL4) &- Int(pointee.padL2))
    }

    /// Offset of the transport header, nil if it is unknown or fewer than `count` bytes of packet follow it.
    @inline(__always) func transport(_ count: Int) -> Int? {
        transportLength >= count ? Int(pointee.offsetL4) : nil
    }

    /// Whether the checksum of the transport header at `offset` is still to be completed.
    @inline(__always) func isChecksumPartial(_ offset: Int) -> Bool {
        pointee.offload.needsChecksum && Int(pointee.offload.checksumStart) == offset
    }

    /// Moves the known offsets of everything behind the frame's first bytes after `count` bytes were put in front of
    /// them (or, if negative, taken away).
    func shiftOffsets(_ count: Int, mpls: Bool) {
        func shift(_ offset: inout UInt16) {
            if offset != PacketHeader.unknownOffset { offset = UInt16(truncatingIfNeeded: Int(offset) &+ count) }
        }
        if mpls { shift(&pointee.offsetMPLS) }
        shift(&pointee.offsetL3)
        shift(&pointee.offsetL4)
        if pointee.offload.needsChecksum {
            pointee.offload.checksumStart = UInt16(truncatingIfNeeded: Int(pointee.offload.checksumStart) &+ count)
        }
        if pointee.offload.headerLength != 0 {
            pointee.offload.headerLength = UInt16(truncatingIfNeeded: Int(pointee.offload.headerLength) &+ count)
        }
    }

    /// Inserts `count` bytes at `offset`, moving what is in front of it.
    func insert(_ count: Int, at offset: Int) -> Bool {
        guard offset <= length, push(count) else { return false }
        pointee.data.copyMemoryOverlapping(from: pointee.data + count, byteCount: offset)
        return true
    }

    /// Removes the `count` bytes at `offset`, moving what is in front of them.
    func remove(_ count: Int, at offset: Int) -> Bool {
        guard offset &+ count <= length else { return false }
        (pointee.data + count).copyMemoryOverlapping(from: pointee.data, byteCount: offset)
        pull(count)
        return true
    }
}

extension UnsafeMutableRawPointer {
    /// `memmove`. (The standard library's `copyMemory` allows overlap too; the name says that it is needed.)
    @inline(__always) func copyMemoryOverlapping(from source: UnsafeMutableRawPointer, byteCount: Int) {
        copyMemory(from: source, byteCount: byteCount)
    }
}

/// `new` where `mask` is one, `old` elsewhere; `new` has no bits outside the mask.
@inline(__always) func merge<T: FixedWidthInteger>(_ old: T, _ new: T, _ mask: T) -> T { old & ~mask | new & mask }
