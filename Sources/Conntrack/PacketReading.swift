import Base
import Memory
import Wire

/// What `ct` reads in a packet: whose it is, and where its transport header lies.
struct ReadPacket {
    var tuple = ConnectionTuple()
    /// An ICMP error: the tuple is that of the packet it is about, turned into the error's own direction.
    var isRelated = false
    var l4 = 0
    /// Bytes of transport header and payload.
    var l4Size = 0

    enum Failure: UInt8 {
        case none, malformed, networkChecksum, transportChecksum

        var counter: TrackCounter {
            switch self {
            case .none, .malformed: .malformed
            case .networkChecksum: .badNetworkChecksum
            case .transportChecksum: .badTransportChecksum
            }
        }
    }
}

// The conditions are those of Open vSwitch's userspace tracker. A packet that fails them is invalid: cut short or
// contradicting itself, a fragment, with a wrong checksum (unless the sender left it to the device, or a port vouches for
// it), with a port of 0, an ICMP message that is neither query nor error, or an error that quotes nothing usable.
extension ReadPacket {
    /// - Parameter isVerified: lengths and checksums were found right before, in another zone.
    @inline(__always)
    mutating func read(_ packet: Packet, zone: UInt16, isVerified: Bool) -> Failure {
        let l3 = Int(packet.pointee.offsetL3)
        l4 = Int(packet.pointee.offsetL4)
        let end = Int(packet.pointee.length) &- Int(packet.pointee.padL2)
        l4Size = end &- l4
        guard l4 != 0xffff, l3 >= 14, l3 < l4, l4Size >= 0,
            packet.pointee.offsetMPLS == PacketHeader.unknownOffset
        else {
            return .malformed
        }
        let frame = UnsafeRawPointer(packet.pointee.data)
        switch frame.be16(l3 &- 2) {
        case 0x0800:
            let failure = readIPv4(frame, l3, end, zone, isVerified)
            if failure != .none { return failure }
        case 0x86dd:
            guard readIPv6(frame, l3, end, zone) else { return .malformed }
        default:
            return .malformed
        }
        return readTransport(packet, frame, l3, isVerified)
    }

    /// Whether a packet whose key says UDP, and no fragment, is the plain case of a sound one: over IPv4 without options, lengths
    /// and header checksum right, its own checksum left out or vouched for. If not, `read` has to say.
    @inline(__always) static func isPlainUDP(_ packet: Packet) -> Bool {
        let l3 = Int(packet.pointee.offsetL3)
        let l4 = Int(packet.pointee.offsetL4)
        let size = Int(packet.pointee.length) &- Int(packet.pointee.padL2) &- l4
        let frame = UnsafeRawPointer(packet.pointee.data)
        guard l4 &- l3 == 20, size >= 8, frame.byte(l3) == 0x45, hasRightShortHeader(frame + l3) else { return false }
        let length = Int(frame.be16(l4 &+ 4))
        guard length >= 8, length <= size else { return false }
        return frame.be16(l4 &+ 6) == 0 || packet.pointee.offload.checksumValid || packet.pointee.offload.needsChecksum
    }

    @inline(__always)
    private mutating func readIPv4(
        _ frame: UnsafeRawPointer, _ l3: Int, _ end: Int, _ zone: UInt16, _ isVerified: Bool
    ) -> Failure {
        guard end &- l3 >= 20 else { return .malformed }
        let header = Int(frame.byte(l3) & 15) &* 4
        guard header >= 20, l3 &+ header <= end, frame.be16(l3 &+ 6) & 0x3fff == 0 else { return .malformed }
        if !isVerified {
            let right =
                header == 20
                ? Self.hasRightShortHeader(frame + l3) : InternetChecksum.checksum(frame + l3, count: header) == 0
            guard right else { return .networkChecksum }
        }
        let addresses = frame.be64(l3 &+ 12)
        tuple.srcLow = addresses &>> 32
        tuple.dstLow = addresses & 0xffff_ffff
        tuple.rest = UInt64(zone) &<< 16 | UInt64(frame.byte(l3 &+ 9)) &<< 8
        return .none
    }

