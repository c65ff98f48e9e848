import CLinux
import Memory

/// `struct virtio_net_hdr` (Virtual I/O Device specification 1.2, section 5.1.6) in host byte order, as packet sockets
/// and TAP devices pass it before each frame: what work was left to the device.
package enum VirtioHeader {
    package static var size: Int { 10 }

    private static var needsChecksum: UInt8 { UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM) }
    private static var dataValid: UInt8 { UInt8(VIRTIO_NET_HDR_F_DATA_VALID) }

    /// Reads the header at `header` into the packet, whose bytes and length stand there already. What it says is not
    /// believed further than the frame goes: a checksum that would lie outside is nobody's to complete. `shift` bytes (a
    /// restored VLAN tag) were put before the place where its offsets count from.
    @inline(__always) package static func read(_ header: UnsafeRawPointer, into packet: Packet, shift: UInt16) {
        let flags = header.load(as: UInt8.self)
        let type = header.load(fromByteOffset: 1, as: UInt8.self)
        if flags | type == 0 { return }
        var offload = PacketHeader.Offload()
        offload.checksumValid = flags & dataValid != 0
        if flags & needsChecksum != 0 {
            let start = Int(header.loadUnaligned(fromByteOffset: 6, as: UInt16.self)) &+ Int(shift)
            let offset = header.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
            if start &+ Int(offset) &+ 2 <= Int(packet.pointee.length), start <= 0xffff {
                offload.needsChecksum = true
                offload.checksumStart = UInt16(truncatingIfNeeded: start)
                offload.checksumOffset = offset
            }
        }
        if type != 0 {
            offload.segmentationType = type
            offload.headerLength = headerLength(packet, offload)
            offload.segmentSize = header.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        }
        packet.pointee.offload = offload
    }

    /// Bytes of headers that each segment will repeat; 0 if the frame does not tell. The `hdr_len` of the sender is no
    /// answer: it is a hint of how much lies in one piece (section 5.1.6.2), which may be all of the frame.
    @inline(__always) private static func headerLength(_ packet: Packet, _ offload: PacketHeader.Offload) -> UInt16 {
        let start = Int(offload.checksumStart)
        let length = Int(packet.pointee.length)
        guard offload.needsChecksum, start &+ 20 <= length else { return 0 }
        let isUDP = offload.checksumOffset == 6
        let transport = isUDP ? 8 : Int(packet.pointee.data.load(fromByteOffset: start &+ 12, as: UInt8.self) >> 4) &* 4
        return UInt16(truncatingIfNeeded: min(start &+ transport, length, 0xffff))
    }

    /// Writes the header for the packet to ten bytes at `header`.
    @inline(__always) package static func write(_ packet: Packet, to header: UnsafeMutableRawPointer) {
        let offload = packet.pointee.offload
        var flags: UInt8 = 0
        var first: UInt64 = 0
        if offload.needsChecksum {
            flags = needsChecksum
            first = UInt64(offload.checksumStart) &<< 48
        } else if offload.checksumValid {
            flags = dataValid
        }
        first |= UInt64(flags) | UInt64(offload.segmentationType) &<< 8
        first |= UInt64(offload.headerLength) &<< 16 | UInt64(offload.segmentSize) &<< 32
        header.storeBytes(of: first.littleEndian, as: UInt64.self)
        header.storeBytes(of: offload.needsChecksum ? offload.checksumOffset : 0, toByteOffset: 8, as: UInt16.self)
    }
}
