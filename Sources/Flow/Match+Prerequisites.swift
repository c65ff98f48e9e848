extension Match {
    /// A field that is matched without what it needs: its name, where it is in a key, and what it needs.
    typealias Unfounded = (field: String, slot: Slot, needs: FieldPrerequisite)

    /// The first field that is matched without what it needs; nil if all is well.
    ///
    /// ovs-ofctl drops such fields from the match (it logs "normalization changed ofp_match"), so that the rule takes
    /// more packets than its author meant. Weft refuses it.
    func fieldWithoutPrerequisite() -> Unfounded? {
        let type = key.effectiveEthType
        let isIPv4 = type == 0x0800
        let isIPv6 = type == 0x86dd
        let isARP = type == 0x0806 || type == 0x8035
        let proto = key[.nwProto]
        let isPort = proto == 6 || proto == 17 || proto == 132
        if key[.packetType] != 0 {
            if mask[.ethSrc] != 0 { return ("dl_src", .ethSrc, .ethernet) }
            if mask[.ethDst] != 0 { return ("dl_dst", .ethDst, .ethernet) }
            if mask[.ethType] != 0 { return ("dl_type", .ethType, .ethernet) }
            if mask[.vlanTCI] != 0 { return ("vlan_tci", .vlanTCI, .ethernet) }
        }
        if !isIPv4 && !isARP {
            if mask[.ipv4Src] != 0 { return ("nw_src", .ipv4Src, .ipv4) }
            if mask[.ipv4Dst] != 0 { return ("nw_dst", .ipv4Dst, .ipv4) }
        }
        if !isIPv4 && !isIPv6 {
            if !isARP, mask[.nwProto] != 0 { return ("nw_proto", .nwProto, .ip) }
            if mask[.nwTOS] != 0 { return ("nw_tos", .nwTOS, .ip) }
            if mask[.nwTTL] != 0 { return ("nw_ttl", .nwTTL, .ip) }
            if mask[.nwFrag] != 0 { return ("ip_frag", .nwFrag, .ip) }
        }
        let hasPorts = isIPv4 && (isPort || proto == 1) || isIPv6 && (isPort || proto == 58)
        if !hasPorts {
            if mask[.tpSrc] != 0 { return ("tp_src", .tpSrc, .tcp) }
            if mask[.tpDst] != 0 { return ("tp_dst", .tpDst, .tcp) }
        }
        // Later fragments have no ports.
        if isPort, key[.nwFrag] & FragmentBits.later != 0 {
            if mask[.tpSrc] != 0 { return ("tp_src", .tpSrc, .tcp) }
            if mask[.tpDst] != 0 { return ("tp_dst", .tpDst, .tcp) }
            if mask[.tcpFlags] != 0 { return ("tcp_flags", .tcpFlags, .tcp) }
        }
        if mask[.tcpFlags] != 0, !((isIPv4 || isIPv6) && proto == 6) { return ("tcp_flags", .tcpFlags, .tcp) }
        if !isIPv6 {
            if mask.bits[wide: .ipv6Src] != 0 { return ("ipv6_src", .ipv6Src, .ipv6) }
            if mask.bits[wide: .ipv6Dst] != 0 { return ("ipv6_dst", .ipv6Dst, .ipv6) }
            if mask[.ipv6Label] != 0 { return ("ipv6_label", .ipv6Label, .ipv6) }
        }
        if let missing = discoveryWithoutPrerequisite(isARP: isARP, isICMPv6: isIPv6 && proto == 58) { return missing }
        if type != 0x8847, type != 0x8848, mask[.mpls0] | mask[.mpls1] | mask[.mpls2] != 0 {
            return ("mpls", .mpls0, .mpls)
        }
        return conntrackWithoutPrerequisite()
    }

    private func discoveryWithoutPrerequisite(
        isARP: Bool, isICMPv6: Bool
    ) -> Unfounded? {
        let isSolicit = isICMPv6 && key[.tpSrc] == 135
        let isAdvert = isICMPv6 && key[.tpSrc] == 136
        if !isARP, !isSolicit, mask[.arpSHA] != 0 {
            return isICMPv6 ? ("nd_sll", .arpSHA, .ndSolicit) : ("arp_sha", .arpSHA, .arp)
        }
        if !isARP, !isAdvert, mask[.arpTHA] != 0 {
            return isICMPv6 ? ("nd_tll", .arpTHA, .ndAdvert) : ("arp_tha", .arpTHA, .arp)
        }
        if !isSolicit, !isAdvert {
            if mask.bits[wide: .ndTarget] != 0 { return ("nd_target", .ndTarget, .nd) }
            if mask[.ndReserved] != 0 { return ("nd_reserved", .ndReserved, .nd) }
            if mask[.ndOptionsType] != 0 { return ("nd_options_type", .ndOptionsType, .nd) }
        }
        return nil
    }

    private func conntrackWithoutPrerequisite() -> Unfounded? {
        let fields: [6 of MatchField] = [.ctNwSrc, .ctNwDst, .ctIPv6Src, .ctIPv6Dst, .ctTpSrc, .ctTpDst]
        if mask.bits.words[22] | mask.bits.words[23] | mask.bits.words[24] | mask.bits.words[25] == 0,
            mask.bits.words[26] | mask.bits.words[27] | mask[.ctNwProto] == 0
        {
            return nil
        }
        if satisfies(.conntrack) { return nil }
        for i in 0..<6 where value(of: fields[i]).mask != 0 {
            return (fields[i].name, fields[i].layout?.slot ?? .ctNwProto, .conntrack)
        }
        return ("ct_nw_proto", .ctNwProto, .conntrack)
    }
}