    /// The checksum of an IPv4 header without options.
    @inline(__always) private static func hasRightShortHeader(_ header: UnsafeRawPointer) -> Bool {
        let a = header.loadUnaligned(fromByteOffset: 0, as: UInt64.self)
        let b = header.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        let c = header.loadUnaligned(fromByteOffset: 16, as: UInt32.self)
        let sum = (a & 0xffff_ffff) &+ (a &>> 32) &+ (b & 0xffff_ffff) &+ (b &>> 32) &+ UInt64(c)
        return InternetChecksum.fold(sum) == 0xffff
    }

    private mutating func readIPv6(_ frame: UnsafeRawPointer, _ l3: Int, _ end: Int, _ zone: UInt16) -> Bool {
        guard end &- l3 >= 40 else { return false }
        let chain = ExtensionChain(frame, from: l3 &+ 40, to: end, nextHeader: frame.byte(l3 &+ 6))
        guard let chain, !chain.isFragment else { return false }
        tuple.srcHigh = frame.be64(l3 &+ 8)
        tuple.srcLow = frame.be64(l3 &+ 16)
        tuple.dstHigh = frame.be64(l3 &+ 24)
        tuple.dstLow = frame.be64(l3 &+ 32)
        tuple.rest = UInt64(zone) &<< 16 | UInt64(chain.ipProtocol) &<< 8 | 1
        return true
    }

    @inline(__always)
    private mutating func readTransport(
        _ packet: Packet, _ frame: UnsafeRawPointer, _ l3: Int, _ isVerified: Bool
    ) -> Failure {
        let isTrusted =
            isVerified || packet.pointee.offload.checksumValid || packet.pointee.offload.needsChecksum
        switch tuple.ipProtocol {
        case 6:
            guard l4Size >= 20 else { return .malformed }
            let header = Int(frame.byte(l4 &+ 12) &>> 4) &* 4
            guard header >= 20, header <= l4Size else { return .malformed }
            guard isTrusted || hasRightChecksum(frame) else { return .transportChecksum }
            return readPorts(frame)
        case 17:
            guard l4Size >= 8 else { return .malformed }
            let length = Int(frame.be16(l4 &+ 4))
            guard length >= 8, length <= l4Size else { return .malformed }
            let hasNone = frame.be16(l4 &+ 6) == 0 && !tuple.isIPv6
            guard hasNone || isTrusted || hasRightChecksum(frame) else { return .transportChecksum }
            return readPorts(frame)
        case 1 where !tuple.isIPv6, 58 where tuple.isIPv6:
            return readMessage(packet, frame, isTrusted)
        default:
            return .none
        }
    }

    @inline(__always) private mutating func readPorts(_ frame: UnsafeRawPointer) -> Failure {
        let ports = UInt64(frame.be32(l4))
        guard ports &>> 16 != 0, ports & 0xffff != 0 else { return .malformed }
        tuple.rest |= ports &<< 32
        return .none
    }

    @inline(__always) private func hasRightChecksum(_ frame: UnsafeRawPointer) -> Bool {
        let addresses =
            InternetChecksum.words(tuple.srcLow) &+ InternetChecksum.words(tuple.dstLow)
            &+ InternetChecksum.words(tuple.srcHigh) &+ InternetChecksum.words(tuple.dstHigh)
        let pseudoHeader =
            addresses &+ UInt64(tuple.ipProtocol) &+ InternetChecksum.words(UInt32(truncatingIfNeeded: l4Size))
        return InternetChecksum.finish(InternetChecksum.sum(frame + l4, count: l4Size, initial: pseudoHeader)) == 0
    }

    private mutating func readMessage(_ packet: Packet, _ frame: UnsafeRawPointer, _ isTrusted: Bool) -> Failure {
        let isIPv6 = tuple.isIPv6
        if !isTrusted {
            let right =
                isIPv6 ? hasRightChecksum(frame) : InternetChecksum.checksum(frame + l4, count: l4Size) == 0
            guard right else { return .transportChecksum }
        }
        guard l4Size >= 8 else { return .malformed }
        let type = frame.byte(l4)
        if ConnectionTuple.isQuery(type, isIPv6: isIPv6) {
            guard frame.byte(l4 &+ 1) == 0 else { return .malformed }
            tuple.sourcePort = frame.be16(l4 &+ 4)
            tuple.destinationPort = UInt16(type) &<< 8
            return .none
        }
        guard case .found(let embedded) = EmbeddedTuple.find(in: packet, isIPv6: isIPv6, zone: tuple.zone) else {
            return .malformed
        }
        tuple = embedded.tuple
        isRelated = true
        return .none
    }
}
