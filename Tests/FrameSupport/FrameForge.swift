/// Random frames of every shape that key extraction knows, valid or nearly so.
public struct FrameForge {
    public var random: SeededRandom

    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    public mutating func frame() -> [UInt8] {
        var tags: [Tag] = []
        if random.oneIn(3) { tags.append(Tag(random.bits16(), tpid: random.pick([0x8100, 0x88a8]))) }
        if random.oneIn(6) { tags.append(Tag(random.bits16(), tpid: random.pick([0x8100, 0x88a8]))) }
        if random.oneIn(20) { tags.append(Tag(random.bits16())) }
        var (type, payload) = network()
        if random.oneIn(10) {
            payload = labels() + payload
            type = random.pick([0x8847, 0x8848])
        }
        let src = random.oneIn(8) ? 0 : random.bits48()
        var frame =
            random.oneIn(12)
            ? snap(dst: random.bits48(), src: src, tags: tags, type: type, payload)
            : ethernet(dst: random.bits48(), src: src, tags: tags, type: type, payload)
        if random.oneIn(4) { frame += random.bytes(random.below(30)) }
        return frame
    }

    /// A frame, then changed: cut short, bytes overwritten, or left as it is.
    public mutating func mutatedFrame() -> [UInt8] {
        var frame = self.frame()
        if random.oneIn(3) { frame.removeLast(random.below(frame.count + 1)) }
        if random.oneIn(2), !frame.isEmpty {
            for _ in 0...random.below(4) {
                // Mostly in the headers.
                let at = random.below(random.oneIn(4) ? frame.count : min(frame.count, 60))
                frame[at] =
                    random.oneIn(2) ? UInt8(truncatingIfNeeded: random.next()) : frame[at] ^ 1 << random.below(8)
            }
        }
        return frame
    }

    private mutating func labels() -> [UInt8] {
        let count = 1 + random.below(5)
        return (0..<count).flatMap { i -> [UInt8] in
            let entry = random.bits32() & ~0x100
            return be32(i == count - 1 ? entry | 0x100 : entry)
        }
    }

    private mutating func network() -> (UInt16, [UInt8]) {
        switch random.below(10) {
        case 0...3:
            let (src, dst) = (random.bits32(), random.bits32())
            let (ipProtocol, payload) = transport(.v4(src, dst))
            let options = random.oneIn(5) ? random.bytes(4 * random.below(11)) : []
            let packet = ipv4(
                src, dst, ipProtocol: ipProtocol, tos: UInt8(truncatingIfNeeded: random.next()),
                ttl: UInt8(truncatingIfNeeded: random.next()), fragment: fragment(),
                options: options, totalLength: lie(20 + options.count + payload.count), payload)
            return (0x0800, packet)
        case 4...6:
            let (src, dst) = (random.bits128(), random.bits128())
            let (ipProtocol, payload) = transport(.v6(src, dst))
            let (next, chain) = extensions(ipProtocol)
            let packet = ipv6(
                src, dst, nextHeader: next, trafficClass: UInt8(truncatingIfNeeded: random.next()),
                label: random.bits32() & 0xf_ffff, hopLimit: UInt8(truncatingIfNeeded: random.next()),
                payloadLength: lie(chain.count + payload.count), chain + payload)
            return (0x86dd, packet)
        case 7...8:
            let operation = random.oneIn(5) ? random.bits16() : UInt16(random.below(5))
            let packet = arp(
                operation: operation, sha: random.bits48(), spa: random.bits32(), tha: random.bits48(),
                tpa: random.bits32())
            return (random.pick([0x0806, 0x8035]), packet)
        default:
            return (
                random.pick([0x0600, 0x05ff, 0x88cc, 0x9000, 0x0000, random.bits16()]), random.bytes(random.below(60))
            )
        }
    }

    private mutating func fragment() -> UInt16 {
        random.oneIn(4) ? random.pick([0x2000, 0x2001, 0x0010, 0x4000, 0x8000, random.bits16()]) : 0x4000
    }

    private mutating func lie(_ length: Int) -> Int? {
        random.oneIn(8) ? max(0, length + random.below(21) - 10) : nil
    }

    private mutating func extensions(_ ipProtocol: UInt8) -> (UInt8, [UInt8]) {
        var next = ipProtocol
        var chain: [UInt8] = []
        while random.oneIn(3), chain.count < 200 {
            switch random.below(5) {
            case 0, 1:
                let units = random.below(3)
                chain = [next, UInt8(units)] + random.bytes(6 + 8 * units) + chain
                next = random.pick([0, 60])
            case 2:
                chain = [next, 2, 0, UInt8(random.below(2))] + random.bytes(20) + chain
                next = 43
            case 3:
                let words = random.below(4)
                chain = [next, UInt8(words)] + random.bytes(4 * (words + 2) - 2) + chain
                next = 51
            default:
                let offset = random.pick([0, 1, 1, 6, 8, 9, random.bits16()] as [UInt16])
                chain = [next, 0] + be16(offset) + be32(random.bits32()) + chain
                next = 44
            }
        }
        return (next, chain)
    }

    private mutating func transport(_ addresses: Addresses) -> (UInt8, [UInt8]) {
        let payload = random.bytes(random.below(40))
        switch random.below(12) {
        case 0...2:
            let options = random.oneIn(3) ? random.bytes(4 * random.below(11)) : []
            return (
                6,
                tcp(
                    addresses, random.bits16(), random.bits16(), flags: random.bits16() & 0xfff, options: options,
                    payload: payload)
            )
        case 3...5:
            return (
                17, udp(addresses, random.bits16(), random.bits16(), payload: payload, hasChecksum: !random.oneIn(4))
            )
        case 6: return (132, be16(random.bits16()) + be16(random.bits16()) + be32(1) + be32(random.bits32()) + payload)
        case 7:
            return (1, icmp(type: UInt8(random.below(256)), code: UInt8(random.below(20)), random.bytes(4) + payload))
        case 8: return (2, [0x16, 0, 0, 0] + be32(random.bits32()) + payload)
        case 9, 10: return (58, neighbour(addresses))
        default: return (random.pick([0, 47, 58, 59, 255]), payload)
        }
    }

    private mutating func neighbour(_ addresses: Addresses) -> [UInt8] {
        var body = be32(random.bits32()) + be128(random.bits128())
        for _ in 0..<random.below(4) {
            let kind = random.pick([1, 2, 1, 2, 3, 14] as [UInt8])
            let units = random.oneIn(5) ? random.below(3) : 1
            let address = random.oneIn(4) ? be48(0) : be48(random.bits48())
            body += [kind, UInt8(units)] + address + random.bytes(max(0, units - 1) * 8)
        }
        return icmpv6(
            addresses, type: random.pick([135, 136, 135, 136, 133, 128]), code: random.oneIn(6) ? 1 : 0, body)
    }
}
