import Flow

/// A run of bits in the words of a key: a field or a part of one, with what has to be true of a packet for it to
/// have that field, and with the rules for writing it. Trivial, so that steps of actions can hold it.
struct FieldRun: Sendable {
    /// What writing the bits means beside changing them.
    enum Kind: UInt8, Sendable {
        /// Nothing: registers, addresses, ports.
        case plain
        /// Datapath metadata and registers: like `plain`, but no part of the packet's bytes.
        case metadata
        /// Any bits of the TCI of the outer tag.
        case vlanTCI
        /// VID without the CFI bit; a write makes a tag.
        case vlanVID
        /// Priority; a write makes a tag.
        case vlanPCP
        /// The TOS byte as the field `nw_tos`: its lower two bits read as zero and stay as they are.
        case tos
        /// Bits of the outermost label stack entry.
        case mpls
        /// The ingress port as a number of 16 bits, whose reserved values start at 0xff00.
        case inPort16
        /// The ingress port, 32 bits.
        case inPort
        /// A field that this switch does not keep: reads as zero, writes go nowhere.
        case absent
    }

    /// Of a field that spans two words, the first (the high half).
    var word: UInt8
    /// Distance of the lowest bit from bit 0 of the word, or of the two words taken as 128 bits.
    var shift: UInt8
    var width: UInt8
    var isWide: Bool
    var kind: Kind
    var requirement: Requirement

    static var none: FieldRun {
        FieldRun(word: 0, shift: 0, width: 0, isWide: false, kind: .absent, requirement: .none)
    }

    init(word: UInt8, shift: UInt8, width: UInt8, isWide: Bool, kind: Kind, requirement: Requirement) {
        self.word = word
        self.shift = shift
        self.width = width
        self.isWide = isWide
        self.kind = kind
        self.requirement = requirement
    }

    /// The whole field.
    init(_ field: MatchField) {
        guard let slot = field.translationSlot else {
            self = .none
            return
        }
        word = UInt8(slot.word)
        shift = UInt8(slot.shift)
        width = UInt8(slot.width)
        isWide = slot.width > 64
        kind = Kind(field)
        requirement = Requirement(field)
    }

    init(_ subfield: Subfield) {
        self.init(subfield.field)
        guard subfield.offset >= 0, subfield.offset < Int(width) else {
            self = .none
            return
        }
        width = UInt8(clamping: min(subfield.width, Int(width) - subfield.offset))
        shift &+= UInt8(subfield.offset)
    }
}

/// What makes a packet have a field: the prerequisites of ovs-fields(7).
enum Requirement: UInt8, Sendable {
    case none, vlan, mpls, arp, ipv4, ipv6, ipAny
    /// Layer 4 ports of whatever protocol (`mod_tp_src`).
    case ports
    case tcp, udp, sctp, icmpv4, icmpv6, neighborDiscovery, neighborSolicitation, neighborAdvertisement

    init(_ field: MatchField) {
        switch field {
        case .vlanPCP: self = .vlan
        case .mplsLabel, .mplsTC, .mplsBOS, .mplsTTL: self = .mpls
        case .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA: self = .arp
        case .ipv4Src, .ipv4Dst: self = .ipv4
        case .ipv6Src, .ipv6Dst, .ipv6Label: self = .ipv6
        case .nwProto, .nwTOS, .ipDSCP, .nwECN, .nwTTL, .ipFrag: self = .ipAny
        case .tcpSrc, .tcpDst, .tcpFlags: self = .tcp
        case .udpSrc, .udpDst: self = .udp
        case .sctpSrc, .sctpDst: self = .sctp
        case .icmpType, .icmpCode: self = .icmpv4
        case .icmpv6Type, .icmpv6Code: self = .icmpv6
        case .ndTarget, .ndReserved, .ndOptionsType: self = .neighborDiscovery
        case .ndSLL: self = .neighborSolicitation
        case .ndTLL: self = .neighborAdvertisement
        default: self = .none
        }
    }
}

extension FieldRun.Kind {
    init(_ field: MatchField) {
        switch field {
        case .vlanTCI: self = .vlanTCI
        case .vlanVID: self = .vlanTCI
        case .dlVLAN: self = .vlanVID
        case .dlVLANPCP, .vlanPCP: self = .vlanPCP
        case .mplsLabel, .mplsTC, .mplsBOS, .mplsTTL: self = .mpls
        case .nwTOS: self = .tos
        case .inPort: self = .inPort16
        case .inPortOXM: self = .inPort
        case .ethSrc, .ethDst, .ethType, .ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst, .ipv6Label, .nwProto, .ipDSCP,
            .nwECN, .nwTTL, .ipFrag, .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA, .tcpSrc, .tcpDst, .tcpFlags, .udpSrc,
            .udpDst, .sctpSrc, .sctpDst, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL,
            .ndReserved, .ndOptionsType:
            self = .plain
        default: self = .metadata
        }
    }
}

