import Base

extension Match {
    /// Requires `value` in those bits of a field that `mask` selects, in place of what was required of it before.
    /// A mask without a bit removes the requirement. Follows OVS's match_set_... functions.
    public mutating func set(_ field: MatchField, _ value: UInt128, mask: UInt128 = ~0) {
        guard let layout = field.layout else { return }
        let isExact = mask & layout.wireMask == layout.wireMask
        switch field {
        case .vlanTCI, .dlVLAN, .vlanVID, .dlVLANPCP, .vlanPCP:
            setVLAN(field, UInt64(truncatingIfNeeded: value), UInt64(truncatingIfNeeded: mask), isExact)
            return
        case .inPort:
            set(.inPortOXM, UInt128(PortNumber(openFlow10: UInt16(truncatingIfNeeded: value)).rawValue))
            return
        default: break
        }
        let shift = UInt128(truncatingIfNeeded: layout.shift)
        let all = layout.stored &<< shift
        let chosen = isExact ? all : (mask & layout.stored) &<< shift
        key[wide: layout.slot] = (key[wide: layout.slot] & ~all) | ((value &<< shift) & chosen)
        replaceMask(layout.slot, clearing: all, adding: chosen)
        // Whoever asks for bits of an option, if only for none, asks for the option.
        key[.tunMetadataPresent] |= field.presence
        self.mask[.tunMetadataPresent] |= field.presence
    }

    private mutating func replaceMask(_ slot: Slot, clearing: UInt128, adding: UInt128) {
        mask.bits[wide: slot] = (mask.bits[wide: slot] & ~clearing) | adding
    }

    private mutating func setVLAN(_ field: MatchField, _ value: UInt64, _ fieldMask: UInt64, _ isExact: Bool) {
        var tci = key[.vlanTCI]
        var tciMask = mask[.vlanTCI]
        if fieldMask == 0 {
            clearVLAN(field, &tci, &tciMask)
        } else {
            switch field {
            case .dlVLAN where value & 0xffff == 0xffff:
                tci = 0
                tciMask = 0xffff
            case .dlVLAN:
                tci = (tci & ~0xfff) | 0x1000 | (value & 0xfff)
                tciMask |= 0x1fff
            case .vlanVID:
                let bits = fieldMask & 0x1fff
                tci = (tci & ~0x1fff) | (value & bits)
                tciMask = (tciMask & 0xe000) | bits
            case .dlVLANPCP, .vlanPCP:
                tci = (tci & ~0xe000) | (value & 7) << 13 | 0x1000
                tciMask |= 0xf000
            default:
                tci = value & fieldMask & 0xffff
                tciMask = fieldMask & 0xffff
            }
        }
        key[.vlanTCI] = tci & tciMask
        mask[.vlanTCI] = tciMask
    }

    /// A wildcarded VLAN number keeps a priority that was asked for, and the other way round.
    private func clearVLAN(_ field: MatchField, _ tci: inout UInt64, _ tciMask: inout UInt64) {
        switch field {
        case .dlVLAN, .vlanVID: tciMask &= tciMask & 0xe000 != 0 ? 0xf000 : 0
        case .dlVLANPCP, .vlanPCP: tciMask &= tciMask & 0x0fff != 0 ? 0x1fff : 0
        default: tciMask = 0
        }
        tci &= tciMask
    }

    /// Value and mask of a field as a match has them.
    public func value(of field: MatchField) -> (value: UInt128, mask: UInt128) {
        guard let layout = field.layout else { return (0, 0) }
        let shift = UInt128(truncatingIfNeeded: layout.shift)
        return (
            (key[wide: layout.slot] &>> shift) & layout.stored, (mask.bits[wide: layout.slot] &>> shift) & layout.stored
        )
    }

    /// Whether a match says enough for a field to mean something: prerequisites hold for every packet it takes.
    public func satisfies(_ prerequisite: FieldPrerequisite) -> Bool {
        guard prerequisite == .conntrack else { return key.satisfies(prerequisite) }
        // A state that only connections have, or tracked and explicitly not invalid.
        let state = key[.ctState]
        return state & 0xcf != 0 || state & 0x20 != 0 && mask[.ctState] & 0x10 != 0 && state & 0x10 == 0
    }

    /// The match as a rule of that OpenFlow version carries it. OpenFlow 1.0 and its Nicira extension know the whole
    /// TCI (the plain form only "no VLAN"); OpenFlow 1.2 and later know VLAN number and priority apart, and a priority
    /// only where there is a tag.
    public func encoded(for version: OpenFlowVersion, isPlainOpenFlow10: Bool = false) -> Match {
        let tciMask = mask[.vlanTCI]
        if tciMask == 0 { return self }
        var result = self
        let tci = key[.vlanTCI]
        if version < .openFlow12 {
            if isPlainOpenFlow10, tciMask & 0x1000 != 0, tci & 0x1000 == 0 {
                result.key[.vlanTCI] = 0
                result.mask[.vlanTCI] = 0xffff
            }
            return result
        }
        let vid = tci & 0x1fff
        var bits = tciMask & 0x1fff
        var kept = vid
        if vid & 0x1000 != 0, tciMask & 0xe000 != 0 {
            bits |= 0xf000
            kept |= tci & 0xe000
        }
        result.key[.vlanTCI] = kept
        result.mask[.vlanTCI] = bits
        return result
    }
}
