import Base
import Memory
import Wire

// Refusals: what a host says for an address at which nobody listens.
//
//     TCP              RST (RFC 9293, section 3.5.2, group 1)
//     UDP, SCTP        destination unreachable, port unreachable: ICMP type 3 code 3 (RFC 792), ICMPv6 type 1 code 4
//                      (RFC 4443), with as much of the packet as the standards let a message carry
//     anything else    nothing
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// The packet, if a refusal may go out for it. Looks at no payload: what a flood may cost before the rate limit.
    func refusablePacket() -> AnswerablePacket? {
        guard let packet = answerablePacket() else { return nil }
        switch packet.ipProtocol {
        case 6:
            guard transportLength >= 20 else { return nil }
            let header = UnsafeRawPointer(pointee.data) + packet.l4
            let size = Int(header.byte(12) &>> 4) &* 4
            // A reset is never answered with a reset.
            return size >= 20 && size <= transportLength && header.byte(13) & TCPBits.rst == 0 ? packet : nil
        case 17: return transportLength >= 8 ? packet : nil
        case 132: return transportLength >= 12 ? packet : nil
        default: return nil
        }
    }

    /// Turns the frame into its refusal. False, and the frame unchanged, if its checksum is wrong or the headroom is
    /// used up.
    func becomeRefusal(_ packet: AnswerablePacket) -> Bool {
        guard hasValidTransportChecksum(packet) else { return false }
        if packet.ipProtocol == 6 {
            becomeReset(packet)
            return true
        }
        return becomeUnreachable(packet)
    }

    /// The reset takes its sequence number from the segment's ACK field if there is one; otherwise it is 0 and the
    /// reset acknowledges all that the segment occupies, SYN and FIN included (RFC 9293, section 3.10.7.1).
    private func becomeReset(_ packet: AnswerablePacket) {
        let old = UnsafeRawPointer(pointee.data) + packet.l4
        let flags = old.byte(13)
        let ports = old.be32(0)
        let isAcknowledgment = flags & TCPBits.ack != 0
        let payload = transportLength &- Int(old.byte(12) &>> 4) &* 4
        let size =
            UInt32(truncatingIfNeeded: payload) &+ (flags & TCPBits.syn == 0 ? 0 : 1)
            &+ (flags & TCPBits.fin == 0 ? 0 : 1)
        let sequence = isAcknowledgment ? old.be32(8) : 0
        let acknowledgment = isAcknowledgment ? 0 : old.be32(4) &+ size

        let l4 = packet.l3 &+ (packet.isIPv6 ? 40 : 20)
        writeNetworkHeader(packet.l3, answering: packet, 6, count: 20)
        let header = pointee.data + l4
        header.store32(ports &<< 16 | ports &>> 16, 0)
        header.store32(sequence, 4)
        header.store32(acknowledgment, 8)
        header.store8(5 &<< 4, 12)
        header.store8(isAcknowledgment ? TCPBits.rst : TCPBits.rst | TCPBits.ack, 13)
        header.store16(0, 14)
        header.store32(0, 16)
        let initial = pseudoHeader(packet, 6, 20)
        header.store16(InternetChecksum.finish(InternetChecksum.sum(header, count: 20, initial: initial)), 16)
        swapEthernet()
    }

    /// An IPv4 message is at most 576 bytes (RFC 1812, section 4.3.2.3), an IPv6 one at most 1280 (RFC 4443, section
    /// 3.1).
    private func becomeUnreachable(_ packet: AnswerablePacket) -> Bool {
        let header = packet.isIPv6 ? 48 : 28
        // What is quoted should be as it was on the wire; of a frame that is still to be cut up there is no such thing.
        if pointee.offload.needsChecksum, pointee.offload.segmentationType == 0, !Offload.completeChecksum(self) {
            return false
        }
        let packetBytes = length &- packet.l3 &- Int(pointee.padL2)
        let quoted = Swift.min(packetBytes, (packet.isIPv6 ? 1280 : 576) &- header)
        guard insert(header, at: packet.l3) else { return false }
        // The question now lies behind its answer's headers.
        let question = AnswerablePacket(
            l3: packet.l3 &+ header, l4: packet.l4 &+ header, isIPv6: packet.isIPv6, ipProtocol: packet.ipProtocol)
        let message = pointee.data + (packet.l3 &+ header &- 8)
        let ipProtocol: UInt8 = packet.isIPv6 ? 58 : 1
        writeNetworkHeader(packet.l3, answering: question, ipProtocol, count: quoted &+ 8)
        message.store16(packet.isIPv6 ? 0x0104 : 0x0303, 0)
        message.store16(0, 2)
        message.store32(0, 4)
        let initial = packet.isIPv6 ? pseudoHeader(packet, ipProtocol, quoted &+ 8) : 0
        let sum = InternetChecksum.sum(message, count: quoted &+ 8, initial: initial)
        message.store16(InternetChecksum.finish(sum), 2)
        swapEthernet()
        return true
    }
}

/// The low byte of the flags of a TCP header.
private enum TCPBits {
    static var fin: UInt8 { 0x01 }
    static var syn: UInt8 { 0x02 }
    static var rst: UInt8 { 0x04 }
    static var ack: UInt8 { 0x10 }
}
