import Base
import Flow

// How ports carry VLANs: what a tag on the wire means inside the bridge, and the other way round
// (ovs-vswitchd.conf.db(5), Port, "VLAN Configuration").

/// The VLANs of a packet during NORMAL processing, outermost first.
struct InternalTags: Equatable {
    struct Tag: Equatable {
        var tpid: UInt16 = 0
        var vid: UInt16 = 0
        /// In the upper three bits, as in a TCI.
        var pcp: UInt16 = 0
    }
    var outer = Tag()
    var inner = Tag()

    mutating func pop() {
        outer = inner
        inner = Tag()
    }

    mutating func push() {
        inner = outer
        outer = Tag()
    }
}

/// What a port's VLAN configuration says, without its sets.
struct PortVLANs {
    var mode: PortState.VLANMode
    var tag: UInt16
    var qinqEtherType: UInt16
    var priorityTags: PortState.PriorityTags
    var limitsCustomers: Bool
}

extension Translator {
    func vlans(of port: PortIndex) -> PortVLANs {
        state._withUnsafeGuaranteedRef { state in
            let i = Int(port.rawValue)
            return PortVLANs(
                mode: state.ports[i]?.vlanMode ?? .trunk, tag: state.ports[i]?.tag ?? 0,
                qinqEtherType: state.ports[i]?.qinqEtherType ?? EtherType.serviceVLAN,
                priorityTags: state.ports[i]?.priorityTags ?? .never,
                limitsCustomers: state.ports[i]?.vlanMode == .dot1qTunnel && state.ports[i]?.customerVLANs != nil)
        }
    }

    private func trunks(_ port: PortIndex, _ vlans: PortVLANs, _ vid: UInt16) -> Bool {
        switch vlans.mode {
        case .access: return false
        case .dot1qTunnel: return true
        case .nativeTagged, .nativeUntagged:
            // The native VLAN is carried whether or not `trunks` names it; what has no VLAN is in it.
            if vlans.tag != 0, vid == vlans.tag || vid == 0 { return vid != 0 }
        case .trunk: break
        }
        return state._withUnsafeGuaranteedRef { state in
            guard let trunks = state.ports[Int(port.rawValue)]?.trunks else { return true }
            return trunks.contains(vid)
        }
    }

    private func allowsCustomer(_ port: PortIndex, _ vlans: PortVLANs, _ vid: UInt16) -> Bool {
        guard vlans.limitsCustomers else { return true }
        return state._withUnsafeGuaranteedRef { state in
            state.ports[Int(port.rawValue)]?.customerVLANs?.contains(vid) ?? true
        }
    }

    /// Whether a frame with this VID on the wire (0 for none) may come in.
    func admits(_ port: PortIndex, _ vlans: PortVLANs, _ vid: UInt16) -> Bool {
        switch vlans.mode {
        case .access: vid == 0
        case .nativeTagged, .nativeUntagged: vid == 0 || trunks(port, vlans, vid)
        case .trunk: trunks(port, vlans, vid)
        case .dot1qTunnel: allowsCustomer(port, vlans, vid)
        }
    }

    /// Whether a port is a member of the VLAN of a packet.
    func includes(_ port: PortIndex, _ vlans: PortVLANs, _ tags: InternalTags) -> Bool {
        switch vlans.mode {
        case .access: tags.outer.vid == vlans.tag && tags.inner.vid == 0
        case .trunk, .nativeTagged, .nativeUntagged: trunks(port, vlans, tags.outer.vid)
        case .dot1qTunnel: tags.outer.vid == vlans.tag && allowsCustomer(port, vlans, tags.inner.vid)
        }
    }

    /// The tags of the flow. Reads VIDs, and that there are tags. Priorities go from in to out, and are read as a whole once a
    /// tag changes; but whether a tag with VID 0 is one at all is up to its priority.
    func internalTags() -> InternalTags {
        var tags = InternalTags()
        guard see(0, 0x1fff) & 0x1000 != 0 else { return tags }
        tags.outer = Self.tag(Self.tags(flow).outer)
        if tags.outer.vid == 0 { _ = see(0, 0xe000) }
        guard see(5, 0x1fff_0000_0000) & 0x1000_0000_0000 != 0 else { return tags }
        tags.inner = Self.tag(Self.tags(flow).inner)
        if tags.inner.vid == 0 { _ = see(5, 0xe000_0000_0000) }
        return tags
    }

    private static func tag(_ value: UInt32) -> InternalTags.Tag {
        InternalTags.Tag(
            tpid: UInt16(truncatingIfNeeded: value >> 16), vid: UInt16(truncatingIfNeeded: value & 0xfff),
            pcp: UInt16(truncatingIfNeeded: value & 0xe000))
    }

    /// What a frame that came in with `tags` is inside the bridge.
    func inward(_ tags: InternalTags, _ vlans: PortVLANs) -> InternalTags {
        var result = tags
        switch vlans.mode {
        case .trunk: break
        case .nativeTagged, .nativeUntagged:
            if tags.outer.vid != 0 { break }
            result.outer = InternalTags.Tag(
                tpid: tags.outer.tpid != 0 ? tags.outer.tpid : EtherType.vlan, vid: vlans.tag, pcp: tags.outer.pcp)
        case .access:
            result.outer = InternalTags.Tag(
                tpid: tags.outer.tpid != 0 ? tags.outer.tpid : EtherType.vlan, vid: vlans.tag, pcp: tags.outer.pcp)
            result.inner = InternalTags.Tag()
        case .dot1qTunnel:
            result.push()
            result.outer = InternalTags.Tag(tpid: vlans.qinqEtherType, vid: vlans.tag, pcp: 0)
        }
        return result
    }

    /// With which tags a packet leaves.
    func outward(_ tags: InternalTags, _ vlans: PortVLANs) -> InternalTags {
        var result = tags
        switch vlans.mode {
        case .trunk, .nativeTagged: break
        case .access: result = InternalTags()
        case .nativeUntagged: if tags.outer.vid == vlans.tag { result.pop() }
        case .dot1qTunnel: result.pop()
        }
        if vlans.priorityTags != .never { result.outer.pcp = UInt16(see(0, 0xe000)) }
        return result
    }

    /// Tags as they stand in a frame. One without VID and priority is left out, unless the port wants it.
    func wireTags(_ tags: InternalTags, _ priorityTags: PortState.PriorityTags) -> TagPair {
        TagPair(
            outer: Self.wireTag(tags.outer, priorityTags), inner: Self.wireTag(tags.inner, priorityTags))
    }

    /// Writes tags into the flow.
    func store(_ tags: InternalTags, _ priorityTags: PortState.PriorityTags) {
        let wanted = wireTags(tags, priorityTags)
        guard wanted != Self.tags(flow) else { return }
        touchTags()
        Self.store(wanted, flow)
        isPending = true
    }

    private static func wireTag(_ tag: InternalTags.Tag, _ priorityTags: PortState.PriorityTags) -> UInt32 {
        let tci = tag.vid | tag.pcp
        // The TPID of a tag that is not there does not count.
        guard tci != 0 || priorityTags == .always && tag.tpid != 0 else { return 0 }
        return UInt32(tag.tpid != 0 ? tag.tpid : EtherType.vlan) << 16 | TagPair.present | UInt32(tci)
    }
}
