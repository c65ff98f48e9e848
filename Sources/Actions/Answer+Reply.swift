import Base
import Memory
import Wire

// Replies that make an address reachable: who has it (ARP, neighbour discovery), and whether it is there (echo).
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Turns a question into its reply, `mac` being the station of the address that is asked for. False, and the frame
    /// unchanged, if it is no question that gets one.
    func becomeReply(mac: UInt64) -> Bool {
        guard let l3 = answerableLink(isForOne: false) else { return false }
        let frame = UnsafeRawPointer(pointee.data)
        switch frame.be16(l3 &- 2) {
        case 0x0806: return becomeARPReply(l3, mac)
        case 0x0800:
            guard let packet = answerablePacket(), packet.ipProtocol == 1 else { return false }
            return becomeEchoReply(packet)
        case 0x86dd:
            guard transportLength >= 8, frame.be16(Int(pointee.offsetL4)) == 0x8700 else {
                guard let packet = answerablePacket(), packet.ipProtocol == 58 else { return false }
                return becomeEchoReply(packet)
            }
            return becomeAdvertisement(mac)
        default: return false
        }
    }

    /// RFC 826. A probe, whose sender has no address yet, gets its reply too (RFC 5227); one who announces an address
    /// of its own asks nothing.
    private func becomeARPReply(_ l3: Int, _ mac: UInt64) -> Bool {
        guard network(28) != nil else { return false }
        let packet = pointee.data + l3
        let view = UnsafeRawPointer(packet)
        // Ethernet, IPv4, their lengths, request.
        guard view.be64(0) == 0x0001_0800_0604_0001 else { return false }
        let asker = view.be48(8)
        let source = view.be32(14)
        let wanted = view.be32(24)
        guard asker &>> 40 & 1 == 0, source != wanted, source &>> 24 < 224 else { return false }
        packet.store16(2, 6)
        packet.store48(mac, 8)
        packet.store32(wanted, 14)
        packet.store48(asker, 18)
        packet.store32(source, 24)
        pointee.data.store48(asker, 0)
        pointee.data.store48(mac, 6)
        endFrame(at: l3 &+ 28, l4: Int(PacketHeader.unknownOffset))
        return true
    }

    /// ICMP type 8 to 0 (RFC 792), ICMPv6 type 128 to 129 (RFC 4443, section 4.2). Identifier, sequence number and data
    /// go back as they came. An IPv4 packet with options gets no reply: a source route would have to be reversed and a
    /// record route be carried on (RFC 1122, section 3.2.2.6).
    private func becomeEchoReply(_ packet: AnswerablePacket) -> Bool {
        guard transportLength >= 8, pointee.offload.segmentationType == 0 else { return false }
        let request: UInt16 = packet.isIPv6 ? 0x8000 : 0x0800
        let reply: UInt16 = packet.isIPv6 ? 0x8100 : 0x0000
        guard UnsafeRawPointer(pointee.data).be16(packet.l4) == request, packet.isIPv6 || packet.l4 &- packet.l3 == 20,
            Offload.completeChecksum(self)
        else { return false }
        let count = transportLength
        // The headers move over the extension headers, which were for the request.
        let extensions = packet.isIPv6 ? packet.l4 &- packet.l3 &- 40 : 0
        if extensions > 0 { _ = remove(extensions, at: packet.l3 &+ 40) }
        let l4 = packet.l4 &- extensions
        writeNetworkHeader(packet.l3, answering: packet, packet.ipProtocol, count: count)
        let message = pointee.data + l4
        let checksum = InternetChecksum.update(UnsafeRawPointer(message).be16(2), from: request, to: reply)
        message.store16(reply, 0)
        message.store16(checksum, 2)
        swapEthernet()
        return true
    }

    /// A neighbour solicitation (RFC 4861, section 7.1.1 says which are valid) becomes the advertisement of its target
    /// (section 7.2.4): solicited, unless who asked has no address yet; overriding what others remember.
    private func becomeAdvertisement(_ mac: UInt64) -> Bool {
        // No fragment header with neighbour discovery, whatever it says: RFC 6980, section 5.
        guard let packet = answerablePacket(isSolicitation: true), packet.ipProtocol == 58, !packet.hasFragmentHeader,
            transportLength >= 24, pointee.offload.segmentationType == 0
        else { return false }
        let view = UnsafeRawPointer(pointee.data)
        let message = view + packet.l4
        // Out of a router's reach: the hop limit says that nobody has forwarded it.
        guard view.byte(packet.l3 &+ 7) == 255, message.byte(8) != 0xff, let options = sourceOption(message + 24),
            hasValidTransportChecksum(packet)
        else { return false }
        if packet.isUnspecified {
            // Duplicate address detection: to a solicited-node address, and without an option (section 7.1.1).
            guard options == nil, isSolicitedNode(view + packet.destination) else { return false }
        }
        let target = (message.be64(8), message.be64(16))
        let asker = options ?? view.be48(6)
        guard asker &>> 40 & 1 == 0 else { return false }
        let l4 = packet.l3 &+ 40
        guard l4 &+ 32 <= Int(pointee.room) else { return false }
        let isUnspecified = packet.isUnspecified

        // Who asked becomes the destination; the source is the target itself.
        writeNetworkHeader(packet.l3, answering: packet, 58, count: 32)
        let header = pointee.data + packet.l3
        header.store8(255, 7)
        header.store64(target.0, 8)
        header.store64(target.1, 16)
        if isUnspecified {
            // All nodes, RFC 4291, section 2.7.1.
            header.store64(0xff02 &<< 48, 24)
            header.store64(1, 32)
        }
        let reply = pointee.data + l4
        reply.store16(0x8800, 0)
        reply.store16(0, 2)
        reply.store32(isUnspecified ? 0x2000_0000 : 0x6000_0000, 4)
        reply.store64(target.0, 8)
        reply.store64(target.1, 16)
        reply.store16(0x0201, 24)
        reply.store48(mac, 26)
        let initial = pseudoHeader(packet, 58, 32)
        reply.store16(InternetChecksum.finish(InternetChecksum.sum(reply, count: 32, initial: initial)), 2)
        pointee.data.store48(isUnspecified ? 0x3333_0000_0001 : asker, 0)
        pointee.data.store48(mac, 6)
        return true
    }

    /// The source link-layer address among the options of a solicitation, `.some(nil)` if there is none; nil if an
    /// option has length 0 or is cut short.
    private func sourceOption(_ options: UnsafeRawPointer) -> UInt64?? {
        let end = transportLength &- 24
        var found: UInt64?
        var at = 0
        while at < end {
            guard end &- at >= 8 else { return nil }
            let size = Int(options.byte(at &+ 1)) &* 8
            guard size > 0, size <= end &- at else { return nil }
            if options.byte(at) == 1, size == 8, found == nil { found = options.be48(at &+ 2) }
            at &+= size
        }
        return .some(found)
    }

    /// ff02::1:ff00:0/104
    private func isSolicitedNode(_ address: UnsafeRawPointer) -> Bool {
        address.be64(0) == 0xff02 &<< 48 && address.be64(8) &>> 24 == 0x01_ff
    }
}
