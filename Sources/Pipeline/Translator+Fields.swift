import Base
import Flow

// Reading and writing the flow. All reads of packet-dependent bits go through `see` or `read`, all writes through `put`:
// they keep `mask` and `fresh` true.

extension Translator {
    var etherType: UInt16 { UInt16(truncatingIfNeeded: flow[0] &>> 16) }
    var isIP: Bool { etherType == EtherType.ipv4 || etherType == EtherType.ipv6 }
    var isMPLS: Bool { etherType == EtherType.mpls || etherType == EtherType.mplsMulticast }
    var inPortNumber: PortNumber { PortNumber(UInt32(truncatingIfNeeded: flow[0] &>> 32)) }

    /// Bits of a word of the flow, which count from now on.
    @inline(__always) func see(_ word: Int, _ bits: UInt64) -> UInt64 {
        mask[word] |= bits & fresh[word]
        return flow[word] & bits
    }

    /// A field of at most 64 bits.
    @inline(__always) func see(_ slot: Slot) -> UInt64 {
        see(slot.word, slot.lowMask &<< UInt64(slot.shift)) &>> UInt64(slot.shift)
    }

    func see128(_ slot: Slot) -> UInt128 { UInt128(see(slot.word, ~0)) << 64 | UInt128(see(slot.word + 1, ~0)) }

    /// Changes bits of a word of the flow to something that no longer depends on what was received there.
    @inline(__always) func put(_ word: Int, _ value: UInt64, _ bits: UInt64) {
        flow[word] = flow[word] & ~bits | value & bits
        fresh[word] &= ~bits
        isPristine = false
        isPending = true
    }

    /// The same for metadata of OpenFlow's own, which the mask never has.
    @inline(__always) func writeRegister(_ word: Int, _ value: UInt64, _ bits: UInt64) {
        flow[word] = flow[word] & ~bits | value & bits
    }

    func writePlain(_ slot: Slot, _ value: UInt64) {
        let bits = slot.lowMask &<< UInt64(slot.shift)
        flow[slot.word] = flow[slot.word] & ~bits | value &<< UInt64(slot.shift) & bits
    }

    /// Bits of two neighbouring words, or of one, in the place that they have there.
    @inline(__always) private func store(_ run: FieldRun, high: UInt64, highMask: UInt64, low: UInt64, lowMask: UInt64)
    {
        let word = Int(run.word)
        if FlowKey.registerWords.contains(word) {
            writeRegister(word, high, highMask)
            if run.isWide { writeRegister(word + 1, low, lowMask) }
        } else {
            put(word, high, highMask)
            if run.isWide { put(word + 1, low, lowMask) }
            if run.kind == .tunnelOption { put(Slot.tunMetadataPresent.word, run.presence, run.presence) }
        }
    }

    /// The bits of a run, right-aligned.
    func read(_ run: FieldRun) -> UInt128 {
        let word = Int(run.word)
        let shift = UInt64(run.shift)
        // An option that is not there reads as zero, and is zero in the flow.
        if run.kind == .tunnelOption { _ = see(Slot.tunMetadataPresent.word, run.presence) }
        guard run.isWide else {
            guard run.kind != .absent else { return 0 }
            let bits = run.width >= 64 ? ~0 : (1 &<< UInt64(run.width)) &- 1
            var value = see(word, bits &<< shift)
            if run.kind == .tos { value &= ~0x300 }
            return UInt128(value &>> shift)
        }
        let bits = run.width >= 128 ? ~UInt128(0) : (UInt128(1) << UInt128(run.width)) &- 1
        let placed = bits << UInt128(shift)
        let high = see(word, UInt64(truncatingIfNeeded: placed >> 64))
        let low = see(word + 1, UInt64(truncatingIfNeeded: placed))
        return (UInt128(high) << 64 | UInt128(low)) >> UInt128(shift)
    }

    /// Writes a run; `value` is right-aligned, bits beyond the run's width do not count.
    func write(_ run: FieldRun, _ value: UInt128) {
        let bits = run.width >= 128 ? ~UInt128(0) : (UInt128(1) << UInt128(run.width)) &- 1
        var placedMask = bits << UInt128(run.shift)
        if run.kind == .tos { placedMask &= ~0x300 }
        let placed = (value << UInt128(run.shift)) & placedMask
        let low = UInt64(truncatingIfNeeded: placed)
        let lowMask = UInt64(truncatingIfNeeded: placedMask)
        switch run.kind {
        case .absent: break
        case .vlanTCI: putTCI(low, lowMask)
        case .vlanVID, .vlanPCP: putTCI(low | 0x1000, lowMask | 0x1000)
        case .mpls: putLabel(low, lowMask)
        case .inPort, .inPort16: putInPort(low, lowMask, isShort: run.kind == .inPort16)
        case .plain, .tos, .metadata, .tunnelOption:
            if run.isWide {
                store(
                    run, high: UInt64(truncatingIfNeeded: placed >> 64),
                    highMask: UInt64(truncatingIfNeeded: placedMask >> 64), low: low, lowMask: lowMask)
            } else {
                store(run, high: low, highMask: lowMask, low: 0, lowMask: 0)
            }
        }
    }