extension MatchField {
    /// Where actions find the field; nil if the key has no fixed place for it.
    var translationSlot: Slot? {
        switch self {
        case .dpHash: Slot.dpHash
        case .recircID: Slot.recircID
        case .packetType: Slot.packetType
        case .conjID: Slot.conjID
        case .tunID: Slot.tunID
        case .tunSrc: Slot.tunIPv4Src
        case .tunDst: Slot.tunIPv4Dst
        case .tunIPv6Src: Slot.tunIPv6Src
        case .tunIPv6Dst: Slot.tunIPv6Dst
        case .tunFlags: Slot.tunFlags
        case .tunTTL: Slot.tunTTL
        case .tunTOS: Slot.tunTOS
        case .tunGBPID: Slot.tunGBPID
        case .tunGBPFlags: Slot.tunGBPFlags
        case .tunERSPANVersion: Slot.tunERSPANVersion
        case .tunERSPANIndex: Slot.tunERSPANIndex
        case .tunERSPANDirection: Slot.tunERSPANDirection
        case .tunERSPANHardwareID: Slot.tunERSPANHardwareID
        case .tunGTPUFlags: Slot.tunGTPUFlags
        case .tunGTPUMessageType: Slot.tunGTPUMessageType
        case .tunMetadata: nil
        case .metadata: Slot.metadata
        case .inPort: Slot(0, 32, 16)
        case .inPortOXM: Slot.inPort
        case .skbPriority: Slot.skbPriority
        case .pktMark: Slot.pktMark
        case .ctState: Slot.ctState
        case .ctZone: Slot.ctZone
        case .ctMark: Slot.ctMark
        case .ctLabel: Slot.ctLabel
        case .ctNwProto: Slot.ctNwProto
        case .ctNwSrc: Slot.ctIPv4Src
        case .ctNwDst: Slot.ctIPv4Dst
        case .ctIPv6Src: Slot.ctIPv6Src
        case .ctIPv6Dst: Slot.ctIPv6Dst
        case .ctTpSrc: Slot.ctTpSrc
        case .ctTpDst: Slot.ctTpDst
        case .reg(let n): n < 16 ? Slot.reg(Int(n)) : nil
        case .xreg(let n): n < 8 ? Slot.xreg(Int(n)) : nil
        case .xxreg(let n): n < 4 ? Slot.xxreg(Int(n)) : nil
        case .actsetOutput: Slot.actionSetOutput
        case .ethSrc: Slot.ethSrc
        case .ethDst: Slot.ethDst
        case .ethType: Slot.ethType
        case .vlanTCI: Slot.vlanTCI
        case .dlVLAN: Slot(0, 0, 12)
        case .vlanVID: Slot(0, 0, 13)
        case .dlVLANPCP, .vlanPCP: Slot(0, 13, 3)
        case .mplsLabel: Slot(14, 44, 20)
        case .mplsTC: Slot(14, 41, 3)
        case .mplsBOS: Slot(14, 40, 1)
        case .mplsTTL: Slot(14, 32, 8)
        case .ipv4Src: Slot.ipv4Src
        case .ipv4Dst: Slot.ipv4Dst
        case .ipv6Src: Slot.ipv6Src
        case .ipv6Dst: Slot.ipv6Dst
        case .ipv6Label: Slot(5, 0, 20)
        case .nwProto: Slot.nwProto
        case .nwTOS: Slot.nwTOS
        case .ipDSCP: Slot(2, 10, 6)
        case .nwECN: Slot(2, 8, 2)
        case .nwTTL: Slot.nwTTL
        case .ipFrag: Slot.nwFrag
        case .arpOp: Slot.nwProto
        case .arpSPA: Slot.ipv4Src
        case .arpTPA: Slot.ipv4Dst
        case .arpSHA, .ndSLL: Slot.arpSHA
        case .arpTHA, .ndTLL: Slot.arpTHA
        case .tcpSrc, .udpSrc, .sctpSrc: Slot.tpSrc
        case .tcpDst, .udpDst, .sctpDst: Slot.tpDst
        case .tcpFlags: Slot(1, 0, 12)
        case .icmpType, .icmpv6Type: Slot(4, 32, 8)
        case .icmpCode, .icmpv6Code: Slot(4, 16, 8)
        case .ndTarget: Slot.ndTarget
        case .ndReserved: Slot.ndReserved
        case .ndOptionsType: Slot.ndOptionsType
        }
    }
}
