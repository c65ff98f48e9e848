import Base
import Memory

extension FrameReader {
    /// What follows the network header.
    struct Transport {
        var ipProtocol: UInt8
        /// `FragmentBits`.
        var fragment: UInt8
    }

    /// RFC 791. Nil, and nothing in the key, if the lengths do not fit each other and the frame.
    mutating func readIPv4(_ packet: Packet) -> Transport? {
        guard left >= 20 else { return nil }
        let header = Int(byte(0) & 0x0f) &* 4
        let total = Int(be16(2))
        guard header >= 20, left >= header, total <= left, header <= total, left &- total <= 0xffff else { return nil }
        packet.pointee.padL2 = UInt16(truncatingIfNeeded: left &- total)
        left = total
        put(.ipv4Src, be32(12))
        put(.ipv4Dst, be32(16))
        put(.nwTOS, byte(1))
        put(.nwTTL, byte(8))
        // More fragments, or an offset; the offset alone says that it is not the first.
        let flags = be16(6)
        var fragment: UInt8 = 0
        if flags & 0x3fff != 0 { fragment = UInt8(FragmentBits.any) }
        if flags & 0x1fff != 0 { fragment |= UInt8(FragmentBits.later) }
        let ipProtocol = byte(9)
        at &+= header
        left &-= header
        return Transport(ipProtocol: ipProtocol, fragment: fragment)
    }

    /// RFC 8200. Nil if it is cut short; a chain of extension headers that is cut short leaves the addresses only.
    mutating func readIPv6(_ packet: Packet) -> Transport? {
        guard left >= 40 else { return nil }
        let payload = Int(be16(4))
        guard payload &+ 40 <= left, left &- payload &- 40 <= 0xffff else { return nil }
        let first = be32(0)
        let hopLimit = byte(7)
        var transport = Transport(ipProtocol: byte(6), fragment: 0)
        putWide(.ipv6Src, 8)
        putWide(.ipv6Dst, 24)
        packet.pointee.padL2 = UInt16(truncatingIfNeeded: left &- payload &- 40)
        at &+= 40
        left = payload
        guard readExtensions(&transport) else { return nil }
        put(.nwTOS, UInt8(truncatingIfNeeded: first &>> 20))
        put(.nwTTL, hopLimit)
        put(.ipv6Label, first & 0xf_ffff)
        return transport
    }

    /// Steps over the extension headers, up to a header of another kind or a fragment that is not the first (whose
    /// protocol is then 44). False if one is cut short.
    mutating func readExtensions(_ transport: inout Transport) -> Bool {
        while true {
            switch transport.ipProtocol {
            case 0, 43, 60:  // hop-by-hop, routing, destination options: length in units of 8 bytes, without the first
                guard left >= 8 else { return false }
                transport.ipProtocol = byte(0)
                guard skip((Int(byte(1)) &+ 1) &* 8) else { return false }
            case 51:  // authentication: length in units of 4 bytes, without the first two
                guard left >= 8 else { return false }
                transport.ipProtocol = byte(0)
                guard skip((Int(byte(1)) &+ 2) &* 4) else { return false }
            case 44:
                guard left >= 8 else { return false }
                transport.ipProtocol = byte(0)
                let offset = be16(2)
                _ = skip(8)
                if offset != 0 { transport.fragment = UInt8(FragmentBits.any) }
                if offset & 0xfff8 != 0 {
                    transport.fragment = UInt8(FragmentBits.any | FragmentBits.later)
                    transport.ipProtocol = 44
                    return true
                }
            default:
                return true
            }
        }
    }

    /// Ports and their like, if the transport header is there.
    mutating func readTransport(_ ipProtocol: UInt8) {
        switch ipProtocol {
        case 6:
            guard left >= 20 else { return }
            let control = be16(12)
            let header = Int(control &>> 12) &* 4
            guard header >= 20, left >= header else { return }
            put(.tcpFlags, control & 0x0fff)
            readPorts()
        case 17:
            guard left >= 8 else { return }
            readPorts()
        case 132:
            guard left >= 12 else { return }
            readPorts()
        case 1:
            guard left >= 8 else { return }
            readTypeAndCode()
        case 2:
            guard left >= 8 else { return }
            readTypeAndCode()
            put(.igmpGroup, be32(4))
        case 58:
            guard left >= 8 else { return }
            readTypeAndCode()
            // Neighbour solicitation and advertisement (RFC 4861, section 4.3 and 4.4).
            let type = byte(0)
            guard byte(1) == 0, type == 135 || type == 136 else { return }
            readNeighbour()
        default:
            return
        }
    }

    mutating func readPorts() {
        put(.tpSrc, be16(0))
        put(.tpDst, be16(2))
    }

    mutating func readTypeAndCode() {
        put(.tpSrc, byte(0))
        put(.tpDst, byte(1))
    }

    /// Target and link-layer address options. A second option of a kind that already gave an address makes the whole
    /// untrustworthy: the target and both addresses are zero then, but not the options type.
    mutating func readNeighbour() {
        put(.ndReserved, be32(4))
        guard skip(8), left >= 16 else { return }
        putWide(.ndTarget, 0)
        _ = skip(16)
        var source: UInt64 = 0
        var target: UInt64 = 0
        var first: UInt8 = 0
        while left >= 8 {
            let kind = byte(0)
            let length = Int(byte(1)) &* 8
            guard length != 0, length <= left else { break }
            if length == 8, kind == 1 || kind == 2 {
                guard (kind == 1 ? source : target) == 0 else {
                    words[unchecked: Slot.ndTarget.word] = 0
                    words[unchecked: Slot.ndTarget.word &+ 1] = 0
                    source = 0
                    target = 0
                    break
                }
                if kind == 1 { source = be48(2) } else { target = be48(2) }
                if first == 0 { first = kind }
            }
            _ = skip(length)
        }
        put(.arpSHA, source)
        put(.arpTHA, target)
        put(.ndOptionsType, first)
    }
}
