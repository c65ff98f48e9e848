/// What must hold of a packet (or be said by a match) before a field means anything: ovs-fields(7), "Prerequisites".
public enum FieldPrerequisite: Sendable {
    case none, ethernet, vlan, arp, ipv4, ipv6, ip, mpls, conntrack
    case tcp, udp, sctp, icmp, icmpv6, nd, ndSolicit, ndAdvert

    /// How a user can fulfil it.
    var explanation: String {
        switch self {
        case .none: "nothing"
        case .ethernet: "an Ethernet packet"
        case .vlan: "a VLAN tag (vlan_vid or vlan_tci with bit 12)"
        case .arp: "arp or rarp"
        case .ipv4: "ip"
        case .ipv6: "ipv6"
        case .ip: "ip or ipv6"
        case .mpls: "mpls or mplsm"
        case .conntrack: "ct_state with a tracked state, such as +trk+est"
        case .tcp: "tcp or tcp6 (for tp_src and tp_dst also udp or sctp) and no later fragments"
        case .udp: "udp or udp6"
        case .sctp: "sctp or sctp6"
        case .icmp: "icmp"
        case .icmpv6: "icmp6"
        case .nd: "icmp6 with icmp_type=135 or 136"
        case .ndSolicit: "icmp6 with icmp_type=135"
        case .ndAdvert: "icmp6 with icmp_type=136"
        }
    }
}

/// How values of a field are written.
public enum FieldFormat: Sendable {
    case decimal, hexadecimal, ethernet, ipv4, ipv6, port, fragment, tcpFlags, ctState, tunnelFlags, packetType
}

/// Which masks a field takes in an OpenFlow 1.0 match without Nicira extensions.
enum OpenFlow10Match: Sendable { case none, exact, prefix }

extension MatchField {
    public var prerequisite: FieldPrerequisite {
        switch self {
        case .ctNwProto, .ctNwSrc, .ctNwDst, .ctIPv6Src, .ctIPv6Dst, .ctTpSrc, .ctTpDst: .conntrack
        case .ethSrc, .ethDst, .ethType, .vlanTCI, .dlVLAN, .vlanVID, .dlVLANPCP: .ethernet
        case .vlanPCP: .vlan
        case .mplsLabel, .mplsTC, .mplsBOS, .mplsTTL: .mpls
        case .ipv4Src, .ipv4Dst: .ipv4
        case .ipv6Src, .ipv6Dst, .ipv6Label: .ipv6
        case .nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .ipFrag: .ip
        case .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA: .arp
        case .tcpSrc, .tcpDst, .tcpFlags: .tcp
        case .udpSrc, .udpDst: .udp
        case .sctpSrc, .sctpDst: .sctp
        case .icmpType, .icmpCode: .icmp
        case .icmpv6Type, .icmpv6Code: .icmpv6
        case .ndTarget, .ndReserved, .ndOptionsType: .nd
        case .ndSLL: .ndSolicit
        case .ndTLL: .ndAdvert
        default: .none
        }
    }

    /// Whether actions may change it.
    public var isWritable: Bool {
        switch self {
        case .dpHash, .recircID, .packetType, .conjID, .tunTTL, .tunTOS, .tunGTPUFlags, .tunGTPUMessageType,
            .actsetOutput, .skbPriority, .ctState, .ctZone, .ctNwProto, .ctNwSrc, .ctNwDst, .ctIPv6Src, .ctIPv6Dst,
            .ctTpSrc, .ctTpDst, .ethType, .mplsBOS, .nwProto, .ipFrag, .tcpFlags:
            false
        default: true
        }
    }

    /// Whether a match may give a mask.
    public var isMaskable: Bool {
        switch self {
        case .recircID, .packetType, .conjID, .tunTTL, .tunTOS, .inPort, .inPortOXM, .actsetOutput, .skbPriority,
            .ctZone, .ctNwProto, .ethType, .dlVLAN, .dlVLANPCP, .vlanPCP, .mplsLabel, .mplsTC, .mplsBOS, .mplsTTL,
            .nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .arpOp, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code,
            .ndReserved, .ndOptionsType:
            false
        default: true
        }
    }

    public var format: FieldFormat {
        switch self {
        case .packetType: .packetType
        case .tunFlags: .tunnelFlags
        case .tcpFlags: .tcpFlags
        case .ctState: .ctState
        case .ipFrag: .fragment
        case .inPort, .inPortOXM, .actsetOutput: .port
        case .ethSrc, .ethDst, .arpSHA, .arpTHA, .ndSLL, .ndTLL: .ethernet
        case .tunSrc, .tunDst, .ctNwSrc, .ctNwDst, .ipv4Src, .ipv4Dst, .arpSPA, .arpTPA: .ipv4
        case .tunIPv6Src, .tunIPv6Dst, .ctIPv6Src, .ctIPv6Dst, .ipv6Src, .ipv6Dst, .ndTarget: .ipv6
        case .dpHash, .tunID, .tunGBPFlags, .tunERSPANIndex, .tunERSPANHardwareID, .tunGTPUFlags, .tunMetadata,
            .metadata, .skbPriority, .pktMark, .ctZone, .ctMark, .ctLabel, .reg, .xreg, .xxreg, .ethType, .vlanTCI,
            .ipv6Label:
            .hexadecimal
        default: .decimal
        }
    }

    /// Only `ct(exec(...))` may write these.
    public var isConntrackOnly: Bool {
        switch self {
        case .ctMark, .ctLabel: true
        default: false
        }
    }

    /// No OpenFlow version can carry a match on these.
    var isUnmatchable: Bool {
        switch self {
        case .tunTTL, .tunTOS, .skbPriority: true
        default: false
        }
    }

    var openFlow10: OpenFlow10Match {
        switch self {
        case .inPort, .ethSrc, .ethDst, .ethType, .vlanTCI, .dlVLAN, .vlanVID, .dlVLANPCP, .vlanPCP, .nwProto, .nwTOS,
            .ipDSCP, .arpOp, .tcpSrc, .tcpDst, .udpSrc, .udpDst, .icmpType, .icmpCode:
            .exact
        case .ipv4Src, .ipv4Dst, .arpSPA, .arpTPA: .prefix
        default: .none
        }
    }

    /// Named in OXM by an experimenter class, which the older Nicira actions cannot carry.
    var isExperimenter: Bool {
        switch self {
        case .dpHash, .tunERSPANVersion, .tunERSPANIndex, .tunERSPANDirection, .tunERSPANHardwareID, .tunGTPUFlags,
            .tunGTPUMessageType, .ndReserved, .ndOptionsType, .actsetOutput, .dlVLAN, .dlVLANPCP:
            self != .dpHash
        default: false
        }
    }
}
