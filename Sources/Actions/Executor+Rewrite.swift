import Base
import CLinux
import Memory

extension Run {
    /// Carries out an op that edits the frame or its metadata. False if bytes were missing.
    @inline(__always)
    func rewrite(_ op: DatapathOp, _ head: UInt64, _ operands: UnsafePointer<UInt64>, _ packet: Packet) -> Bool {
        let immediate = UInt32(truncatingIfNeeded: head)
        let flags = UInt8(truncatingIfNeeded: head &>> 48)
        switch op {
        case .setEthernet:
            return packet.setEthernet(
                dst: operands[0], dstMask: operands[1], src: operands[2], srcMask: operands[3])
        case .pushVLAN:
            return packet.pushVLAN(
                tpid: UInt16(truncatingIfNeeded: immediate &>> 16), tci: UInt16(truncatingIfNeeded: immediate))
        case .popVLAN:
            return packet.popVLAN()
        case .pushMPLS:
            return packet.pushMPLS(etherType: UInt16(truncatingIfNeeded: operands[0]), entry: immediate)
        case .popMPLS:
            return packet.popMPLS(etherType: UInt16(truncatingIfNeeded: immediate))
        case .setMPLS:
            return packet.setMPLS(entry: immediate, mask: UInt32(truncatingIfNeeded: operands[0]))
        case .setIPv4:
            return packet.setIPv4(
                addresses: operands[0], addressMask: operands[1], life: operands[2], lifeMask: operands[3])
        case .setIPv6:
            return packet.setIPv6(operands)
        case .setPorts:
            return packet.setPorts(
                ipProtocol: flags, ports: immediate, mask: UInt32(truncatingIfNeeded: operands[0]))
        case .setICMP:
            return packet.setICMP(
                typeAndCode: UInt16(truncatingIfNeeded: immediate), mask: UInt16(truncatingIfNeeded: operands[0]))
        case .setARP:
            return packet.setARP(operation: UInt16(truncatingIfNeeded: immediate), operands)
        case .setND:
            return packet.setND(operands)
        case .setNDExtensions:
            return packet.setNDExtensions(value: operands[0], mask: operands[1])
        case .setQueue:
            packet.pointee.queue = flags & 1 == 0 ? immediate : 0
        case .setMark:
            packet.pointee.mark = merge(packet.pointee.mark, immediate, UInt32(truncatingIfNeeded: operands[0]))
        case .hash:
            packet.pointee.hash = packet.flowHash(basis: immediate, symmetric: flags & 1 != 0)
        case .output, .drop, .truncate, .clone, .checkLength, .controller, .track, .trackClear, .recirculate,
            .translate, .meter, .reject, .answer:
            break
        }
        return true
    }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Hash over addresses, protocol and ports, as far as the frame has them (Ethernet addresses otherwise). A
    /// symmetric one is the same in both directions.
    func flowHash(basis: UInt32, symmetric: Bool) -> UInt32 {
        guard length >= 14 else { return basis }
        let frame = UnsafeRawPointer(pointee.data)
        var crc = UInt64(basis)
        func mix(_ a: UInt64, _ b: UInt64) {
            if symmetric {
                crc = weft_crc32(weft_crc32(crc, a ^ b), a &+ b)
            } else {
                crc = weft_crc32(weft_crc32(crc, a), b)
            }
        }
        let type = Int(pointee.offsetL3) &- 2
        if pointee.offsetL4 != PacketHeader.unknownOffset, type >= 12, let l3 = network(20) {
            if frame.be16(type) == 0x86dd, length >= l3 &+ 40 {
                mix(frame.be64(l3 &+ 8), frame.be64(l3 &+ 24))
                mix(frame.be64(l3 &+ 16), frame.be64(l3 &+ 32))
                crc = weft_crc32(crc, UInt64(frame.byte(l3 &+ 6)))
            } else {
                mix(UInt64(frame.be32(l3 &+ 12)), UInt64(frame.be32(l3 &+ 16)))
                crc = weft_crc32(crc, UInt64(frame.byte(l3 &+ 9)))
            }
            if let l4 = transport(8) { mix(UInt64(frame.be16(l4)), UInt64(frame.be16(l4 &+ 2))) }
        } else {
            mix(frame.be48(0), frame.be48(6))
        }
        return UInt32(truncatingIfNeeded: crc)
    }
}
