import Actions
import Base
import FrameSupport
import Memory

/// A well-formed frame as its fields, so that the same frame with other values can be built.
struct Shape {
    enum Network { case ipv4, ipv6, arp }
    enum Transport { case tcp, udp, icmp, neighbour }

    var network: Network
    var transport: Transport
    var dst: UInt64
    var src: UInt64
    var tags: [Tag] = []
    var src4: UInt32
    var dst4: UInt32
    var src6: UInt128
    var dst6: UInt128
    var tos: UInt8
    var ttl: UInt8
    var label: UInt32
    var options: [UInt8] = []
    var srcPort: UInt16
    var dstPort: UInt16
    var hasUDPChecksum: Bool
    var payload: [UInt8]
    /// ARP operation; ICMP type.
    var operation: UInt16
    /// ICMP code.
    var code: UInt16
    /// ARP sender; ND option.
    var sha: UInt64
    var tha: UInt64
    var target: UInt128
    var reserved: UInt32
    var optionType: UInt8
    var padding: Int

    init(_ random: inout SeededRandom) {
        network = random.pick([.ipv4, .ipv4, .ipv6, .ipv6, .arp])
        transport = random.pick(network == .ipv6 ? [.tcp, .udp, .neighbour] : [.tcp, .udp, .icmp])
        dst = random.bits48()
        src = random.bits48()
        if random.oneIn(2) { tags = [Tag(random.bits16() & ~0x1000)] }
        src4 = random.bits32()
        dst4 = random.bits32()
        src6 = random.bits128()
        dst6 = random.bits128()
        tos = UInt8(random.below(256))
        ttl = UInt8(random.below(256))
        label = random.bits32() & 0xf_ffff
        if random.oneIn(3) { options = random.bytes(4 * random.below(6)) }
        srcPort = random.bits16()
        dstPort = random.bits16()
        hasUDPChecksum = !random.oneIn(4)
        payload = random.bytes(random.below(30))
        operation = UInt16(random.below(256))
        code = UInt16(random.below(256))
        sha = random.bits48()
        tha = random.bits48()
        target = random.bits128()
        reserved = random.bits32()
        optionType = random.pick([1, 2])
        padding = random.below(3) * random.below(10)
    }

    var addresses: Addresses { network == .ipv4 ? .v4(src4, dst4) : .v6(src6, dst6) }

    var frame: [UInt8] {
        let type: UInt16
        let packet: [UInt8]
        switch network {
        case .arp:
            type = 0x0806
            packet = arp(operation: operation, sha: sha, spa: src4, tha: tha, tpa: dst4)
        case .ipv4:
            type = 0x0800
            packet = ipv4(src4, dst4, ipProtocol: message.0, tos: tos, ttl: ttl, options: options, message.1)
        case .ipv6:
            type = 0x86dd
            packet = ipv6(
                src6, dst6, nextHeader: message.0, trafficClass: tos, label: label, hopLimit: ttl, message.1)
        }
        return ethernet(dst: dst, src: src, tags: tags, type: type, packet) + [UInt8](repeating: 0, count: padding)
    }

    /// IP protocol and message.
    private var message: (UInt8, [UInt8]) {
        switch transport {
        case .tcp: (6, tcp(addresses, srcPort, dstPort, options: options, payload: payload))
        case .udp: (17, udp(addresses, srcPort, dstPort, payload: payload, hasChecksum: hasUDPChecksum))
        case .icmp: (1, icmp(type: UInt8(operation & 0xff), code: UInt8(code & 0xff), be32(7) + payload))
        case .neighbour:
            (58, icmpv6(addresses, type: 135, be32(reserved) + be128(target) + [optionType, 1] + be48(sha)))
        }
    }

    /// Takes the transport checksum back to what a sender leaves to hardware. ICMP has no pseudo header, and ARP
    /// nothing at all to leave.
    func leaveChecksum(to packet: Packet) {
        guard network != .arp, transport != .icmp else { return }
        let field = transport == .tcp ? 16 : transport == .udp ? 6 : 2
        let l4 = Int(packet.pointee.offsetL4)
        let length = Int(packet.pointee.length) - l4 - Int(packet.pointee.padL2)
        let sum = ~checksum(addresses.pseudoHeader + be32(UInt32(length)) + be32(UInt32(message.0)))
        packet.pointee.data.store16(sum, l4 + field)
        packet.pointee.offload.needsChecksum = true
        packet.pointee.offload.checksumStart = packet.pointee.offsetL4
        packet.pointee.offload.checksumOffset = UInt16(field)
    }

