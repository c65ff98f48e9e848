/// The names of a field: what ovs-ofctl reads and prints.
struct FieldNames {
    var name: String
    var alias: String?
    /// Nicira's name, then OpenFlow's; the first is the one printed in subfields.
    var nxm: String?
    var oxm: String?

    init(_ name: String, _ alias: String? = nil, nxm: String? = nil, oxm: String? = nil) {
        self.name = name
        self.alias = alias
        self.nxm = nxm
        self.oxm = oxm
    }
}

extension MatchField {
    /// As printed by itself, in matches and `set_field`.
    public var name: String { names.name }
    /// As printed in `NXM_NX_REG0[0..7]`.
    public var subfieldName: String {
        let names = names
        return names.nxm ?? names.oxm ?? names.name
    }

    var names: FieldNames {
        switch self {
        case .dpHash: FieldNames("dp_hash", nxm: "NXM_NX_DP_HASH", oxm: "NXOXM_ET_DP_HASH")
        case .recircID: FieldNames("recirc_id", nxm: "NXM_NX_RECIRC_ID")
        case .packetType: FieldNames("packet_type", oxm: "OXM_OF_PACKET_TYPE")
        case .conjID: FieldNames("conj_id", nxm: "NXM_NX_CONJ_ID")
        case .metadata: FieldNames("metadata", oxm: "OXM_OF_METADATA")
        case .inPort: FieldNames("in_port", nxm: "NXM_OF_IN_PORT")
        case .inPortOXM: FieldNames("in_port_oxm", oxm: "OXM_OF_IN_PORT")
        case .skbPriority: FieldNames("skb_priority")
        case .pktMark: FieldNames("pkt_mark", nxm: "NXM_NX_PKT_MARK")
        case .reg(let n): FieldNames("reg\(n)", nxm: "NXM_NX_REG\(n)")
        case .xreg(let n): FieldNames("xreg\(n)", oxm: "OXM_OF_PKT_REG\(n)")
        case .xxreg(let n): FieldNames("xxreg\(n)", nxm: "NXM_NX_XXREG\(n)")
        case .actsetOutput: FieldNames("actset_output", oxm: "ONFOXM_ET_ACTSET_OUTPUT")
        case .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .tunFlags, .tunTTL, .tunTOS, .tunGBPID, .tunGBPFlags,
            .tunERSPANVersion, .tunERSPANIndex, .tunERSPANDirection, .tunERSPANHardwareID, .tunGTPUFlags,
            .tunGTPUMessageType, .tunMetadata:
            tunnelNames
        case .ctState, .ctZone, .ctMark, .ctLabel, .ctNwProto, .ctNwSrc, .ctNwDst, .ctIPv6Src, .ctIPv6Dst, .ctTpSrc,
            .ctTpDst:
            conntrackNames
        default: frameNames
        }
    }

