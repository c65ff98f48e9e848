import Base
import Memory
import Wire

// ARP, and neighbour discovery of IPv6 (RFC 4861).
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Operands as `ProgramBuilder.setARP` packs them.
    func setARP(operation: UInt16, _ operands: UnsafePointer<UInt64>) -> Bool {
        guard let l3 = network(28) else { return false }
        let header = pointee.data + l3
        let view = UnsafeRawPointer(header)
        let addresses = operands[0]
        let addressMask = operands[1]
        header.store16(merge(view.be16(6), operation, UInt16(truncatingIfNeeded: operands[6])), 6)
        header.store48(merge(view.be48(8), operands[2], operands[3]), 8)
        header.store32(
            merge(
                view.be32(14), UInt32(truncatingIfNeeded: addresses &>> 32),
                UInt32(truncatingIfNeeded: addressMask &>> 32)), 14)
        header.store48(merge(view.be48(18), operands[4], operands[5]), 18)
        header.store32(
            merge(view.be32(24), UInt32(truncatingIfNeeded: addresses), UInt32(truncatingIfNeeded: addressMask)), 24)
        return true
    }

    /// Operands as `ProgramBuilder.setND` packs them. Writes the target, and the first link-layer address option if
    /// there is one: a message has either a source or a target option.
    func setND(_ operands: UnsafePointer<UInt64>) -> Bool {
        guard let l4 = transport(24) else { return false }
        let message = pointee.data + l4
        let view = UnsafeRawPointer(message)
        var high = view.be64(8)
        var low = view.be64(16)
        let old = InternetChecksum.words(~high) &+ InternetChecksum.words(~low)
        let newHigh = merge(high, operands[0], operands[2])
        let newLow = merge(low, operands[1], operands[3])
        if high != newHigh || low != newLow {
            (high, low) = (newHigh, newLow)
            let new = InternetChecksum.words(high) &+ InternetChecksum.words(low)
            changeICMPv6Checksum(message, ChecksumChange(old: old, new: new))
            message.store64(high, 8)
            message.store64(low, 16)
        }
        let end = transportLength
        var at = 24
        while end &- at >= 8 {
            let kind = view.byte(at)
            let size = Int(view.byte(at &+ 1)) &* 8
            if size == 0 { break }
            if size == 8, kind == 1 || kind == 2 {
                let (value, mask) = kind == 1 ? (operands[4], operands[5]) : (operands[6], operands[7])
                setLinkLayerAddress(message, at: at &+ 2, value, mask)
                break
            }
            at &+= size
        }
        return true
    }

    private func setLinkLayerAddress(
        _ message: UnsafeMutableRawPointer, at offset: Int, _ value: UInt64, _ mask: UInt64
    ) {
        let old = UnsafeRawPointer(message).be48(offset)
        let new = merge(old, value, mask)
        guard old != new else { return }
        let complement = InternetChecksum.words(~old & 0xffff_ffff_ffff)
        changeICMPv6Checksum(message, ChecksumChange(old: complement, new: InternetChecksum.words(new)))
        message.store48(new, offset)
    }

    /// Everything in the message lies behind `checksumStart`, so a partial checksum does not change.
    private func changeICMPv6Checksum(_ message: UnsafeMutableRawPointer, _ change: ChecksumChange) {
        guard !isChecksumPartial(Int(pointee.offsetL4)) else { return }
        message.store16(change.applied(to: UnsafeRawPointer(message).be16(2)), 2)
    }

    /// `value` and `mask`: reserved << 32 | options type << 8. The type is that of the first option. A field whose
    /// mask is not 0 is written as a whole; then the ICMPv6 checksum is computed anew.
    func setNDExtensions(value: UInt64, mask: UInt64) -> Bool {
        let setsReserved = mask &>> 32 != 0
        let setsType = mask & 0xff00 != 0
        guard let l3 = network(40), let l4 = transport(setsType ? 25 : 24) else { return false }
        let message = pointee.data + l4
        if setsReserved { message.store32(UInt32(truncatingIfNeeded: value &>> 32), 4) }
        if setsType { message.store8(UInt8(truncatingIfNeeded: value &>> 8), 24) }
        guard !isChecksumPartial(l4) else { return true }
        let addresses = InternetChecksum.sum(pointee.data + l3 + 8, count: 32)
        let size = transportLength
        message.store16(0, 2)
        let sum = InternetChecksum.sum(message, count: size, initial: addresses &+ UInt64(size) &+ 58)
        message.store16(InternetChecksum.finish(sum), 2)
        return true
    }
}
