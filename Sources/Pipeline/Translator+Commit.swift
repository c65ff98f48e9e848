import Actions
import Base
import Flow

// Making the packet what the flow is. Before each output the program gets the ops for what differs between flow and
// base, header by header, and the base becomes equal to the flow.
//
// A field of a header that the packet does not have is not written; which headers it has follows from the EtherType and
// from the IP protocol, which is zero when the header was cut short. The order is that of Open vSwitch: Ethernet, network,
// transport, labels, tags.

extension Translator {
    /// Bits of a field that a set op has to write: known to differ, or not known to be equal. If there are any, the whole field
    /// is written as far as its value is known. Adds to the mask what must be read for it, and makes the base equal to
    /// the flow there.
    @inline(__always) private func settle(_ word: Int, _ field: UInt64) -> UInt64 {
        let f = fresh[word]
        let g = baseFresh[word]
        let differing = (~(f & g) & (flow[word] ^ base[word]) | ~mask[word] & (f ^ g)) & field
        guard differing != 0 else { return 0 }
        // Bits that go back to what was received.
        mask[word] |= differing & f
        let written = differing | field & (~f | mask[word])
        base[word] = base[word] & ~written | flow[word] & written
        baseFresh[word] = g & ~written | f & written
        return written
    }

    /// The same for two fields of one word.
    @inline(__always) private func settle(_ word: Int, _ field: UInt64, _ other: UInt64) -> UInt64 {
        settle(word, field) | settle(word, other)
    }

    /// Reads bits that may differ, so that `settle` writes only those that do: for headers whose rewriting has a
    /// price (a checksum made anew, messages cut short that are refused), as nothing should be written without need.
    private func compare(_ word: Int, _ bits: UInt64) { mask[word] |= bits & (fresh[word] ^ baseFresh[word]) }

    private static var addressBits: UInt64 { ~0xffff }

    func commit() {
        committedHeaders = headers
        guard isPending else { return }
        isPending = false
        let start = translation.program.words.count
        commitEthernet()
        // Labels that are all popped go first, those that are pushed last: the network header has to be in reach.
        let baseType = UInt16(truncatingIfNeeded: base[0] &>> 16)
        let baseIsMPLS = baseType == EtherType.mpls || baseType == EtherType.mplsMulticast
        if baseIsMPLS, !isMPLS { commitLabels() }
        commitNetwork()
        if !(baseIsMPLS && !isMPLS) { commitLabels() }
        commitTags()
        commitMetadata()
        if translation.program.words.count != start { changes &+= 1 }
    }

    private func commitEthernet() {
        let dst = settle(1, Self.addressBits)
        let src = settle(2, Self.addressBits)
        guard dst | src != 0 else { return }
        translation.program.setEthernet(
            dst: (flow[1] & dst) >> 16, dstMask: dst >> 16, src: (flow[2] & src) >> 16, srcMask: src >> 16)
    }

    private func commitNetwork() {
        let type = UInt16(truncatingIfNeeded: base[0] &>> 16)
        guard type == EtherType.ipv4 || type == EtherType.ipv6 || type == EtherType.arp, networkDiffers() else {
            return
        }
        // Zero says that the header was cut short: nothing in it can be written.
        let ipProtocol = see(Slot.nwProto)
        guard ipProtocol != 0 else { return }
        switch type {
        case EtherType.ipv4: commitIPv4()
        case EtherType.ipv6:
            commitIPv6()
            if ipProtocol == 58 { commitNeighborDiscovery() }
        default: return commitARP()
        }
        commitTransport(UInt8(truncatingIfNeeded: ipProtocol), isIPv4: type == EtherType.ipv4)
    }

    /// Whether anything above layer 2 was ever written: most flows write addresses of layer 2, tags or nothing.
    private func networkDiffers() -> Bool {
        var changed = (fresh[2] & baseFresh[2] | ~0xffff) & fresh[3] & baseFresh[3]
        changed &= fresh[4] & baseFresh[4] | 0xffff
        changed &= fresh[5] & baseFresh[5] | ~0xffff_ffff
        for word in 6...13 { changed &= fresh[word] & baseFresh[word] }
        changed &= fresh[16] & baseFresh[16]
        return changed != ~0
    }