    private var tunnelNames: FieldNames {
        switch self {
        case .tunSrc: FieldNames("tun_src", nxm: "NXM_NX_TUN_IPV4_SRC")
        case .tunDst: FieldNames("tun_dst", nxm: "NXM_NX_TUN_IPV4_DST")
        case .tunIPv6Src: FieldNames("tun_ipv6_src", nxm: "NXM_NX_TUN_IPV6_SRC")
        case .tunIPv6Dst: FieldNames("tun_ipv6_dst", nxm: "NXM_NX_TUN_IPV6_DST")
        case .tunFlags: FieldNames("tun_flags", nxm: "NXM_NX_TUN_FLAGS")
        case .tunTTL: FieldNames("tun_ttl")
        case .tunTOS: FieldNames("tun_tos")
        case .tunGBPID: FieldNames("tun_gbp_id", nxm: "NXM_NX_TUN_GBP_ID")
        case .tunGBPFlags: FieldNames("tun_gbp_flags", nxm: "NXM_NX_TUN_GBP_FLAGS")
        case .tunERSPANVersion: FieldNames("tun_erspan_ver", oxm: "NXOXM_ET_ERSPAN_VER")
        case .tunERSPANIndex: FieldNames("tun_erspan_idx", oxm: "NXOXM_ET_ERSPAN_IDX")
        case .tunERSPANDirection: FieldNames("tun_erspan_dir", oxm: "NXOXM_ET_ERSPAN_DIR")
        case .tunERSPANHardwareID: FieldNames("tun_erspan_hwid", oxm: "NXOXM_ET_ERSPAN_HWID")
        case .tunGTPUFlags: FieldNames("tun_gtpu_flags", oxm: "NXOXM_ET_GTPU_FLAGS")
        case .tunGTPUMessageType: FieldNames("tun_gtpu_msgtype", oxm: "NXOXM_ET_GTPU_MSGTYPE")
        case .tunMetadata(let field):
            FieldNames("tun_metadata\(field.number)", nxm: "NXM_NX_TUN_METADATA\(field.number)")
        default: FieldNames("tun_id", "tunnel_id", nxm: "NXM_NX_TUN_ID", oxm: "OXM_OF_TUNNEL_ID")
        }
    }

    private var conntrackNames: FieldNames {
        switch self {
        case .ctZone: FieldNames("ct_zone", nxm: "NXM_NX_CT_ZONE")
        case .ctMark: FieldNames("ct_mark", nxm: "NXM_NX_CT_MARK")
        case .ctLabel: FieldNames("ct_label", nxm: "NXM_NX_CT_LABEL")
        case .ctNwProto: FieldNames("ct_nw_proto", nxm: "NXM_NX_CT_NW_PROTO")
        case .ctNwSrc: FieldNames("ct_nw_src", nxm: "NXM_NX_CT_NW_SRC")
        case .ctNwDst: FieldNames("ct_nw_dst", nxm: "NXM_NX_CT_NW_DST")
        case .ctIPv6Src: FieldNames("ct_ipv6_src", nxm: "NXM_NX_CT_IPV6_SRC")
        case .ctIPv6Dst: FieldNames("ct_ipv6_dst", nxm: "NXM_NX_CT_IPV6_DST")
        case .ctTpSrc: FieldNames("ct_tp_src", nxm: "NXM_NX_CT_TP_SRC")
        case .ctTpDst: FieldNames("ct_tp_dst", nxm: "NXM_NX_CT_TP_DST")
        default: FieldNames("ct_state", nxm: "NXM_NX_CT_STATE")
        }
    }

    private var frameNames: FieldNames {
        switch self {
        case .ethSrc: FieldNames("eth_src", "dl_src", nxm: "NXM_OF_ETH_SRC", oxm: "OXM_OF_ETH_SRC")
        case .ethDst: FieldNames("eth_dst", "dl_dst", nxm: "NXM_OF_ETH_DST", oxm: "OXM_OF_ETH_DST")
        case .ethType: FieldNames("eth_type", "dl_type", nxm: "NXM_OF_ETH_TYPE", oxm: "OXM_OF_ETH_TYPE")
        case .vlanTCI: FieldNames("vlan_tci", nxm: "NXM_OF_VLAN_TCI")
        case .dlVLAN: FieldNames("dl_vlan")
        case .vlanVID: FieldNames("vlan_vid", oxm: "OXM_OF_VLAN_VID")
        case .dlVLANPCP: FieldNames("dl_vlan_pcp")
        case .vlanPCP: FieldNames("vlan_pcp", oxm: "OXM_OF_VLAN_PCP")
        case .mplsLabel: FieldNames("mpls_label", oxm: "OXM_OF_MPLS_LABEL")
        case .mplsTC: FieldNames("mpls_tc", oxm: "OXM_OF_MPLS_TC")
        case .mplsBOS: FieldNames("mpls_bos", oxm: "OXM_OF_MPLS_BOS")
        case .mplsTTL: FieldNames("mpls_ttl", nxm: "NXM_NX_MPLS_TTL")
        case .arpOp: FieldNames("arp_op", nxm: "NXM_OF_ARP_OP", oxm: "OXM_OF_ARP_OP")
        case .arpSPA: FieldNames("arp_spa", nxm: "NXM_OF_ARP_SPA", oxm: "OXM_OF_ARP_SPA")
        case .arpTPA: FieldNames("arp_tpa", nxm: "NXM_OF_ARP_TPA", oxm: "OXM_OF_ARP_TPA")
        case .arpSHA: FieldNames("arp_sha", nxm: "NXM_NX_ARP_SHA", oxm: "OXM_OF_ARP_SHA")
        case .arpTHA: FieldNames("arp_tha", nxm: "NXM_NX_ARP_THA", oxm: "OXM_OF_ARP_THA")
        case .ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst, .ipv6Label, .nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .ipFrag:
            networkNames
        default: transportNames
        }
    }

