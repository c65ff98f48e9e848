import Base

// Reading, writing and marking fields of keys and masks by name: what actions and the slow path do.
// A `switch` and integer work; nothing here allocates.

extension FlowKey {
    /// The whole field; zero for a `tun_metadata` field without a place.
    public func value(of field: MatchField) -> UInt128 {
        guard let layout = field.layout else { return 0 }
        return (self[wide: layout.slot] &>> UInt128(truncatingIfNeeded: layout.shift)) & layout.stored & layout.wireMask
    }

    /// The bits of a subfield, right-aligned.
    public func value(of subfield: Subfield) -> UInt128 {
        (value(of: subfield.field) &>> UInt128(truncatingIfNeeded: subfield.offset)) & FieldLayout.ones(subfield.width)
    }

    /// Writes the bits of a field that `mask` selects. What OVS does along with it happens too: a VLAN number or
    /// priority makes a tag present, and a tag without a TPID gets 0x8100.
    public mutating func set(_ field: MatchField, _ value: UInt128, mask: UInt128 = ~0) {
        guard let layout = field.layout else { return }
        var value = value
        switch field {
        case .inPort:
            // 16-bit numbers of OpenFlow 1.0: the reserved ones are the last of the 32-bit space.
            let whole = (self.value(of: field) & ~mask) | (value & mask)
            self[.inPort] = UInt64(PortNumber(openFlow10: UInt16(truncatingIfNeeded: whole)).rawValue)
            return
        case .dlVLAN where mask & 0xffff == 0xffff && value == 0xffff:
            self[.vlanTCI] = 0
            return
        case .dlVLAN, .dlVLANPCP, .vlanPCP:
            self[.vlanTCI] |= 0x1000
        case .vlanVID:
            value &= 0x1fff
        default: break
        }
        let bits = (mask & layout.stored & layout.wireMask) &<< UInt128(truncatingIfNeeded: layout.shift)
        let old = self[wide: layout.slot]
        self[wide: layout.slot] = (old & ~bits) | ((value &<< UInt128(truncatingIfNeeded: layout.shift)) & bits)
        self[.tunMetadataPresent] |= field.presence
        if layout.slot == .vlanTCI, self[.vlanTCI] != 0, self[.vlanTPID] == 0 { self[.vlanTPID] = 0x8100 }
    }

    /// Writes the bits of a subfield; `value` is right-aligned.
    public mutating func set(_ subfield: Subfield, _ value: UInt128) {
        let offset = UInt128(truncatingIfNeeded: subfield.offset)
        set(subfield.field, value &<< offset, mask: FieldLayout.ones(subfield.width) &<< offset)
    }

    /// Ethernet type as the prerequisites see it: for packets that are not Ethernet, what their packet type says.
    @inlinable public var effectiveEthType: UInt64 {
        let packetType = self[.packetType]
        if packetType == 0 { return self[.ethType] }
        return packetType &>> 16 == 1 ? packetType & 0xffff : 0
    }

    /// Whether a field means anything in this packet.
    public func satisfies(_ prerequisite: FieldPrerequisite) -> Bool {
        let type = effectiveEthType
        let isIP = type == 0x0800 || type == 0x86dd
        let isWhole = self[.nwFrag] & FragmentBits.later == 0
        switch prerequisite {
        case .none: return true
        case .ethernet: return self[.packetType] == 0
        case .vlan: return self[.packetType] == 0 && self[.vlanTCI] & 0x1000 != 0
        case .arp: return type == 0x0806 || type == 0x8035
        case .ipv4: return type == 0x0800
        case .ipv6: return type == 0x86dd
        case .ip: return isIP
        case .mpls: return type == 0x8847 || type == 0x8848
        case .conntrack:
            // A packet that belongs to a connection has one of new, est and rpl.
            return self[.ctState] & 0x0b != 0
        case .tcp: return isIP && self[.nwProto] == 6 && isWhole
        case .udp: return isIP && self[.nwProto] == 17 && isWhole
        case .sctp: return isIP && self[.nwProto] == 132 && isWhole
        case .icmp: return type == 0x0800 && self[.nwProto] == 1
        case .icmpv6: return type == 0x86dd && self[.nwProto] == 58
        case .nd, .ndSolicit, .ndAdvert:
            let icmpType = self[.tpSrc]
            guard type == 0x86dd, self[.nwProto] == 58, self[.tpDst] == 0 else { return false }
            switch prerequisite {
            case .ndSolicit: return icmpType == 135
            case .ndAdvert: return icmpType == 136
            default: return icmpType == 135 || icmpType == 136
            }
        }
    }
}

extension FlowMask {
    /// Marks those bits of a field as looked at that `mask` selects.
    public mutating func mark(_ field: MatchField, mask: UInt128 = ~0) {
        guard let layout = field.layout else { return }
        self[.tunMetadataPresent] |= field.presence
        if mask & layout.wireMask == layout.wireMask, layout.shift == 0,
            layout.stored == FieldLayout.ones(layout.slot.width)
        {
            setExact(layout.slot)
            return
        }
        var chosen = mask & layout.stored
        if mask & layout.wireMask == layout.wireMask { chosen = layout.stored }
        bits[wide: layout.slot] |= chosen &<< UInt128(truncatingIfNeeded: layout.shift)
        switch field {
        case .inPort: setExact(.inPort)
        case .dlVLAN, .vlanVID, .dlVLANPCP, .vlanPCP: bits[.vlanTCI] |= 0x1000
        default: break
        }
    }

    public mutating func mark(_ subfield: Subfield) {
        mark(
            subfield.field,
            mask: FieldLayout.ones(subfield.width) &<< UInt128(truncatingIfNeeded: subfield.offset))
    }

    /// Marks what `FlowKey.satisfies` looks at.
    public mutating func markPrerequisite(_ prerequisite: FieldPrerequisite) {
        switch prerequisite {
        case .none: return
        case .ethernet: setExact(.packetType)
        case .vlan:
            setExact(.packetType)
            bits[.vlanTCI] |= 0x1000
        case .arp, .ipv4, .ipv6, .ip, .mpls:
            setExact(.packetType)
            setExact(.ethType)
        case .conntrack:
            bits[.ctState] |= 0x0b
        case .tcp, .udp, .sctp:
            markPrerequisite(.ip)
            setExact(.nwProto)
            bits[.nwFrag] |= FragmentBits.later
        case .icmp, .icmpv6:
            markPrerequisite(.ip)
            setExact(.nwProto)
        case .nd, .ndSolicit, .ndAdvert:
            markPrerequisite(.icmpv6)
            setExact(.tpSrc)
            setExact(.tpDst)
        }
    }
}

extension PortNumber {
    /// The 16-bit numbers of OpenFlow 1.0, whose reserved ones begin at 0xff00.
    public init(openFlow10 number: UInt16) {
        self.init(number >= 0xff00 ? 0xffff_0000 | UInt32(number) : UInt32(number))
    }
}
