import Base
import Memory
import Wire

// Frames that the switch answers itself, for an address that it stands for: refusals (`reject`) and the replies that
// an address owes its neighbours (`answer`). The answer is written over the question, in the same buffer, and leaves
// through the port that the question came in through, with the same VLAN tags. Nothing is allocated, nothing is
// remembered.
//
// The rule above all others is that no answer may do harm. It never goes to more than one host, because a forged source
// address could make every host of a network receive it (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)); it never
// answers an answer, because two such switches would then talk for ever; and a frame that a host would not have
// accepted gets none. So before anything is written:
//
// - The frame is Ethernet II, tagged or not, from one station to one station (a question for a neighbour's address
//   goes to many), with the network header behind the last tag. 802.3 and MPLS frames are not answered.
// - Source and destination are addresses of one host: not multicast, broadcast, loopback, unspecified, nor class E.
// - The packet is whole. A fragment gets no answer, not even the first: the rest of it could not be refused.
// - The IPv4 header checksum is right, and so are those that the answer would vouch for (`reject`, neighbour
//   discovery). An echo reply changes the sum by what it changes in the message, so damage stays visible.
// - Of IPv6 extension headers, hop-by-hop and destination options, a routing header that has arrived and the fragment
//   header of a packet that is no fragment (RFC 6946) are stepped over. Anything else there ends it.
//
// Lengths are those that key extraction has checked against the frame: `offsetL3`, `offsetL4`, `padL2`.

/// An IP packet that may be answered, and where its parts lie.
struct AnswerablePacket {
    let l3: Int
    let l4: Int
    let isIPv6: Bool
    let ipProtocol: UInt8
    /// A fragment header was stepped over.
    var hasFragmentHeader = false
    /// The source is `::`; only let through on request.
    var isUnspecified = false

    /// Where source and destination lie, and how long each of them is.
    var source: Int { l3 &+ (isIPv6 ? 8 : 12) }
    var destination: Int { l3 &+ (isIPv6 ? 24 : 16) }
    var addressBytes: Int { isIPv6 ? 16 : 4 }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Offset of the network header in a frame that can be answered on its link; nil for any other.
    func answerableLink(isForOne: Bool = true) -> Int? {
        guard let l3 = network(20), pointee.offsetMPLS == PacketHeader.unknownOffset else { return nil }
        let frame = UnsafeRawPointer(pointee.data)
        // The group bit: an answer has one sender and goes to one.
        guard frame.byte(6) & 1 == 0, !isForOne || frame.byte(0) & 1 == 0 else { return nil }
        var at = 12
        while at &+ 2 < l3, frame.be16(at) == 0x8100 || frame.be16(at) == 0x88a8 { at &+= 4 }
        return at &+ 2 == l3 ? l3 : nil
    }

    /// The packet, if it may be answered. `isSolicitation`: it may have come from `::`, and to many.
    func answerablePacket(isSolicitation: Bool = false) -> AnswerablePacket? {
        guard let l3 = answerableLink(isForOne: !isSolicitation), pointee.offsetL4 != PacketHeader.unknownOffset
        else { return nil }
        let l4 = Int(pointee.offsetL4)
        guard l4 <= length &- Int(pointee.padL2) else { return nil }
        let frame = UnsafeRawPointer(pointee.data)
        switch frame.be16(l3 &- 2) {
        case 0x0800:
            guard l4 &- l3 == Int(frame.byte(l3) & 15) &* 4, frame.byte(l3) &>> 4 == 4, l4 &- l3 >= 20,
                frame.be16(l3 &+ 6) & 0x3fff == 0, isOneHost(frame.be32(l3 &+ 12)), isOneHost(frame.be32(l3 &+ 16)),
                InternetChecksum.checksum(frame + l3, count: l4 &- l3) == 0
            else { return nil }
            return AnswerablePacket(l3: l3, l4: l4, isIPv6: false, ipProtocol: frame.byte(l3 &+ 9))
        case 0x86dd:
            guard length >= l3 &+ 40, frame.byte(l3) &>> 4 == 6 else { return nil }
            let isUnspecified = frame.be64(l3 &+ 8) | frame.be64(l3 &+ 16) == 0
            guard isUnspecified ? isSolicitation : isOneHost(high: frame.be64(l3 &+ 8), low: frame.be64(l3 &+ 16)),
                isSolicitation || isOneHost(high: frame.be64(l3 &+ 24), low: frame.be64(l3 &+ 32)),
                var packet = steppedOverExtensions(l3, l4)
            else { return nil }
            packet.isUnspecified = isUnspecified
            return packet
        default:
            return nil
        }
    }

    /// RFC 1122, section 3.2.1.3: neither of this network (0/8), loopback (127/8), multicast, class E nor broadcast.
    private func isOneHost(_ address: UInt32) -> Bool {
        let first = address &>> 24
        return first != 0 && first != 127 && first < 224
    }

    /// RFC 4291, section 2.4: neither multicast, loopback nor unspecified.
    private func isOneHost(high: UInt64, low: UInt64) -> Bool {
        high &>> 56 != 0xff && (high != 0 || low > 1)
    }