    private var networkNames: FieldNames {
        switch self {
        case .ipv4Src: FieldNames("ip_src", "nw_src", nxm: "NXM_OF_IP_SRC", oxm: "OXM_OF_IPV4_SRC")
        case .ipv4Dst: FieldNames("ip_dst", "nw_dst", nxm: "NXM_OF_IP_DST", oxm: "OXM_OF_IPV4_DST")
        case .ipv6Src: FieldNames("ipv6_src", nxm: "NXM_NX_IPV6_SRC", oxm: "OXM_OF_IPV6_SRC")
        case .ipv6Dst: FieldNames("ipv6_dst", nxm: "NXM_NX_IPV6_DST", oxm: "OXM_OF_IPV6_DST")
        case .ipv6Label: FieldNames("ipv6_label", nxm: "NXM_NX_IPV6_LABEL", oxm: "OXM_OF_IPV6_FLABEL")
        case .nwTOS: FieldNames("nw_tos", nxm: "NXM_OF_IP_TOS")
        case .ipDSCP: FieldNames("ip_dscp", oxm: "OXM_OF_IP_DSCP")
        case .nwECN: FieldNames("nw_ecn", "ip_ecn", nxm: "NXM_NX_IP_ECN", oxm: "OXM_OF_IP_ECN")
        case .nwTTL: FieldNames("nw_ttl", nxm: "NXM_NX_IP_TTL")
        case .ipFrag: FieldNames("ip_frag", "nw_frag", nxm: "NXM_NX_IP_FRAG")
        default: FieldNames("nw_proto", "ip_proto", nxm: "NXM_OF_IP_PROTO", oxm: "OXM_OF_IP_PROTO")
        }
    }