    private func commitIPv4() {
        let addresses = settle(3, ~0 << 32, 0xffff_ffff)
        let rest = settle(2, 0xff00, 0xff)
        guard addresses | rest != 0 else { return }
        let address = flow[3] & addresses
        let value = flow[2] & rest
        translation.program.setIPv4(
            src: UInt32(truncatingIfNeeded: address >> 32), srcMask: UInt32(truncatingIfNeeded: addresses >> 32),
            dst: UInt32(truncatingIfNeeded: address), dstMask: UInt32(truncatingIfNeeded: addresses),
            tos: UInt8(truncatingIfNeeded: value >> 8), tosMask: UInt8(truncatingIfNeeded: rest >> 8),
            ttl: UInt8(truncatingIfNeeded: value), ttlMask: UInt8(truncatingIfNeeded: rest))
    }

    private func settle128(_ slot: Slot) -> (value: UInt128, mask: UInt128) {
        let high = settle(slot.word, ~0)
        let low = settle(slot.word + 1, ~0)
        return (
            UInt128(flow[slot.word] & high) << 64 | UInt128(flow[slot.word + 1] & low),
            UInt128(high) << 64 | UInt128(low)
        )
    }

    private func commitIPv6() {
        let src = settle128(Slot.ipv6Src)
        let dst = settle128(Slot.ipv6Dst)
        let label = settle(5, 0xf_ffff)
        let rest = settle(2, 0xff00, 0xff)
        guard src.mask | dst.mask != 0 || label | rest != 0 else { return }
        let value = flow[2] & rest
        translation.program.setIPv6(
            src: src.value, srcMask: src.mask, dst: dst.value, dstMask: dst.mask,
            label: UInt32(truncatingIfNeeded: flow[5] & label), labelMask: UInt32(truncatingIfNeeded: label),
            trafficClass: UInt8(truncatingIfNeeded: value >> 8),
            trafficClassMask: UInt8(truncatingIfNeeded: rest >> 8),
            hopLimit: UInt8(truncatingIfNeeded: value), hopLimitMask: UInt8(truncatingIfNeeded: rest))
    }

    private func commitNeighborDiscovery() {
        for word in Slot.arpSHA.word...Slot.ndReserved.word where word < 14 || word == Slot.ndReserved.word {
            compare(word, ~0)
        }
        // These two are written as a whole, whatever bits of them changed.
        let reserved = settle(Slot.ndReserved.word, 0xffff_ffff_0000_0000) != 0
        let type = settle(Slot.ndOptionsType.word, 0xff00) != 0
        if reserved || type {
            translation.program.setNDExtensions(
                reserved: reserved ? UInt32(see(Slot.ndReserved)) : 0, reservedMask: reserved ? ~0 : 0,
                optionsType: type ? UInt8(see(Slot.ndOptionsType)) : 0, optionsTypeMask: type ? ~0 : 0)
        }
        let target = settle128(Slot.ndTarget)
        let sll = settle(Slot.arpSHA.word, Self.addressBits)
        let tll = settle(Slot.arpTHA.word, Self.addressBits)
        guard target.mask != 0 || sll | tll != 0 else { return }
        translation.program.setND(
            target: target.value, targetMask: target.mask,
            sll: (flow[Slot.arpSHA.word] & sll) >> 16, sllMask: sll >> 16,
            tll: (flow[Slot.arpTHA.word] & tll) >> 16, tllMask: tll >> 16)
    }

    private func commitARP() {
        compare(3, ~0)
        compare(4, 0xff << 56)
        compare(Slot.arpSHA.word, Self.addressBits)
        compare(Slot.arpTHA.word, Self.addressBits)
        let addresses = settle(3, ~0 << 32, 0xffff_ffff)
        let operation = settle(4, 0xff << 56)
        let sha = settle(Slot.arpSHA.word, Self.addressBits)
        let tha = settle(Slot.arpTHA.word, Self.addressBits)
        guard addresses | operation | sha | tha != 0 else { return }
        // The operation has 16 bits in the packet, eight in the key; it is written as a whole.
        let value = operation == 0 ? 0 : see(Slot.nwProto)
        translation.program.setARP(
            operation: value == 0xff ? 0xffff : UInt16(value), operationMask: operation == 0 ? 0 : 0xffff,
            spa: UInt32(truncatingIfNeeded: (flow[3] & addresses) >> 32),
            spaMask: UInt32(truncatingIfNeeded: addresses >> 32),
            tpa: UInt32(truncatingIfNeeded: flow[3] & addresses), tpaMask: UInt32(truncatingIfNeeded: addresses),
            sha: (flow[Slot.arpSHA.word] & sha) >> 16, shaMask: sha >> 16,
            tha: (flow[Slot.arpTHA.word] & tha) >> 16, thaMask: tha >> 16)
    }