    private func steppedOverExtensions(_ l3: Int, _ l4: Int) -> AnswerablePacket? {
        let frame = UnsafeRawPointer(pointee.data)
        var kind = frame.byte(l3 &+ 6)
        var hasFragmentHeader = false
        var at = l3 &+ 40
        while at < l4 {
            guard l4 &- at >= 8 else { return nil }
            var size = (Int(frame.byte(at &+ 1)) &+ 1) &* 8
            switch kind {
            case 0, 60: break
            case 43:
                // Segments left: the destination is not the last one yet.
                guard frame.byte(at &+ 3) == 0 else { return nil }
            case 44:
                guard frame.be16(at &+ 2) & 0xfff9 == 0 else { return nil }
                hasFragmentHeader = true
                size = 8
            default: return nil
            }
            kind = frame.byte(at)
            at &+= size
        }
        guard at == l4 else { return nil }
        return AnswerablePacket(
            l3: l3, l4: l4, isIPv6: true, ipProtocol: kind, hasFragmentHeader: hasFragmentHeader)
    }
}

// What all answers are built with.
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Sum of the pseudo header over a message of `count` bytes; the order of the addresses makes no difference.
    func pseudoHeader(_ packet: AnswerablePacket, _ ipProtocol: UInt8, _ count: Int) -> UInt64 {
        InternetChecksum.sum(
            pointee.data + packet.source, count: 2 &* packet.addressBytes,
            initial: UInt64(ipProtocol) &+ InternetChecksum.words(UInt32(truncatingIfNeeded: count)))
    }

    func swapEthernet() {
        let frame = pointee.data
        let destination = UnsafeRawPointer(frame).be48(0)
        frame.store48(UnsafeRawPointer(frame).be48(6), 0)
        frame.store48(destination, 6)
    }

    /// Exchanges two fields of `count` bytes: addresses, ports.
    func swap(_ a: Int, _ b: Int, count: Int) {
        for i in 0..<count {
            let byte = UnsafeRawPointer(pointee.data).byte(a &+ i)
            pointee.data.store8(UnsafeRawPointer(pointee.data).byte(b &+ i), a &+ i)
            pointee.data.store8(byte, b &+ i)
        }
    }

    /// Writes an IP header in front of `count` bytes of a message of `ipProtocol`, from the host that `question` was
    /// for to the one that it came from, and ends the frame behind them. `question` may lie where the header goes.
    ///
    /// An answer of ours is never fragmented (RFC 6864: then the identification means nothing).
    func writeNetworkHeader(_ l3: Int, answering question: AnswerablePacket, _ ipProtocol: UInt8, count: Int) {
        let header = pointee.data + l3
        let view = UnsafeRawPointer(pointee.data)
        if question.isIPv6 {
            let source = (view.be64(question.destination), view.be64(question.destination &+ 8))
            let destination = (view.be64(question.source), view.be64(question.source &+ 8))
            header.store32(0x6000_0000, 0)
            header.store16(UInt16(truncatingIfNeeded: count), 4)
            header.store8(ipProtocol, 6)
            header.store8(64, 7)
            header.store64(source.0, 8)
            header.store64(source.1, 16)
            header.store64(destination.0, 24)
            header.store64(destination.1, 32)
        } else {
            let source = view.be32(question.destination)
            let destination = view.be32(question.source)
            header.store16(0x4500, 0)
            header.store16(UInt16(truncatingIfNeeded: 20 &+ count), 2)
            header.store32(0x4000, 4)
            header.store16(64 &<< 8 | UInt16(ipProtocol), 8)
            header.store16(0, 10)
            header.store32(source, 12)
            header.store32(destination, 16)
            header.store16(InternetChecksum.checksum(header, count: 20), 10)
        }
        let l4 = l3 &+ (question.isIPv6 ? 40 : 20)
        endFrame(at: l4 &+ count, l4: l4)
    }

    /// The frame is `end` bytes long, complete, and its transport header is at `l4`.
    func endFrame(at end: Int, l4: Int) {
        pointee.length = UInt32(truncatingIfNeeded: end)
        pointee.padL2 = 0
        pointee.offsetL4 = UInt16(truncatingIfNeeded: l4)
        pointee.offload = .init()
    }

    /// Whether the transport checksum is right, or someone who knows has said so.
    func hasValidTransportChecksum(_ packet: AnswerablePacket) -> Bool {
        let offload = pointee.offload
        if offload.needsChecksum || offload.checksumValid { return true }
        let message = UnsafeRawPointer(pointee.data) + packet.l4
        var count = transportLength
        switch packet.ipProtocol {
        case 17:
            guard count >= 8 else { return false }
            // No checksum: allowed over IPv4 only (RFC 768; RFC 8200, section 8.1).
            if message.be16(6) == 0 { return !packet.isIPv6 }
            guard message.be16(4) >= 8, Int(message.be16(4)) <= count else { return false }
            count = Int(message.be16(4))
        case 132:
            guard count >= 12 else { return false }
            return hasValidSCTPChecksum(packet.l4, count)
        default: break
        }
        let initial = pseudoHeader(packet, packet.ipProtocol, count)
        return InternetChecksum.finish(InternetChecksum.sum(message, count: count, initial: initial)) == 0
    }

    private func hasValidSCTPChecksum(_ l4: Int, _ count: Int) -> Bool {
        let message = pointee.data + l4
        let checksum = message.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        message.store32(0, 8)
        let right = CRC32C.checksum(message, count: count).littleEndian
        message.storeBytes(of: checksum, toByteOffset: 8, as: UInt32.self)
        return right == checksum
    }
}
