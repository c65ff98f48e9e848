import Flow

/// Keys as frames of many kinds give them, from few values, so that rules hit.
struct RandomKeys {
    var random: Random
    var ports: UInt64
    var tags = 2

    mutating func pick<T>(_ values: [T]) -> T { values[random.below(values.count)] }
    mutating func chance(_ percent: Int) -> Bool { random.below(100) < percent }

    static let macs: [UInt64] = [
        0x0200_0000_0001, 0x0200_0000_0002, 0x0200_0000_0003, 0x0a00_0000_0104, 0xffff_ffff_ffff, 0x0100_5e00_0001,
        0x0180_c200_0000,
    ]
    static let addresses: [UInt64] = [0x0a00_0001, 0x0a00_0002, 0x0a00_0103, 0xc0a8_0101, 0xe000_0001]

    mutating func next() -> FlowKey {
        var key = FlowKey()
        key[.inPort] = 1 + random.next() % ports
        key[.ethSrc] = pick(Self.macs)
        key[.ethDst] = pick(Self.macs)
        let types: [UInt64] = [0x0800, 0x0800, 0x0800, 0x86dd, 0x86dd, 0x0806, 0x8847, 0x1234]
        key[.ethType] = pick(types)
        if tags > 0, chance(40) { putTag(&key) }
        fill(&key)
        return key
    }

    private mutating func putTag(_ key: inout FlowKey) {
        let types: [UInt64] = [0x8100, 0x88a8]
        key[.vlanTPID] = pick(types)
        key[.vlanTCI] = 0x1000 | UInt64(random.below(4)) | UInt64(random.below(2)) << 13
        if tags > 1, chance(40) {
            key[.innerVlanTPID] = 0x8100
            key[.innerVlanTCI] = 0x1000 | UInt64(random.below(4))
        }
    }

    /// Everything above layer 2, for the EtherType that is there.
    mutating func fill(_ key: inout FlowKey) {
        switch key[.ethType] {
        case 0x0800, 0x86dd: fillNetwork(&key)
        case 0x0806:
            key[.nwProto] = UInt64(random.below(3))
            key[.ipv4Src] = pick(Self.addresses)
            key[.ipv4Dst] = pick(Self.addresses)
            key[.arpSHA] = pick(Self.macs)
            key[.arpTHA] = pick(Self.macs)
        case 0x8847: fillLabels(&key)
        default: break
        }
    }

    private mutating func fillNetwork(_ key: inout FlowKey) {
        if key[.ethType] == 0x0800 {
            key[.ipv4Src] = pick(Self.addresses)
            key[.ipv4Dst] = pick(Self.addresses)
        } else {
            key[wide: .ipv6Src] = UInt128(pick(Self.addresses))
            key[wide: .ipv6Dst] = UInt128(pick(Self.addresses)) << 64
            key[.ipv6Label] = UInt64(random.below(4))
        }
        key[.nwTOS] = UInt64(random.below(256))
        key[.nwTTL] = UInt64(random.below(4))
        let protocols: [UInt64] = [6, 6, 17, 17, 1, 58, 132, 47, 0]
        key[.nwProto] = pick(protocols)
        key[.nwFrag] = pick([0, 0, 0, 1, 3])
        fillTransport(&key)
    }

    private mutating func fillTransport(_ key: inout FlowKey) {
        guard key[.nwFrag] & 2 == 0 else { return }
        switch key[.nwProto] {
        case 6, 17, 132:
            key[.tpSrc] = pick([80, 81, 1000])
            key[.tpDst] = pick([80, 81, 1000])
            if key[.nwProto] == 6 { key[.tcpFlags] = UInt64(random.below(64)) }
        case 1:
            key[.tpSrc] = pick([0, 8])
        case 58 where key[.ethType] == 0x86dd:
            key[.tpSrc] = pick([128, 135, 136])
            guard key[.tpSrc] != 128 else { return }
            key[wide: .ndTarget] = UInt128(pick(Self.addresses))
            if key[.tpSrc] == 135 { key[.arpSHA] = pick(Self.macs) } else { key[.arpTHA] = pick(Self.macs) }
        default: break
        }
    }

    private mutating func fillLabels(_ key: inout FlowKey) {
        let count = 1 + random.below(4)
        for (i, slot) in [Slot.mpls0, .mpls1, .mpls2].enumerated() where i < count {
            let bottom: UInt64 = i == count - 1 ? 0x100 : 0
            key[slot] = UInt64(1 + random.below(3)) << 12 | bottom | UInt64(1 + random.below(3))
        }
    }

    /// Another valid key that differs in one field or a few.
    mutating func mutated(_ key: FlowKey) -> FlowKey {
        var new = key
        switch random.below(6) {
        case 0:
            let slots: [Slot] = [.ethSrc, .ethDst]
            flip(pick(slots), &new)
        case 1 where tags > 0:
            for slot in [Slot.vlanTCI, .vlanTPID, .innerVlanTCI, .innerVlanTPID] { new[slot] = 0 }
            if chance(70) { putTag(&new) }
        case 2 where new[.ethType] == 0x0800 || new[.ethType] == 0x86dd:
            refill(&new)
        case 3 where new[.ethType] == 0x0800 || new[.ethType] == 0x0806:
            let slots: [Slot] = [.ipv4Src, .ipv4Dst]
            flip(pick(slots), &new)
        case 3 where new[.ethType] == 0x86dd:
            let bit = UInt128(1) << UInt128(random.below(128))
            if chance(50) { new[wide: .ipv6Src] ^= bit } else { new[wide: .ipv6Dst] ^= bit }
        case 4 where new[.ethType] == 0x0800 || new[.ethType] == 0x86dd:
            let slots: [Slot] = [.nwTOS, .nwTTL]
            flip(pick(slots), &new)
        case 5 where [6, 17, 132].contains(new[.nwProto]) && new[.nwFrag] & 2 == 0 && new[.ethType] != 0x0806:
            let slots: [Slot] = [.tpSrc, .tpDst]
            flip(pick(slots), &new)
            if new[.nwProto] == 6, chance(50) { new[.tcpFlags] ^= 1 << UInt64(random.below(12)) }
        default:
            let labels = new[.mpls0]
            if new[.ethType] == 0x8847 { new[.mpls0] = labels ^ 1 << UInt64(12 + random.below(20)) }
            if new[.ethType] == 0x0806 { flip(.arpSHA, &new) }
        }
        return new
    }

    /// A fresh upper half, the lower being as it is.
    private mutating func refill(_ key: inout FlowKey) {
        let old = key
        for slot in [Slot.tpSrc, .tpDst, .tcpFlags, .arpSHA, .arpTHA] { key[slot] = 0 }
        key[wide: .ndTarget] = 0
        fillNetwork(&key)
        // One part of it at a time, so that some of the results still agree with the mask.
        if chance(70) {
            for slot in [Slot.nwTOS, .nwTTL, .ipv4Src, .ipv4Dst, .nwFrag] where chance(80) { key[slot] = old[slot] }
            if key[.nwFrag] & 2 != 0 {
                for slot in [Slot.tpSrc, .tpDst, .tcpFlags, .arpSHA, .arpTHA] { key[slot] = 0 }
                key[wide: .ndTarget] = 0
            }
        }
    }

    private mutating func flip(_ slot: Slot, _ key: inout FlowKey) {
        key[slot] ^= 1 << UInt64(random.below(slot.width))
    }
}
