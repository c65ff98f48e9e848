import Base

/// Writes flows and packets as ovs-ofctl and `ofproto/trace` do.
public struct FlowPrinter {
    public var context: FlowContext

    public init(_ context: FlowContext = FlowContext()) { self.context = context }

    /// A match as in `dump-flows`, with its priority unless that is the default; empty if it takes every packet.
    public func text(_ match: Match, priority: UInt16 = FlowSpec.defaultPriority) -> String {
        let shown = match.encoded(for: context.version)
        var printer = MatchPrinter(key: shown.key, mask: shown.mask, context)
        return printer.text(priority: priority)
    }

    /// Actions of a rule with that match, without `actions=`.
    public func text(_ actions: [Action], match: Match = Match()) -> String {
        ActionPrinter(context: context).text(Action.encoded(actions, match: match, context: context))
    }

    /// What stands behind the statistics in a line of `dump-flows`: match and actions.
    public func text(_ match: Match, priority: UInt16, actions: [Action]) -> String {
        let shown = text(match, priority: priority)
        return (shown.isEmpty ? "" : shown + " ") + "actions=" + text(actions, match: match)
    }

    /// Flags as `dump-flows` shows them, each with a space behind it. OpenFlow versions before 1.3 do not report them.
    public func text(_ flags: FlowSpec.Flags) -> String {
        if context.version < .openFlow13 { return "" }
        var text = ""
        if flags.contains(.sendFlowRemoved) { text += "send_flow_rem " }
        if flags.contains(.checkOverlap) { text += "check_overlap " }
        if flags.contains(.resetCounts) { text += "reset_counts " }
        if flags.contains(.noPacketCounts) { text += "no_packet_counts " }
        if flags.contains(.noByteCounts) { text += "no_byte_counts " }
        return text
    }

    /// A flow as it would be written for `add-flow`: reads back to an equal flow.
    public func text(_ flow: FlowSpec) -> String {
        var text = ""
        if let cookie = flow.cookie, cookie != 0 { text += "cookie=\(Digits.hex(cookie)), " }
        if let table = flow.table, table != 0 { text += "table=\(table), " }
        if flow.idleTimeout != 0 { text += "idle_timeout=\(flow.idleTimeout), " }
        if flow.hardTimeout != 0 { text += "hard_timeout=\(flow.hardTimeout), " }
        text += self.text(flow.flags)
        if flow.importance != 0 { text += "importance=\(flow.importance), " }
        let match = self.text(flow.match, priority: flow.priority)
        let actions = Action.encoded(flow.actions, match: flow.match, context: context)
        return text + (match.isEmpty ? "" : match + " ") + "actions="
            + ActionPrinter(context: context, readsBack: true).text(actions)
    }

    /// A packet, as after `Flow:` and `Final flow:`. Metadata that is zero is left out.
    public func text(_ key: FlowKey) -> String {
        var printer = MatchPrinter(key: key, mask: FlowMask(shownOf: key), context)
        return printer.text()
    }

    /// A megaflow, as after `Megaflow:`. What OVS always looks at is shown as looked at.
    public func megaflow(_ key: FlowKey, _ mask: FlowMask) -> String {
        var mask = mask
        mask.setExact(.recircID)
        mask.setExact(.packetType)
        mask.setExact(.inPort)
        mask.setExact(.ethType)
        // Outside the mask nothing is known.
        var masked = FlowKey()
        for i in 0..<FlowKey.wordCount { masked.words[i] = key.words[i] & mask.bits.words[i] }
        var printer = MatchPrinter(key: masked, mask: mask, context)
        return printer.text()
    }
}

extension FlowMask {
    /// The fields that are shown of a packet: what its headers have, and metadata that is not zero.
    init(shownOf key: FlowKey) {
        self.init()
        let metadata: [13 of Slot] = [
            .inPort, .skbPriority, .pktMark, .recircID, .dpHash, .ctState, .ctZone, .ctMark, .ctLabel, .metadata,
            .tunID,
            .tunIPv4Src, .tunIPv4Dst,
        ]
        for i in 0..<13 where key[wide: metadata[i]] != 0 { setExact(metadata[i]) }
        for n in 0..<16 where key[.reg(n)] != 0 { setExact(.reg(n)) }
        showTunnel(of: key)
        setExact(.packetType)
        if key[.packetType] == 0 {
            setExact(.ethDst)
            setExact(.ethSrc)
            setExact(.ethType)
            setExact(.vlanTCI)
            if key[.vlanTCI] != 0 { setExact(.innerVlanTCI) }
        }
        showHeaders(of: key)
    }

    private mutating func showTunnel(of key: FlowKey) {
        guard key[.tunIPv4Dst] != 0 || key[wide: .tunIPv6Dst] != 0 else { return }
        if key[.tunIPv4Dst] != 0 { setExact(.tunIPv4Src) }
        let slots: [11 of Slot] = [
            .tunTOS, .tunTTL, .tunGBPID, .tunGBPFlags, .tunERSPANVersion, .tunERSPANIndex, .tunERSPANDirection,
            .tunERSPANHardwareID, .tunGTPUFlags, .tunGTPUMessageType, .tunFlags,
        ]
        setExact(.tunIPv4Src)
        setExact(.tunIPv4Dst)
        setExact(.tunIPv6Src)
        setExact(.tunIPv6Dst)
        for i in 0..<11 { setExact(slots[i]) }
        self[.tunMetadataPresent] |= key[.tunMetadataPresent]
        for word in Slot.tunMetadataSpace.word..<FlowKey.wordCount { bits.words[word] = ~0 }
    }

    private mutating func showHeaders(of key: FlowKey) {
        let type = key.effectiveEthType
        let proto = key[.nwProto]
        let hasConnection = key.satisfies(.conntrack) && key[.ctNwProto] != 0
        switch type {
        case 0x0800:
            setExact(.ipv4Src)
            setExact(.ipv4Dst)
            if hasConnection {
                setExact(.ctIPv4Src)
                setExact(.ctIPv4Dst)
            }
        case 0x86dd:
            setExact(.ipv6Src)
            setExact(.ipv6Dst)
            setExact(.ipv6Label)
            if key.satisfies(.nd) {
                setExact(.arpSHA)
                setExact(.arpTHA)
                setExact(.ndTarget)
            } else if hasConnection {
                setExact(.ctIPv6Src)
                setExact(.ctIPv6Dst)
            }
        case 0x0806, 0x8035:
            for slot in [Slot.ipv4Src, .ipv4Dst, .nwProto, .arpSHA, .arpTHA] { setExact(slot) }
            return
        case 0x8847, 0x8848:
            for slot in [Slot.mpls0, .mpls1, .mpls2] {
                setExact(slot)
                if key[slot] & 0x100 != 0 { break }
            }
            return
        default: return
        }
        for slot in [Slot.nwFrag, .nwTOS, .nwTTL, .nwProto] { setExact(slot) }
        if hasConnection { for slot in [Slot.ctNwProto, .ctTpSrc, .ctTpDst] { setExact(slot) } }
        let hasPorts = proto == 1 || proto == 58 || proto == 6 || proto == 17 || proto == 132 || proto == 2
        if key[.nwFrag] & FragmentBits.later == 0, hasPorts {
            setExact(.tpSrc)
            setExact(.tpDst)
            if proto == 6 { setExact(.tcpFlags) }
        }
    }
}
