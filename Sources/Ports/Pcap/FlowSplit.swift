import Base

/// A hash of a frame that is the same for both directions of a flow: what a network card's receive side scaling with a
/// symmetric key does, for files. Run once for each frame when a file is loaded.
enum FlowSplit {
    /// Over IP addresses and, for unfragmented TCP, UDP and SCTP, ports; over MAC addresses for anything else.
    static func hash(_ frame: UnsafeRawPointer, _ length: Int) -> UInt32 {
        guard length >= 14 else { return 0 }
        var at = 12
        var type = frame.be16(at)
        while type == 0x8100 || type == 0x88a8, at + 6 <= length {
            at += 4
            type = frame.be16(at)
        }
        at += 2
        switch type {
        case 0x0800 where length >= at + 20: return ipv4(frame + at, length - at)
        case 0x86dd where length >= at + 40: return ipv6(frame + at, length - at)
        default: return mix(frame.be48(0) ^ frame.be48(6))
        }
    }

    private static func ipv4(_ header: UnsafeRawPointer, _ length: Int) -> UInt32 {
        let size = Int(header.byte(0) & 15) * 4
        let proto = header.byte(9)
        var sum = UInt64(header.be32(12) ^ header.be32(16)) ^ UInt64(proto) << 32
        let fragment = header.be16(6) & 0x3fff != 0
        if !fragment, size >= 20, length >= size + 4, hasPorts(proto) {
            sum ^= UInt64(header.be16(size) ^ header.be16(size + 2)) << 40
        }
        return mix(sum)
    }

    private static func ipv6(_ header: UnsafeRawPointer, _ length: Int) -> UInt32 {
        let proto = header.byte(6)
        var sum = header.be64(8) ^ header.be64(24)
        sum ^= (header.be64(16) ^ header.be64(32)) &* 0x9e37_79b9_7f4a_7c15
        sum ^= UInt64(proto)
        if length >= 44, hasPorts(proto) { sum ^= UInt64(header.be16(40) ^ header.be16(42)) << 40 }
        return mix(sum)
    }

    private static func hasPorts(_ proto: UInt8) -> Bool { proto == 6 || proto == 17 || proto == 132 }

    private static func mix(_ value: UInt64) -> UInt32 {
        var x = value
        x = (x ^ x >> 33) &* 0xff51_afd7_ed55_8ccd
        x = (x ^ x >> 33) &* 0xc4ce_b9fe_1a85_ec53
        return UInt32(truncatingIfNeeded: x >> 32)
    }
}
