import Base
import Memory
import Wire

// Ports of TCP, UDP and SCTP; type and code of ICMP and ICMPv6.
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// `ports` and `mask`: source << 16 | destination. A transport header that is cut short stays as it is.
    @inline(__always)
    func setPorts(ipProtocol: UInt8, ports: UInt32, mask: UInt32) -> Bool {
        switch ipProtocol {
        case 6: setTCPPorts(ports, mask)
        case 17: setUDPPorts(ports, mask)
        case 132: setSCTPPorts(ports, mask)
        default: break
        }
        return true
    }

    private func setTCPPorts(_ ports: UInt32, _ mask: UInt32) {
        guard let l4 = transport(20) else { return }
        let header = pointee.data + l4
        let size = Int(UnsafeRawPointer(header).byte(12) &>> 4) &* 4
        guard size >= 20, size <= transportLength else { return }
        let old = UnsafeRawPointer(header).be32(0)
        let new = merge(old, ports, mask)
        guard old != new else { return }
        if !isChecksumPartial(l4) {
            header.store16(updated(UnsafeRawPointer(header).be16(16), ports: old, to: new), 16)
        }
        header.store32(new, 0)
    }

    private func setUDPPorts(_ ports: UInt32, _ mask: UInt32) {
        guard let l4 = transport(8) else { return }
        let header = pointee.data + l4
        let old = UnsafeRawPointer(header).be32(0)
        let new = merge(old, ports, mask)
        let checksum = UnsafeRawPointer(header).be16(6)
        if checksum != 0, !isChecksumPartial(l4) {
            header.store16(InternetChecksum.udp(updated(checksum, ports: old, to: new)), 6)
        }
        header.store32(new, 0)
    }

    /// Each port that changed updates the checksum; one that did not leaves it, also in how it writes zero.
    @inline(__always) private func updated(_ checksum: UInt16, ports old: UInt32, to new: UInt32) -> UInt16 {
        var result = checksum
        if old &>> 16 != new &>> 16 {
            result = InternetChecksum.update(
                result, from: UInt16(truncatingIfNeeded: old &>> 16), to: UInt16(truncatingIfNeeded: new &>> 16))
        }
        if old & 0xffff != new & 0xffff {
            result = InternetChecksum.update(
                result, from: UInt16(truncatingIfNeeded: old), to: UInt16(truncatingIfNeeded: new))
        }
        return result
    }

    /// The new checksum differs from the old one by as much as the right ones differ: a packet that came damaged
    /// leaves recognisably damaged.
    private func setSCTPPorts(_ ports: UInt32, _ mask: UInt32) {
        guard let l4 = transport(12) else { return }
        let header = pointee.data + l4
        let old = UnsafeRawPointer(header).be32(0)
        let new = merge(old, ports, mask)
        guard old != new else { return }
        guard !isChecksumPartial(l4) else {
            header.store32(new, 0)
            return
        }
        let size = transportLength
        let checksum = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        header.store32(0, 8)
        let before = CRC32C.checksum(header, count: size)
        header.store32(new, 0)
        let after = CRC32C.checksum(header, count: size)
        header.storeBytes(of: (checksum ^ before ^ after).littleEndian, toByteOffset: 8, as: UInt32.self)
    }

    /// `typeAndCode` and `mask`: type << 8 | code.
    func setICMP(typeAndCode: UInt16, mask: UInt16) -> Bool {
        guard let l4 = transport(8) else { return false }
        let header = pointee.data + l4
        let old = UnsafeRawPointer(header).be16(0)
        let new = merge(old, typeAndCode, mask)
        guard old != new else { return true }
        if !isChecksumPartial(l4) {
            header.store16(InternetChecksum.update(UnsafeRawPointer(header).be16(2), from: old, to: new), 2)
        }
        header.store16(new, 0)
        return true
    }
}