    private var transportNames: FieldNames {
        switch self {
        case .tcpDst: FieldNames("tcp_dst", "tp_dst", nxm: "NXM_OF_TCP_DST", oxm: "OXM_OF_TCP_DST")
        case .tcpFlags: FieldNames("tcp_flags", nxm: "NXM_NX_TCP_FLAGS", oxm: "ONFOXM_ET_TCP_FLAGS")
        case .udpSrc: FieldNames("udp_src", nxm: "NXM_OF_UDP_SRC", oxm: "OXM_OF_UDP_SRC")
        case .udpDst: FieldNames("udp_dst", nxm: "NXM_OF_UDP_DST", oxm: "OXM_OF_UDP_DST")
        case .sctpSrc: FieldNames("sctp_src", oxm: "OXM_OF_SCTP_SRC")
        case .sctpDst: FieldNames("sctp_dst", oxm: "OXM_OF_SCTP_DST")
        case .icmpType: FieldNames("icmp_type", nxm: "NXM_OF_ICMP_TYPE", oxm: "OXM_OF_ICMPV4_TYPE")
        case .icmpCode: FieldNames("icmp_code", nxm: "NXM_OF_ICMP_CODE", oxm: "OXM_OF_ICMPV4_CODE")
        case .icmpv6Type: FieldNames("icmpv6_type", nxm: "NXM_NX_ICMPV6_TYPE", oxm: "OXM_OF_ICMPV6_TYPE")
        case .icmpv6Code: FieldNames("icmpv6_code", nxm: "NXM_NX_ICMPV6_CODE", oxm: "OXM_OF_ICMPV6_CODE")
        case .ndTarget: FieldNames("nd_target", nxm: "NXM_NX_ND_TARGET", oxm: "OXM_OF_IPV6_ND_TARGET")
        case .ndSLL: FieldNames("nd_sll", nxm: "NXM_NX_ND_SLL", oxm: "OXM_OF_IPV6_ND_SLL")
        case .ndTLL: FieldNames("nd_tll", nxm: "NXM_NX_ND_TLL", oxm: "OXM_OF_IPV6_ND_TLL")
        case .ndReserved: FieldNames("nd_reserved", oxm: "ERICOXM_OF_ICMPV6_ND_RESERVED")
        case .ndOptionsType: FieldNames("nd_options_type", oxm: "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE")
        default: FieldNames("tcp_src", "tp_src", nxm: "NXM_OF_TCP_SRC", oxm: "OXM_OF_TCP_SRC")
        }
    }

    /// Every field, in declaration order.
    public static let all: [MatchField] = {
        var list: [MatchField] = [.dpHash, .recircID, .packetType, .conjID]
        list += [
            .tunID, .tunSrc, .tunDst, .tunIPv6Src, .tunIPv6Dst, .tunFlags, .tunTTL, .tunTOS, .tunGBPID, .tunGBPFlags,
        ]
        list += [.tunERSPANVersion, .tunERSPANIndex, .tunERSPANDirection, .tunERSPANHardwareID]
        list += [.tunGTPUFlags, .tunGTPUMessageType]
        list += (0..<64).map { .tunMetadata(TunnelMetadataField(UInt8($0))) }
        list += [
            .metadata, .inPort, .inPortOXM, .skbPriority, .pktMark, .ctState, .ctZone, .ctMark, .ctLabel, .ctNwProto,
        ]
        list += [.ctNwSrc, .ctNwDst, .ctIPv6Src, .ctIPv6Dst, .ctTpSrc, .ctTpDst]
        list += (0..<16).map { .reg(UInt8($0)) }
        list += (0..<8).map { .xreg(UInt8($0)) }
        list += (0..<4).map { .xxreg(UInt8($0)) }
        list += [.actsetOutput, .ethSrc, .ethDst, .ethType, .vlanTCI, .dlVLAN, .vlanVID, .dlVLANPCP, .vlanPCP]
        list += [.mplsLabel, .mplsTC, .mplsBOS, .mplsTTL, .ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst, .ipv6Label]
        list += [.nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .ipFrag, .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA]
        list += [.tcpSrc, .tcpDst, .tcpFlags, .udpSrc, .udpDst, .sctpSrc, .sctpDst, .icmpType, .icmpCode]
        list += [.icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL, .ndReserved, .ndOptionsType]
        return list
    }()

    /// `ip_src` and `nw_src`.
    static let byName = NameTable<MatchField>(
        all.flatMap { field in
            let names = field.names
            return [(names.name, field)] + (names.alias.map { [($0, field)] } ?? [])
        })

    /// `ip_src`, `nw_src`, `NXM_OF_IP_SRC` and `OXM_OF_IPV4_SRC`.
    static let bySubfieldName = NameTable<MatchField>(
        all.flatMap { field in
            let names = field.names
            return [names.name, names.alias, names.nxm, names.oxm].compactMap { $0 }.map { ($0, field) }
        })

    /// The field of a name, an alias included.
    public init?(name: String) {
        var name = name
        let found = name.withUTF8 { bytes in MatchField.byName.find(Text(bytes)) }
        guard let found else { return nil }
        self = found
    }
}