    /// Sets some of the fields, whole or by mask, in a copy and by ops of `builder`.
    func mutated(_ builder: inout ProgramBuilder, _ random: inout SeededRandom) -> Shape {
        var new = self
        func set<T: FixedWidthInteger & UnsignedInteger>(_ field: inout T, bits: T = ~0) -> (T, T) {
            if random.oneIn(3) { return (0, 0) }
            let mask = (random.oneIn(2) ? ~0 : T.random(in: 0 ... ~0, using: &random)) & bits
            let value = T.random(in: 0 ... ~0, using: &random) & mask
            field = field & ~mask | value
            return (value, mask)
        }
        let mac: UInt64 = 0xffff_ffff_ffff
        let d = set(&new.dst, bits: mac)
        let s = set(&new.src, bits: mac)
        builder.setEthernet(dst: d.0, dstMask: d.1, src: s.0, srcMask: s.1)
        switch network {
        case .arp:
            let op = set(&new.operation)
            let (spa, tpa) = (set(&new.src4), set(&new.dst4))
            let (h, t) = (set(&new.sha, bits: mac), set(&new.tha, bits: mac))
            builder.setARP(
                operation: op.0, operationMask: op.1, spa: spa.0, spaMask: spa.1, tpa: tpa.0, tpaMask: tpa.1,
                sha: h.0, shaMask: h.1, tha: t.0, thaMask: t.1)
            return new
        case .ipv4:
            let (a, b, o, l) = (set(&new.src4), set(&new.dst4), set(&new.tos), set(&new.ttl))
            builder.setIPv4(
                src: a.0, srcMask: a.1, dst: b.0, dstMask: b.1, tos: o.0, tosMask: o.1, ttl: l.0, ttlMask: l.1)
        case .ipv6:
            let (a, b, o, l) = (set(&new.src6), set(&new.dst6), set(&new.tos), set(&new.ttl))
            let f = set(&new.label, bits: 0xf_ffff)
            builder.setIPv6(
                src: a.0, srcMask: a.1, dst: b.0, dstMask: b.1, label: f.0, labelMask: f.1, trafficClass: o.0,
                trafficClassMask: o.1, hopLimit: l.0, hopLimitMask: l.1)
        }
        switch transport {
        case .tcp, .udp:
            let (a, b) = (set(&new.srcPort), set(&new.dstPort))
            builder.setPorts(ipProtocol: transport == .tcp ? 6 : 17, src: a.0, srcMask: a.1, dst: b.0, dstMask: b.1)
        case .icmp:
            let (a, b) = (set(&new.operation, bits: 0xff), set(&new.code, bits: 0xff))
            builder.setICMP(
                ipProtocol: 1, type: UInt8(a.0), typeMask: UInt8(a.1), code: UInt8(b.0), codeMask: UInt8(b.1))
        case .neighbour:
            let (t, h) = (set(&new.target), set(&new.sha, bits: mac))
            let isSource = optionType == 1
            builder.setND(
                target: t.0, targetMask: t.1, sll: isSource ? h.0 : 5, sllMask: isSource ? h.1 : 7,
                tll: isSource ? 5 : h.0, tllMask: isSource ? 7 : h.1)
            if random.oneIn(2) {
                new.reserved = random.bits32()
                new.optionType = UInt8(random.below(256))
                builder.setNDExtensions(
                    reserved: new.reserved, reservedMask: ~0, optionsType: new.optionType, optionsTypeMask: 0xff)
            }
        }
        return new
    }
}

/// Number of kinds of `appendEdit`.
let editKinds = 12

/// An edit with arbitrary values.
func appendEdit(_ kind: Int, _ builder: inout ProgramBuilder, _ random: inout SeededRandom) {
    switch kind {
    case 0: builder.setEthernet(dst: 1, dstMask: 3, src: 2, srcMask: 6)
    case 1: builder.pushVLAN(tpid: 0x8100, tci: 0x1003)
    case 2: builder.popVLAN()
    case 3: builder.pushMPLS(etherType: 0x8847, entry: random.bits32())
    case 4: builder.popMPLS(etherType: random.pick([0x0800, 0x86dd, 0x8847, 0x8100]))
    case 5: builder.setMPLS(entry: 0x1000, mask: 0xf000)
    case 6:
        builder.setIPv4(
            src: random.bits32(), srcMask: ~0, dst: 1, dstMask: 1, tos: 4, tosMask: 0xfc, ttl: 3, ttlMask: 0xff)
    case 7:
        builder.setIPv6(
            src: random.bits128(), srcMask: ~0, dst: 1, dstMask: 3, label: 1, labelMask: 1, trafficClass: 8,
            trafficClassMask: 0xfc, hopLimit: 1, hopLimitMask: 0xff)
    case 8:
        builder.setPorts(
            ipProtocol: random.pick([6, 17, 132]), src: random.bits16(), srcMask: 0xffff, dst: 7, dstMask: 0xff)
    case 9:
        builder.setARP(
            operation: 2, operationMask: 0xffff, spa: 1, spaMask: ~0, tpa: 1, tpaMask: 1, sha: 1, shaMask: 1, tha: 2,
            thaMask: 2)
    case 10: builder.setND(target: 5, targetMask: 7, sll: 1, sllMask: 1, tll: 1, tllMask: 1)
    default: builder.setNDExtensions(reserved: 7, reservedMask: ~0, optionsType: 2, optionsTypeMask: 0xff)
    }
}
