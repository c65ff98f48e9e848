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
        /// An option of a tunnel header: whoever writes to it makes it present.
        case tunnelOption
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
    /// Of a tunnel option, its number.
    var option: UInt8 = 0

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
        guard let layout = field.layout else {
            self = .none
            return
        }
        let slot = layout.slot
        // What is kept of the field may have fewer bits than it has on the wire (`arp_op`), or more than a subfield can
        // name (`vlan_vid` has the bit that says that there is a tag).
        let kept = field == .vlanVID ? 13 : min(layout.width, slot.width - layout.shift)
        word = UInt8(slot.word)
        shift = UInt8(slot.shift + layout.shift)
        width = UInt8(kept)
        isWide = slot.width > 64
        kind = Kind(field)
        requirement = Requirement(field.prerequisite)
        if case .tunMetadata(let option) = field { self.option = option.number }
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

    init(_ prerequisite: FieldPrerequisite) {
        self =
            switch prerequisite {
            // Nothing else comes in, and untracked packets have zero in conntrack fields.
            case .none, .ethernet, .conntrack: .none
            case .vlan: .vlan
            case .mpls: .mpls
            case .arp: .arp
            case .ipv4: .ipv4
            case .ipv6: .ipv6
            case .ip: .ipAny
            case .tcp: .tcp
            case .udp: .udp
            case .sctp: .sctp
            case .icmp: .icmpv4
            case .icmpv6: .icmpv6
            case .nd: .neighborDiscovery
            case .ndSolicit: .neighborSolicitation
            case .ndAdvert: .neighborAdvertisement
            }
    }
}

extension FieldRun {
    /// Of a tunnel option, the bit that says whether it is there.
    var presence: UInt64 { kind == .tunnelOption ? 1 &<< UInt64(option & 63) : 0 }
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
        case .tunMetadata: self = .tunnelOption
        case .ethSrc, .ethDst, .ethType, .ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst, .ipv6Label, .nwProto, .ipDSCP,
            .nwECN, .nwTTL, .ipFrag, .arpOp, .arpSPA, .arpTPA, .arpSHA, .arpTHA, .tcpSrc, .tcpDst, .tcpFlags, .udpSrc,
            .udpDst, .sctpSrc, .sctpDst, .icmpType, .icmpCode, .icmpv6Type, .icmpv6Code, .ndTarget, .ndSLL, .ndTLL,
            .ndReserved, .ndOptionsType:
            self = .plain
        default: self = .metadata
        }
    }
}
