import Base
import Flow
import Memory

// Ethernet addresses, VLAN tags and MPLS label stack entries.
extension UnsafeMutablePointer where Pointee == PacketHeader {
    @inline(__always)
    func setEthernet(dst: UInt64, dstMask: UInt64, src: UInt64, srcMask: UInt64) -> Bool {
        guard length >= 14 else { return false }
        let frame = pointee.data
        frame.store48(merge(UnsafeRawPointer(frame).be48(0), dst, dstMask), 0)
        frame.store48(merge(UnsafeRawPointer(frame).be48(6), src, srcMask), 6)
        return true
    }

    /// Puts a tag in front of all others; the CFI bit of `tci` goes out as 0.
    func pushVLAN(tpid: UInt16, tci: UInt16) -> Bool {
        guard length >= 14, insert(4, at: 12) else { return false }
        shiftOffsets(4, mpls: true)
        pointee.data.store16(tpid, 12)
        pointee.data.store16(tci & ~0x1000, 14)
        return true
    }

    /// Takes the outermost tag away; a frame without one stays as it is.
    func popVLAN() -> Bool {
        guard length >= 18, isVLAN(UnsafeRawPointer(pointee.data).be16(12)) else { return true }
        guard remove(4, at: 12) else { return false }
        shiftOffsets(-4, mpls: true)
        return true
    }

    /// Puts a label stack entry on top of the stack, or between Ethernet and network header if there is none, and
    /// sets the EtherType in front of it.
    func pushMPLS(etherType: UInt16, entry: UInt32) -> Bool {
        guard etherType == EtherType.mpls || etherType == EtherType.mplsMulticast else { return true }
        let isFirst = pointee.offsetMPLS == PacketHeader.unknownOffset
        let offset = Int(isFirst ? pointee.offsetL3 : pointee.offsetMPLS)
        guard offset >= 14, offset <= length, insert(4, at: offset) else { return false }
        setEtherType(etherType, before: offset)
        shiftOffsets(4, mpls: false)
        pointee.offsetMPLS = UInt16(truncatingIfNeeded: offset)
        pointee.data.store32(entry, offset)
        return true
    }

    /// Takes the outermost label stack entry away and sets the EtherType in front of it; a frame without one stays as
    /// it is.
    func popMPLS(etherType: UInt16) -> Bool {
        guard pointee.offsetMPLS != PacketHeader.unknownOffset else { return true }
        let offset = Int(pointee.offsetMPLS)
        guard offset >= 14, offset &+ 4 <= length else { return false }
        let isBottom = UnsafeRawPointer(pointee.data).be32(offset) & 0x100 != 0
        setEtherType(etherType, before: offset)
        guard remove(4, at: offset) else { return false }
        shiftOffsets(-4, mpls: false)
        if isBottom { pointee.offsetMPLS = PacketHeader.unknownOffset }
        return true
    }

    /// Changes the outermost label stack entry; a frame without one stays as it is.
    func setMPLS(entry: UInt32, mask: UInt32) -> Bool {
        guard pointee.offsetMPLS != PacketHeader.unknownOffset else { return true }
        let offset = Int(pointee.offsetMPLS)
        guard offset &+ 4 <= length else { return false }
        pointee.data.store32(merge(UnsafeRawPointer(pointee.data).be32(offset), entry, mask), offset)
        return true
    }

    /// The EtherType stands right before `offset` in a tagged frame; otherwise in its first place (also in a SNAP
    /// frame, which thus becomes an Ethernet II frame, as in OVS).
    private func setEtherType(_ type: UInt16, before offset: Int) {
        let isTagged = isVLAN(UnsafeRawPointer(pointee.data).be16(12))
        pointee.data.store16(type, isTagged ? offset &- 2 : 12)
    }

    private func isVLAN(_ type: UInt16) -> Bool { type == EtherType.vlan || type == EtherType.serviceVLAN }
}