    /// Whether the packet has a field, by the flow as it is now.
    func has(_ requirement: Requirement) -> Bool {
        switch requirement {
        case .none: true
        case .vlan: see(0, 0x1000) != 0
        case .mpls: isMPLS
        case .arp: etherType == EtherType.arp || etherType == EtherType.rarp
        case .ipv4: etherType == EtherType.ipv4
        case .ipv6: etherType == EtherType.ipv6
        case .ipAny: isIP
        case .ports: isIP && see(Slot.nwFrag) & FragmentBits.later == 0
        case .tcp: hasTransport(6)
        case .udp: hasTransport(17)
        case .sctp: hasTransport(132)
        case .icmpv4: etherType == EtherType.ipv4 && see(Slot.nwProto) == 1
        case .icmpv6: etherType == EtherType.ipv6 && see(Slot.nwProto) == 58
        case .neighborDiscovery: neighborType != nil
        case .neighborSolicitation: neighborType == 135
        case .neighborAdvertisement: neighborType == 136
        }
    }

    private func hasTransport(_ ipProtocol: UInt64) -> Bool {
        isIP && see(Slot.nwProto) == ipProtocol && see(Slot.nwFrag) & FragmentBits.later == 0
    }

    /// The ICMPv6 type of a neighbour solicitation or advertisement.
    private var neighborType: UInt64? {
        guard etherType == EtherType.ipv6, see(Slot.nwProto) == 58, see(Slot.tpDst) == 0 else { return nil }
        let type = see(Slot.tpSrc)
        return type == 135 || type == 136 ? type : nil
    }
}

// MARK: - Actions

extension Translator {
    func assign(_ step: UnsafePointer<ActionStep>) {
        guard has(step.pointee.target.requirement) else { return noteUnmet(step) }
        store(
            step.pointee.target, high: step.pointee.high, highMask: step.pointee.highMask, low: step.pointee.low,
            lowMask: step.pointee.lowMask)
    }

    func assignTCI(_ step: UnsafePointer<ActionStep>) {
        guard has(step.pointee.target.requirement) else { return noteUnmet(step) }
        putTCI(step.pointee.high, step.pointee.highMask)
    }

    func assignLabel(_ step: UnsafePointer<ActionStep>) {
        guard isMPLS else { return noteUnmet(step) }
        putLabel(step.pointee.high, step.pointee.highMask)
    }

    func assignInPort(_ step: UnsafePointer<ActionStep>) {
        putInPort(step.pointee.high, step.pointee.highMask, isShort: step.pointee.flag)
    }

    /// `delete_field`.
    func deleteOption(_ run: FieldRun) {
        guard run.kind == .tunnelOption else { return }
        write(run, 0)
        put(Slot.tunMetadataPresent.word, 0, run.presence)
    }

    private func noteUnmet(_ step: UnsafePointer<ActionStep>) {
        trace { $0.warning("unmet prerequisites, action ignored") }
    }

    func move(_ step: UnsafePointer<ActionStep>) {
        guard has(step.pointee.target.requirement), has(step.pointee.source.requirement) else {
            return noteUnmet(step)
        }
        write(step.pointee.target, read(step.pointee.source))
    }

    func putInPort(_ value: UInt64, _ bits: UInt64, isShort: Bool) {
        writeRegister(0, value, bits)
        guard isShort else { return }
        // Numbers of 16 bits have their reserved values from 0xff00, those of 32 bits from 0xffffff00.
        let number = flow[0] &>> 32 & 0xffff
        let wide = number >= 0xff00 ? number | 0xffff_0000 : number
        writeRegister(0, wide &<< 32, ~0xffff_ffff)
    }

    func push(_ run: FieldRun) {
        let entry = StackEntry(value: read(run), bytes: (Int(run.width) + 7) / 8 + 1)
        stack.append(entry)
        stackBytes += entry.bytes
    }

    func pop(_ run: FieldRun) {
        guard stack.count > stackFloor, let entry = stack.popLast() else {
            return trace { $0.error("stack underflow") }
        }
        stackBytes -= entry.bytes
        write(run, entry.value)
    }

    func setQueue(_ queue: UInt32) { put(Slot.skbPriority.word, UInt64(queue), 0xffff_ffff) }

    func popQueue() { put(Slot.skbPriority.word, 0, 0xffff_ffff) }
}

/// A field that was pushed: the value and what it takes of the stack's size, its length byte included.
struct StackEntry {
    var value: UInt128
    var bytes: Int
}
