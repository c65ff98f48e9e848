import Base
import Memory
import Wire

/// Where a fragment came from: see `FragmentReassembler`.
struct FragmentOrigin: Equatable {
    /// The state that the frame came back with, and its port of entry.
    var place: UInt64
    /// The VLANs that it carries now, outermost first, 16 bits for each tag.
    var vlans: UInt64

    init(_ packet: Packet) {
        let frozen = packet.pointee.recirculations == 0 ? 0 : packet.pointee.frozen
        place = UInt64(frozen) &<< 32 | UInt64(packet.pointee.inPort.rawValue)
        vlans = 0
        let frame = UnsafeRawPointer(packet.pointee.data)
        // The network header begins behind all of them.
        var at = 12
        while at &+ 4 < Int(packet.pointee.offsetL3), frame.be16(at) == 0x8100 || frame.be16(at) == 0x88a8 {
            vlans = vlans &<< 16 | UInt64(frame.be16(at &+ 2) & 0xfff | 0x1000)
            at &+= 4
        }
    }
}

/// What a fragment says of itself.
struct FragmentInfo {
    var isIPv6: Bool
    var origin: FragmentOrigin
    var src: UInt128
    var dst: UInt128
    var identification: UInt32
    /// Of IPv4; 0 for IPv6, whose fragments need not agree in it (RFC 8200, section 4.5).
    var ipProtocol: UInt8
    /// Range of the datagram's payload that it carries, bytes.
    var start: Int
    var end: Int
    var isLast: Bool
    /// Offset in the frame of the first byte of that range.
    var payload: Int
    /// Bytes of the network packet.
    var size: Int
    /// Bytes that count beside the payload towards the 65,535 that a length field can say.
    var headers: Int

    enum Reading {
        case notFragment
        case invalid
        case fragment(FragmentInfo)
    }

    static func read(_ packet: Packet) -> Reading {
        let l3 = Int(packet.pointee.offsetL3)
        let length = Int(packet.pointee.length)
        guard l3 != 0xffff, l3 &+ 20 <= length else { return .notFragment }
        let frame = UnsafeRawPointer(packet.pointee.data)
        switch frame.byte(l3) &>> 4 {
        case 4: return readIPv4(packet, frame, l3, length)
        case 6: return readIPv6(packet, frame, l3, length)
        default: return .notFragment
        }
    }

    /// RFC 791, section 3.2.
    private static func readIPv4(_ packet: Packet, _ frame: UnsafeRawPointer, _ l3: Int, _ length: Int) -> Reading {
        let field = frame.be16(l3 &+ 6)
        guard field & 0x3fff != 0 else { return .notFragment }
        let header = Int(frame.byte(l3) & 15) &* 4
        let total = Int(frame.be16(l3 &+ 2))
        guard header >= 20, header <= total, l3 &+ total &+ Int(packet.pointee.padL2) == length,
            InternetChecksum.checksum(frame + l3, count: header) == 0
        else { return .invalid }
        let start = Int(field & 0x1fff) &* 8
        return .fragment(
            FragmentInfo(
                isIPv6: false, origin: FragmentOrigin(packet), src: UInt128(frame.be32(l3 &+ 12)),
                dst: UInt128(frame.be32(l3 &+ 16)),
                identification: UInt32(frame.be16(l3 &+ 4)), ipProtocol: frame.byte(l3 &+ 9), start: start,
                end: start &+ total &- header, isLast: field & 0x2000 == 0, payload: l3 &+ header, size: total,
                headers: header))
    }

    /// RFC 8200, section 4.5. A fragment header that says neither offset nor more (RFC 6946) makes no fragment.
    private static func readIPv6(_ packet: Packet, _ frame: UnsafeRawPointer, _ l3: Int, _ length: Int) -> Reading {
        guard l3 &+ 40 <= length else { return .notFragment }
        let end = l3 &+ 40 &+ Int(frame.be16(l3 &+ 4))
        guard end &+ Int(packet.pointee.padL2) == length else { return .notFragment }
        guard
            let chain = ExtensionChain(frame, from: l3 &+ 40, to: end, nextHeader: frame.byte(l3 &+ 6)),
            chain.fragmentField & 0xfff9 != 0
        else { return .notFragment }
        let payload = chain.fragmentHeader &+ 8
        let start = Int(chain.fragmentField & 0xfff8)
        return .fragment(
            FragmentInfo(
                isIPv6: true, origin: FragmentOrigin(packet), src: frame.be128(l3 &+ 8), dst: frame.be128(l3 &+ 24),
                identification: frame.be32(chain.fragmentHeader &+ 4), ipProtocol: 0, start: start,
                end: start &+ end &- payload, isLast: chain.fragmentField & 1 == 0, payload: payload,
                size: end &- l3, headers: payload &- l3 &- 40))
    }

    /// Why it can be part of no datagram.
    var fault: DropReason? {
        let count = end &- start
        guard count > 0, isLast || count & 7 == 0 else { return .fragmentMalformed }
        return headers &+ end > 0xffff ? .fragmentTooLong : nil
    }
}
