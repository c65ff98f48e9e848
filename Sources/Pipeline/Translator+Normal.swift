import Base
import Flow

// The action NORMAL: a VLAN-aware learning switch.

extension Translator {
    func normal() {
        _ = see(1, ~0xffff)
        _ = see(2, ~0xffff)
        guard let index = portIndex(inPortNumber), let input = port(index) else {
            note(.unknownPort)
            return trace { $0.warning("no input bundle, dropping") }
        }
        let tags = internalTags()
        let isTagged = see(0, 0x1000) != 0
        if etherType == EtherType.vlan || etherType == EtherType.serviceVLAN, !isTagged {
            note(.vlanNotAllowed)
            return trace { $0.warning("partial VLAN tag, dropping") }
        }
        guard !isMirrorOutput(index) else {
            note(.mirrorOutputPort)
            return trace { $0.warning("input port is mirror output port, dropping") }
        }
        let vlans = vlans(of: index)
        guard admits(index, vlans, tags.outer.vid) else {
            note(.vlanNotAllowed)
            return trace { $0.warning("disallowed VLAN VID for this input port, dropping") }
        }
        let destination = flow[1] >> 16
        let forwardsBPDU = bridge._withUnsafeGuaranteedRef { $0.forwardBPDU }
        if !forwardsBPDU, Self.isReserved(destination) {
            note(.reservedAddress)
            return trace { $0.detail("packet has reserved destination MAC, dropping") }
        }
        let inside = inward(tags, vlans)
        if learnStation(input, inside.outer.vid) { forward(inside, from: index, destination) }
    }

    /// To the port behind which the station is, or everywhere.
    private func forward(_ tags: InternalTags, from input: PortIndex, _ destination: UInt64) {
        let vlan = tags.outer.vid
        guard let target = station(destination, vlan) else {
            trace { $0.detail("no learned MAC for destination, flooding") }
            return floodVLAN(tags, from: input)
        }
        guard !isMirrorOutput(target) else {
            note(.mirrorOutputPort)
            return trace { $0.warning("learned port is a mirror port, dropping") }
        }
        guard target != input || returnsToPort else {
            note(.inputPortIsOutputPort)
            return trace { $0.detail("learned port is input port, dropping") }
        }
        guard let port = port(target) else {
            note(.unknownPort)
            return trace { $0.warning("learned port is unknown, dropping") }
        }
        trace { $0.detail("forwarding to learned port") }
        sendNormal(tags, to: port, vlans(of: target))
    }

    /// To every member of the VLAN: first those that want the frame as it is, since tags are written once then.
    func floodVLAN(_ tags: InternalTags, from input: PortIndex) {
        let own = Self.tags(flow)
        let count = bridge._withUnsafeGuaranteedRef { $0.portOrder.count }
        var sent = false
        for round in 0..<2 {
            for i in 0..<count {
                guard let index = bridge._withUnsafeGuaranteedRef({ i < $0.portOrder.count ? $0.portOrder[i] : nil }),
                    index != input, let port = port(index), !port.noFlood
                else { continue }
                let vlans = vlans(of: index)
                if vlans.limitsCustomers { _ = see(5, 0xffff_0000_0000) }
                guard includes(index, vlans, tags), !isMirrorOutput(index) else { continue }
                let isAsItIs = wireTags(outward(tags, vlans), vlans.priorityTags) == own
                guard isAsItIs == (round == 0) else { continue }
                sent = true
                sendNormal(tags, to: port, vlans)
            }
        }
        if !sent { note(.noOutput) }
    }

    /// Sends with the tags that the port wants; the flow keeps its own.
    func sendNormal(_ tags: InternalTags, to port: PortFacts, _ vlans: PortVLANs) {
        let out = outward(tags, vlans)
        let own = Self.tags(flow)
        store(out, vlans.priorityTags)
        let written = Self.tags(flow) != own
        send(to: port)
        if written {
            Self.store(own, flow)
            isPending = true
        }
    }
}

// MARK: - Learning

extension Translator {
    /// Learns the sender's place. False if the frame is to be dropped because its sender moves about too quickly.
    private func learnStation(_ input: PortFacts, _ vlan: UInt16) -> Bool {
        let mac = flow[2] >> 16
        let isGratuitous = isGratuitousARP()
        guard effects.isAllowed, !Self.isMulticast(mac), learnsVLAN(vlan) else { return true }
        let (number, stations) = bridge._withUnsafeGuaranteedRef {
            ($0.number, Unmanaged.passUnretained($0.stations))
        }
        // The answer holds for as long as the entry does: when that ages out, a packet has to bring it back.
        dependencies.formUnion(.station(bridge: number, vlan: vlan, mac: mac))
        let outcome = stations._withUnsafeGuaranteedRef {
            $0.learn(vlan: vlan, mac: mac, port: input.index, gratuitousARP: isGratuitous, now: now)
        }
        switch outcome {
        case .unchanged(let handle), .learned(let handle), .moved(let handle):
            translation.credits.append(Credit(.stationSeen, bridge: UInt16(truncatingIfNeeded: number), handle))
        case .kept: break
        case .movedTooOften:
            isCacheable = false
            note(.macMoveTooOften)
            return false
        }
        return true
    }

    private func station(_ mac: UInt64, _ vlan: UInt16) -> PortIndex? {
        guard !Self.isMulticast(mac), learnsVLAN(vlan) else { return nil }
        let (number, stations) = bridge._withUnsafeGuaranteedRef {
            ($0.number, Unmanaged.passUnretained($0.stations))
        }
        dependencies.formUnion(.station(bridge: number, vlan: vlan, mac: mac))
        return stations._withUnsafeGuaranteedRef { $0.lookup(vlan: vlan, mac: mac)?.port }
    }

    private func learnsVLAN(_ vlan: UInt16) -> Bool {
        bridge._withUnsafeGuaranteedRef { $0.floodVLANs.isEmpty || !$0.floodVLANs.contains(vlan) }
    }

    private static func isMulticast(_ mac: UInt64) -> Bool { mac & 0x0100_0000_0000 != 0 }

    /// A host that moved says so by a broadcast ARP about itself.
    private func isGratuitousARP() -> Bool {
        guard etherType == EtherType.arp, flow[1] >> 16 == 0xffff_ffff_ffff else { return false }
        switch see(Slot.nwProto) {
        case 2: return true
        case 1: return see(Slot.ipv4Src) == see(Slot.ipv4Dst)
        default: return false
        }
    }

    /// Addresses that bridges do not forward (IEEE 802.1D 7.12.6, and those of a few vendors' protocols).
    static func isReserved(_ mac: UInt64) -> Bool {
        switch mac {
        case 0x0180_c200_0000...0x0180_c200_000f: true
        // Extreme: EDP, EAPS.
        case 0x00e0_2b00_0000, 0x00e0_2b00_0004, 0x00e0_2b00_0006: true
        // Cisco: ISL; PAgP, UDLD, CDP, DTP, VTP; PVST+; UplinkFast.
        case 0x0100_0c00_0000, 0x0100_0ccc_cccc, 0x0100_0ccc_cccd, 0x0100_0ccd_cdcd: true
        // Cisco CFM.
        case 0x0100_0ccc_ccc0...0x0100_0ccc_ccc7: true
        default: false
        }
    }
}
