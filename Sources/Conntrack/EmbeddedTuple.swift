import Base
import Memory

/// What an ICMP or ICMPv6 error quotes: the beginning of the packet that it is about (RFC 792; RFC 4443, section 2.4 (c)).
///
/// The quoted packet belongs to a connection, and so, as `rel`, does the error. The conditions are those of Open vSwitch:
/// the quoted packet was sent by whom the error goes to, it is not a fragment, it quotes enough of its transport
/// header (8 bytes; in IPv6 the whole fixed header), ports are not 0, and a quoted ICMP message is a query. Neither
/// its lengths nor its checksums are looked at, since quoting cuts packets short. Nothing here reads beyond the frame,
/// whatever the bytes say.
public struct EmbeddedTuple: Sendable {
    /// The quoted packet's tuple, reversed: the direction in which the error itself travels.
    public let tuple: ConnectionTuple
    /// Offsets in the frame: the quoted network header, its transport header, the end of the quotation.
    let l3: Int
    let l4: Int
    let end: Int

    public enum Result: Sendable {
        /// Not an error message: a query, or something that is no part of a connection.
        case notError
        /// An error that quotes nothing usable: the packet is `inv`.
        case invalid
        case found(EmbeddedTuple)
    }

    /// Bytes of an error message in front of the quotation.
    static var messageHeader: Int { 8 }

    /// - Parameter packet: ICMP in IPv4 or ICMPv6 in IPv6, with known offsets, not a fragment.
    public static func find(in packet: Packet, isIPv6: Bool, zone: UInt16) -> Result {
        let frame = UnsafeRawPointer(packet.pointee.data)
        let l3 = Int(packet.pointee.offsetL3)
        let l4 = Int(packet.pointee.offsetL4)
        let end = Int(packet.pointee.length) &- Int(packet.pointee.padL2)
        guard l3 != 0xffff, l4 != 0xffff, l3 &+ (isIPv6 ? 40 : 20) <= l4, l4 &+ messageHeader <= end else {
            return .invalid
        }
        guard isError(frame.byte(l4), isIPv6: isIPv6) else { return .notError }
        let quoted = QuotedPacket(frame: frame, at: l4 &+ messageHeader, end: end, isIPv6: isIPv6)
        guard let quoted, let ports = quoted.ports(frame) else { return .invalid }
        let receiver = isIPv6 ? frame.be128(l3 &+ 24) : UInt128(frame.be32(l3 &+ 16))
        guard quoted.src == receiver else { return .invalid }
        let tuple = ConnectionTuple(
            src: quoted.src, dst: quoted.dst, isIPv6: isIPv6, ipProtocol: quoted.ipProtocol,
            sourcePort: ports.source, destinationPort: ports.destination, zone: zone)
        return .found(EmbeddedTuple(tuple: tuple.reversed, l3: l4 &+ messageHeader, l4: quoted.l4, end: end))
    }

    /// Destination unreachable, source quench, redirect, time exceeded, parameter problem; of ICMPv6 destination
    /// unreachable, packet too big, time exceeded, parameter problem.
    static func isError(_ type: UInt8, isIPv6: Bool) -> Bool {
        isIPv6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12
    }
}

/// The network header of a quoted packet.
private struct QuotedPacket {
    var src: UInt128
    var dst: UInt128
    var ipProtocol: UInt8
    var isIPv6: Bool
    /// Offset of the transport header.
    var l4: Int
    var end: Int

    /// Nil if it is cut short, contradicts itself or is a fragment.
    init?(frame: UnsafeRawPointer, at l3: Int, end: Int, isIPv6: Bool) {
        self.isIPv6 = isIPv6
        self.end = end
        if isIPv6 {
            guard l3 &+ 40 <= end else { return nil }
            src = frame.be128(l3 &+ 8)
            dst = frame.be128(l3 &+ 24)
            let chain = ExtensionChain(frame, from: l3 &+ 40, to: end, nextHeader: frame.byte(l3 &+ 6))
            guard let chain, !chain.isFragment else { return nil }
            ipProtocol = chain.ipProtocol
            l4 = chain.end
        } else {
            guard l3 &+ 20 <= end else { return nil }
            let header = Int(frame.byte(l3) & 15) &* 4
            guard header >= 20, l3 &+ header <= end, frame.be16(l3 &+ 6) & 0x3fff == 0 else { return nil }
            src = UInt128(frame.be32(l3 &+ 12))
            dst = UInt128(frame.be32(l3 &+ 16))
            ipProtocol = frame.byte(l3 &+ 9)
            l4 = l3 &+ header
        }
    }

    /// Ports, or identifier and type as `ConnectionTuple` has them; nil if they make no tuple.
    func ports(_ frame: UnsafeRawPointer) -> (source: UInt16, destination: UInt16)? {
        let room = end &- l4
        switch ipProtocol {
        case 6, 17:
            guard room >= (isIPv6 && ipProtocol == 6 ? 20 : 8) else { return nil }
            let (source, destination) = (frame.be16(l4), frame.be16(l4 &+ 2))
            return source == 0 || destination == 0 ? nil : (source, destination)
        case isIPv6 ? 58 : 1:
            guard room >= 8 else { return nil }
            let typeAndCode = frame.be16(l4)
            let type = UInt8(typeAndCode &>> 8)
            guard typeAndCode & 0xff == 0, ConnectionTuple.isQuery(type, isIPv6: isIPv6) else { return nil }
            return (frame.be16(l4 &+ 4), typeAndCode)
        default:
            return (0, 0)
        }
    }
}

extension UnsafeRawPointer {
    @inline(__always) func be128(_ offset: Int) -> UInt128 { UInt128(be64(offset)) &<< 64 | UInt128(be64(offset &+ 8)) }
}