    private func commitTransport(_ ipProtocol: UInt8, isIPv4: Bool) {
        switch ipProtocol {
        case 6, 17, 132:
            let bits = settle(4, 0xffff << 32, 0xffff << 16) >> 16
            guard bits != 0 else { return }
            let value = flow[4] >> 16 & bits
            translation.program.setPorts(
                ipProtocol: ipProtocol, src: UInt16(truncatingIfNeeded: value >> 16),
                srcMask: UInt16(truncatingIfNeeded: bits >> 16), dst: UInt16(truncatingIfNeeded: value),
                dstMask: UInt16(truncatingIfNeeded: bits))
        case 1 where isIPv4, 58 where !isIPv4:
            compare(4, 0xff_00ff_0000)
            guard settle(4, 0xff << 32, 0xff << 16) != 0 else { return }
            // Both are written even if one changes, also where a later fragment has something else.
            let bits: UInt64 = 0xff_00ff
            let value = see(4, bits << 16) >> 16
            translation.program.setICMP(
                ipProtocol: ipProtocol, type: UInt8(truncatingIfNeeded: value >> 16),
                typeMask: UInt8(truncatingIfNeeded: bits >> 16), code: UInt8(truncatingIfNeeded: value),
                codeMask: UInt8(truncatingIfNeeded: bits))
        default: break
        }
    }
}

// MARK: - Labels, tags, metadata

extension Translator {
    private func commitLabels() {
        let baseType = UInt16(truncatingIfNeeded: base[0] &>> 16)
        let own = LabelStack(flow)
        var there = LabelStack(base)
        let wanted = own.count(etherType: etherType)
        var count = there.count(etherType: baseType)
        // Entries that can stay, counted from the bottom.
        var common = 0
        while common < min(wanted, count), own.entries[wanted - 1 - common] == there.entries[count - 1 - common] {
            common += 1
        }
        while count > common {
            if count - 1 == common, wanted > common {
                // The one above the common ones is overwritten instead of popped and pushed.
                there.entries[0] = own.entries[wanted - count]
                translation.program.setMPLS(entry: there.entries[0])
                common += 1
            } else {
                let type = !isMPLS && count > 1 ? EtherType.mpls : etherType
                translation.program.popMPLS(etherType: type)
                there.pop()
                count -= 1
            }
        }
        while count < wanted {
            let entry = own.entries[wanted - count - 1]
            translation.program.pushMPLS(etherType: etherType, entry: entry)
            there.push(entry)
            count += 1
        }
        there.store(base)
        base[0] = base[0] & ~0xffff_0000 | flow[0] & 0xffff_0000
    }

    private func commitTags() {
        guard fresh[0] & baseFresh[0] & 0xffff != 0xffff else { return }
        let own = Self.tags(flow)
        let there = Self.tags(base)
        guard own != there else { return }
        touchTags()
        // Entries that can stay, counted from the innermost.
        var popped = there.count
        var pushed = own.count
        while popped > 0, pushed > 0, there[popped - 1] == own[pushed - 1] {
            popped -= 1
            pushed -= 1
        }
        for _ in 0..<popped { translation.program.popVLAN() }
        for i in (0..<pushed).reversed() {
            translation.program.pushVLAN(
                tpid: UInt16(truncatingIfNeeded: own[i] >> 16), tci: UInt16(truncatingIfNeeded: own[i]))
        }
        Self.store(own, base)
    }

    private func commitMetadata() {
        // Both are zero in what ports receive, so this is no loss: see `trimMask`.
        compare(Slot.pktMark.word, ~0)
        let queue = settle(Slot.skbPriority.word, 0xffff_ffff)
        if queue != 0 {
            let value = UInt32(truncatingIfNeeded: flow[Slot.skbPriority.word])
            if value == 0 { translation.program.popQueue() } else { translation.program.setQueue(value) }
        }
        let mark = settle(Slot.pktMark.word, 0xffff_ffff_0000_0000) >> 32
        if mark != 0 {
            translation.program.setMark(
                UInt32(truncatingIfNeeded: flow[Slot.pktMark.word] >> 32 & mark),
                mask: UInt32(truncatingIfNeeded: mark))
        }
    }
}
