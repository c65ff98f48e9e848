import FrameSupport

/// Kinds of frames that have made wrong flow caches before; each is tested under its own name.
enum FrameClass: String, CaseIterable, Sendable {
    case anything, mutated, ipProtocolZero, padding, truncatedTransport, firstFragment, laterFragment
    case neighbourDiscovery, portPrefixes, icmpTypeAndCode, arpOperation, manyTags, manyLabels, tcpFlags
    case ipv6Extensions, llcAndSNAP
}

/// Frames of few values, those of `OracleRules`, so that rules hit.
struct OracleFrames {
    var random: SeededRandom
    private var forge: FrameForge

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        forge = FrameForge(seed: seed ^ 0x55aa)
    }

    static let macs: [UInt64] = [
        0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0003, 0x0a00_0000_0104, 0xffff_ffff_ffff, 0x0100_5e00_0001,
        0x0180_c200_0000,
    ]
    static let addresses: [UInt32] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0103, 0xc0a8_0101, 0xe000_0001]
    static let ports: [UInt16] = [80, 81, 82, 96, 1000, 0x8050, 0]

    mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    mutating func frame(_ kind: FrameClass) -> [UInt8] {
        switch kind {
        case .anything: return chance(90) ? frame(FrameClass.allCases[2 + random.below(14)]) : forge.frame()
        case .mutated: return chance(50) ? forge.mutatedFrame() : mutated(frame(.anything))
        case .ipProtocolZero: return internet(ipProtocol: random.pick([0, 0, 59, 61]), random.bytes(random.below(16)))
        case .padding: return internet() + random.bytes(random.below(30))
        case .truncatedTransport: return truncated()
        case .firstFragment: return internet(fragment: 0x2000)
        case .laterFragment: return internet(fragment: random.pick([0x2001, 0x0010, 0x00b9]))
        case .neighbourDiscovery: return neighbour()
        case .portPrefixes: return internet(ipProtocol: random.pick([6, 17, 132]))
        case .icmpTypeAndCode: return internet(ipProtocol: random.pick([1, 58, 2]))
        case .arpOperation: return arp()
        case .manyTags: return internet(tags: tags(1 + random.below(3)))
        case .manyLabels: return labelled()
        case .tcpFlags: return internet(ipProtocol: 6)
        case .ipv6Extensions: return internetSix(extended: true)
        case .llcAndSNAP: return notEthernetII()
        }
    }

    /// Bytes overwritten, cut off or appended.
    mutating func mutated(_ frame: [UInt8]) -> [UInt8] {
        var frame = frame
        for _ in 0...random.below(3) where !frame.isEmpty {
            switch random.below(6) {
            case 0: frame.removeLast(random.below(frame.count))
            case 1: frame += random.bytes(random.below(24))
            case 2: frame[random.below(frame.count)] = UInt8(truncatingIfNeeded: random.next())
            default: frame[random.below(min(frame.count, 64))] ^= 1 << random.below(8)
            }
        }
        return frame
    }

    private mutating func tags(_ count: Int) -> [Tag] {
        (0..<count).map { _ in
            let priority = chance(50) ? UInt16(random.below(8)) << 13 : 0
            return Tag(
                priority | (chance(10) ? 0x1000 : 0) | UInt16(random.below(4)),
                tpid: random.pick([0x8100, 0x8100, 0x88a8]))
        }
    }

    private mutating func someTags() -> [Tag] { chance(35) ? tags(1 + random.below(2)) : [] }

    private mutating func wrap(_ type: UInt16, _ payload: [UInt8], tags: [Tag]? = nil) -> [UInt8] {
        let own = tags ?? someTags()
        return ethernet(
            dst: random.pick(Self.macs), src: random.pick(Self.macs), tags: own, type: type, payload)
    }

    private mutating func internet(
        ipProtocol: UInt8? = nil, _ payload: [UInt8]? = nil, fragment: UInt16 = 0, tags: [Tag]? = nil
    ) -> [UInt8] {
        chance(60)
            ? internetFour(ipProtocol: ipProtocol, payload, fragment: fragment, tags: tags)
            : internetSix(ipProtocol: ipProtocol, payload, fragment: fragment, tags: tags)
    }

    private mutating func internetFour(
        ipProtocol: UInt8? = nil, _ payload: [UInt8]? = nil, fragment: UInt16 = 0, tags: [Tag]? = nil
    ) -> [UInt8] {
        let (src, dst) = (random.pick(Self.addresses), random.pick(Self.addresses))
        let number = ipProtocol ?? random.pick([6, 6, 17, 17, 1, 2, 132, 58, 47, 0])
        let body = payload ?? transport(number, .v4(src, dst))
        let packet = ipv4(
            src, dst, ipProtocol: number, tos: UInt8(random.below(256)), ttl: UInt8(random.pick([0, 1, 2, 64])),
            fragment: fragment, options: chance(8) ? [1, 1, 1, 1] : [], body)
        return wrap(0x0800, packet, tags: tags)
    }

    private mutating func internetSix(
        ipProtocol: UInt8? = nil, _ payload: [UInt8]? = nil, fragment: UInt16 = 0, tags: [Tag]? = nil,
        extended: Bool = false
    ) -> [UInt8] {
        let (src, dst) = (addressSix(), addressSix())
        var next = ipProtocol ?? random.pick([6, 6, 17, 17, 58, 58, 132, 1, 59])
        var body = payload ?? transport(next, .v6(src, dst))
        if fragment != 0 {
            body = [next, 0] + be16(fragment == 0x2000 ? 1 : random.pick([8, 9, 0x0100])) + be32(7) + body
            next = 44
        }
        if extended || chance(8) {
            for _ in 0...random.below(2) {
                let kind: UInt8 = random.pick([0, 43, 60, 51])
                body = [next, kind == 51 ? 0 : UInt8(random.below(2))] + random.bytes(kind == 51 ? 6 : 14) + body
                next = kind
            }
        }
        let packet = ipv6(
            src, dst, nextHeader: next, trafficClass: UInt8(random.below(256)), label: UInt32(random.below(4)),
            hopLimit: UInt8(random.pick([0, 1, 64])), body)
        return wrap(0x86dd, packet, tags: tags)
    }

    private mutating func addressSix() -> UInt128 {
        chance(50) ? UInt128(random.pick(Self.addresses)) : UInt128(random.pick(Self.addresses)) << 64 | 0x2001 << 112
    }

    private mutating func transport(_ number: UInt8, _ addresses: Addresses) -> [UInt8] {
        let (src, dst) = (random.pick(Self.ports), random.pick(Self.ports))
        switch number {
        case 6: return tcp(addresses, src, dst, flags: UInt16(random.below(chance(80) ? 64 : 4096)), payload: [1, 2])
        case 17: return udp(addresses, src, dst, payload: random.bytes(random.below(8)))
        case 132: return be16(src) + be16(dst) + be32(1) + be32(0)
        case 1: return icmp(type: random.pick([0, 3, 8]), code: UInt8(random.below(4)), be32(5))
        case 2: return [0x16, UInt8(random.below(3)), 0, 0] + be32(random.pick(Self.addresses))
        case 58: return chance(60) ? discovery(addresses) : icmpv6(addresses, type: 128, code: 1, be32(5))
        default: return random.bytes(random.below(24))
        }
    }

    private mutating func truncated() -> [UInt8] {
        let number: UInt8 = random.pick([6, 17, 132, 1, 58])
        let body = transport(number, .v4(1, 2))
        return internet(ipProtocol: number, Array(body.prefix(random.below(body.count + 1))))
    }

    private mutating func discovery(_ addresses: Addresses) -> [UInt8] {
        var body = be32(UInt32(random.below(2)) << 30) + be128(UInt128(random.pick(Self.addresses)))
        for _ in 0..<random.below(3) { body += [random.pick([1, 2, 14]), 1] + be48(random.pick(Self.macs)) }
        return icmpv6(
            addresses, type: random.pick([135, 136, 133]), code: chance(25) ? UInt8(random.below(3)) : 0, body)
    }

    private mutating func neighbour() -> [UInt8] {
        let (src, dst) = (addressSix(), addressSix())
        return internet(ipProtocol: 58, discovery(.v6(src, dst)))
    }

    private mutating func arp() -> [UInt8] {
        let operation = UInt16(random.pick([0, 1, 1, 2, 2, 255, 256, 257, 258, 0x0101, 0xff01]))
        let packet = FrameSupport.arp(
            operation: operation, sha: random.pick(Self.macs), spa: random.pick(Self.addresses),
            tha: random.pick(Self.macs), tpa: random.pick(Self.addresses))
        return wrap(chance(90) ? 0x0806 : 0x8035, packet)
    }

    private mutating func labelled() -> [UInt8] {
        let count = 1 + random.below(5)
        var stack: [UInt8] = []
        for i in 0..<count {
            let entry = UInt32(random.below(4)) << 12 | UInt32(random.below(8)) << 9 | UInt32(random.below(4))
            stack += be32(chance(92) && i == count - 1 ? entry | 0x100 : entry)
        }
        let inner = ipv4(
            0x0a00_0001, random.pick(Self.addresses), ipProtocol: 6, tcp(.v4(0x0a00_0001, 1), 80, 81))
        return wrap(random.pick([0x8847, 0x8847, 0x8848]), stack + inner)
    }

    private mutating func notEthernetII() -> [UInt8] {
        let payload = ipv4(1, random.pick(Self.addresses), ipProtocol: 17, udp(.v4(1, 2), 80, 81))
        switch random.below(3) {
        case 0:
            return snap(
                dst: random.pick(Self.macs), src: random.pick(Self.macs), tags: someTags(),
                type: random.pick([0x0800, 0x0806, 0x1234, 0x0100]), payload)
        case 1: return wrap(UInt16(random.pick([40, 0, 0x5ff])), [0x42, 0x42, 3] + random.bytes(37))
        default: return wrap(random.pick([0x1234, 0x88cc, 0x9100]), random.bytes(40))
        }
    }
}
