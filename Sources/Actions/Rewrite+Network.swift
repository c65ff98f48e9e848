import Base
import Flow
import Memory
import Wire

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Values and masks as `ProgramBuilder.setIPv4` packs them.
    @inline(__always)
    func setIPv4(addresses: UInt64, addressMask: UInt64, life: UInt64, lifeMask: UInt64) -> Bool {
        guard let l3 = network(20) else { return false }
        let header = pointee.data + l3
        let view = UnsafeRawPointer(header)
        if addressMask &>> 32 != 0 {
            let mask = UInt32(truncatingIfNeeded: addressMask &>> 32)
            setIPv4Address(header, at: 12, merge(view.be32(12), UInt32(truncatingIfNeeded: addresses &>> 32), mask))
        }
        if addressMask & 0xffff_ffff != 0 {
            let mask = UInt32(truncatingIfNeeded: addressMask)
            setIPv4Address(header, at: 16, merge(view.be32(16), UInt32(truncatingIfNeeded: addresses), mask))
        }
        if lifeMask & 0xff00 != 0 {
            let old = view.byte(1)
            let new = merge(old, UInt8(truncatingIfNeeded: life &>> 8), UInt8(truncatingIfNeeded: lifeMask &>> 8))
            if old != new {
                header.store16(InternetChecksum.update(view.be16(10), from: UInt16(old), to: UInt16(new)), 10)
                header.store8(new, 1)
            }
        }
        if lifeMask & 0xff != 0 {
            let old = view.byte(8)
            let new = merge(old, UInt8(truncatingIfNeeded: life), UInt8(truncatingIfNeeded: lifeMask))
            if old != new {
                header.store16(
                    InternetChecksum.update(view.be16(10), from: UInt16(old) &<< 8, to: UInt16(new) &<< 8), 10)
                header.store8(new, 8)
            }
        }
        return true
    }

    /// Writes an address into the header and updates the header's checksum and that of TCP or UDP.
    private func setIPv4Address(_ header: UnsafeMutableRawPointer, at offset: Int, _ new: UInt32) {
        let old = UnsafeRawPointer(header).be32(offset)
        guard old != new else { return }
        let change = ChecksumChange(old: InternetChecksum.words(~old), new: InternetChecksum.words(new))
        updateTransportChecksum(ipProtocol: UnsafeRawPointer(header).byte(9), change)
        header.store16(change.applied(to: UnsafeRawPointer(header).be16(10)), 10)
        header.store32(new, offset)
    }

    /// Values and masks as `ProgramBuilder.setIPv6` packs them.
    func setIPv6(_ operands: UnsafePointer<UInt64>) -> Bool {
        guard let l3 = network(40) else { return false }
        let header = pointee.data + l3
        let chain = examineExtensions(l3)
        setIPv6Address(header, at: 8, operands, ipProtocol: chain.ipProtocol, updates: chain.updatesChecksum)
        setIPv6Address(
            header, at: 24, operands + 4, ipProtocol: chain.ipProtocol,
            updates: chain.updatesChecksum && !chain.isRouted)
        let value = operands[8]
        let mask = operands[9]
        // Traffic class and label are bits 20-27 and 0-19 of the first word.
        func placed(_ packed: UInt64) -> UInt32 {
            UInt32(truncatingIfNeeded: (packed &>> 16) & 0xf_ffff | (packed &>> 8 & 0xff) &<< 20)
        }
        header.store32(merge(UnsafeRawPointer(header).be32(0), placed(value), placed(mask)), 0)
        let hopLimit = UnsafeRawPointer(header).byte(7)
        header.store8(merge(hopLimit, UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: mask)), 7)
        return true
    }

    /// `operands`: value and mask of one address.
    private func setIPv6Address(
        _ header: UnsafeMutableRawPointer, at offset: Int, _ operands: UnsafePointer<UInt64>, ipProtocol: UInt8,
        updates: Bool
    ) {
        let view = UnsafeRawPointer(header) + offset
        let oldHigh = view.be64(0)
        let oldLow = view.be64(8)
        let newHigh = merge(oldHigh, operands[0], operands[2])
        let newLow = merge(oldLow, operands[1], operands[3])
        guard oldHigh != newHigh || oldLow != newLow else { return }
        if updates {
            let old = InternetChecksum.words(~oldHigh) &+ InternetChecksum.words(~oldLow)
            let new = InternetChecksum.words(newHigh) &+ InternetChecksum.words(newLow)
            updateTransportChecksum(ipProtocol: ipProtocol, ChecksumChange(old: old, new: new), inIPv6: true)
        }
        header.store64(newHigh, offset)
        header.store64(newLow, offset &+ 8)
    }

    /// What the extension headers say about the transport checksum.
    private struct Extensions {
        var ipProtocol: UInt8
        /// A routing header has segments left.
        var isRouted = false
        var updatesChecksum = true
    }

    /// Walks the extension headers between the network header at `l3` and the transport header.
    private func examineExtensions(_ l3: Int) -> Extensions {
        let frame = UnsafeRawPointer(pointee.data)
        var result = Extensions(ipProtocol: frame.byte(l3 &+ 6))
        var at = l3 &+ 40
        let end = Swift.min(Int(pointee.offsetL4), length)
        while true {
            let kind = result.ipProtocol
            guard kind == 0 || kind == 43 || kind == 44 || kind == 51 || kind == 60, end &- at >= 8 else {
                return result
            }
            var size = (Int(frame.byte(at &+ 1)) &+ 1) &* 8
            switch kind {
            case 43:
                if frame.byte(at &+ 3) > 0 {
                    result.isRouted = true
                    return result
                }
            case 44:
                let offset = frame.be16(at &+ 2)
                result.updatesChecksum = offset & 0xfff8 == 0 && offset & 1 != 0
                size = 8
            case 51:
                size = (Int(frame.byte(at &+ 1)) &+ 2) &* 4
            default:
                break
            }
            result.ipProtocol = frame.byte(at)
            guard end &- at >= size else { return result }
            at &+= size
        }
    }
}

/// Sums of the complemented old and of the new 16-bit words of a field that a checksum covers.
struct ChecksumChange {
    var old: UInt64
    var new: UInt64

    /// RFC 1624, equation 3.
    @inline(__always) func applied(to checksum: UInt16) -> UInt16 {
        InternetChecksum.finish(UInt64(~checksum) &+ old &+ new)
    }

    /// The same for a sum that has not been complemented.
    @inline(__always) func applied(toSum sum: UInt16) -> UInt16 {
        InternetChecksum.fold(UInt64(sum) &+ old &+ new)
    }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Updates the TCP, UDP or (in IPv6) ICMPv6 checksum after an address in the pseudo header changed.
    @inline(__always)
    func updateTransportChecksum(ipProtocol: UInt8, _ change: ChecksumChange, inIPv6: Bool = false) {
        let place: Int
        let needed: Int
        switch ipProtocol {
        case 6: (place, needed) = (16, 20)
        case 17: (place, needed) = (6, 8)
        case 58 where inIPv6: (place, needed) = (2, 4)
        default: return
        }
        guard let l4 = transport(needed) else { return }
        let header = pointee.data + l4
        let old = UnsafeRawPointer(header).be16(place)
        if isChecksumPartial(l4) {
            header.store16(change.applied(toSum: old), place)
        } else if ipProtocol == 17 {
            if old != 0 { header.store16(InternetChecksum.udp(change.applied(to: old)), place) }
        } else {
            header.store16(change.applied(to: old), place)
        }
    }
}
