import Base
import Flow

// The last touch to the mask: bits that cannot differ between packets that agree in the others are taken out. A frame
// of one EtherType has only that type's headers, so the fields of all others are zero in it; a port that is not a tunnel
// never gives tunnel fields; without a VLAN tag there is nothing in a tag.

extension Translator {
    func trimMask(_ key: UnsafePointer<FlowKey>) {
        let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
        for word in FlowKey.registerWords { mask[word] = 0 }
        trimTags(words)
        switch receivedType {
        case EtherType.ipv4: trimIPv4(words)
        case EtherType.ipv6: trimIPv6(words)
        case EtherType.arp, EtherType.rarp:
            keep(1, 2, 0)
            clear(from: 5, to: 9, sparingTags: true)
            mask[10] &= ~0xffff
            clear(from: 12, to: 15)
            mask[16] &= 0xffff_ffff
        case EtherType.mpls, EtherType.mplsMulticast:
            keep(1, 2, 0)
            mask[3] = 0
            mask[4] &= 0xffff
            clear(from: 5, to: 13, sparingTags: true)
            mask[15] &= ~0xffff_ffff
            mask[16] &= 0xffff_ffff
        default:
            keep(1, 2, 0)
            mask[3] = 0
            mask[4] &= 0xffff
            clear(from: 5, to: 15, sparingTags: true)
            mask[16] &= 0xffff_ffff
        }
        // Ports give no mark and no priority; frames that come back may have them.
        if words[Slot.recircID.word] & 0xffff_ffff == 0, words[Slot.pktMark.word] == 0 { mask[Slot.pktMark.word] = 0 }
        // Tunnel fields come only from tunnel ports, and the ingress port is in every mask.
        let tunnel = words[Slot.tunIPv4Dst.word] | words[31] | words[32] | words[33] | words[34]
        if tunnel == 0 {
            clear(from: 28, to: 36)
            clear(from: 47, to: FlowKey.wordCount - 1)
        }
    }

    private func clear(from first: Int, to last: Int, sparingTags: Bool = false) {
        for word in first...last { mask[word] = sparingTags && word == 5 ? mask[5] & ~0xffff_ffff : 0 }
    }

    /// Of words 1 and 2, the MAC addresses and `low` of the rest.
    private func keep(_ first: Int, _ second: Int, _ low: UInt64) {
        mask[first] &= ~0xffff | low
        mask[second] &= ~0xffff | low
    }

    private func trimTags(_ words: UnsafePointer<UInt64>) {
        let received = Self.tags(words)
        let read = Self.tags(mask)
        let limit = state._withUnsafeGuaranteedRef { $0.settings.vlanLimit }
        let outer = presence(read.inner != 0 ? read.outer | TagPair.present : read.outer)
        switch received.count {
        case 0:
            // That there is no tag says that all of it is zero.
            Self.store(TagPair(outer: read.outer | read.inner != 0 ? TagPair.present : 0), mask)
        case _ where limit == 1:
            // A second tag is not looked at: its place is always zero.
            Self.store(TagPair(outer: presence(read.outer)), mask)
        case 1: Self.store(TagPair(outer: outer, inner: read.inner == 0 ? 0 : TagPair.present), mask)
        default: Self.store(TagPair(outer: outer, inner: presence(read.inner)), mask)
        }
    }

    /// Whoever looks at a tag looks whether it is there.
    private func presence(_ read: UInt32) -> UInt32 { read == 0 ? 0 : read | TagPair.present }

    private func trimIPv4(_ words: UnsafePointer<UInt64>) {
        clear(from: 5, to: 13, sparingTags: true)
        mask[14] = 0
        mask[16] &= 0xffff_ffff
        mask[15] &= 0xffff_ffff
        trimTransport(words)
    }

    private func trimIPv6(_ words: UnsafePointer<UInt64>) {
        mask[3] = 0
        clear(from: 14, to: 14)
        mask[15] &= 0xffff_ffff
        trimTransport(words)
        // Only neighbour discovery has more than ports.
        let ipProtocol = words[4] >> 56
        if mask[4] >> 56 == 0xff, ipProtocol != 58 {
            clear(from: 10, to: 13)
            mask[16] &= 0xffff_ffff
        }
    }

    /// Ports of later fragments are zero; TCP flags of what is not TCP too. Fragment bits are in every mask of an IP flow.
    private func trimTransport(_ words: UnsafePointer<UInt64>) {
        if words[4] >> 48 & FragmentBits.later != 0 {
            mask[4] &= ~Self.transportPorts
            mask[1] &= ~0xffff
        }
        if mask[4] >> 56 == 0xff, words[4] >> 56 != 6 { mask[1] &= ~0xffff }
        // ICMP types and codes have eight bits.
        let ipProtocol = words[4] >> 56
        if mask[4] >> 56 == 0xff, ipProtocol == 1 || ipProtocol == 58 { mask[4] &= ~0xff00_ff00_0000 }
    }
}
