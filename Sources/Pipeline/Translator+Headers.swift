import Base
import Flow
import Memory

// VLAN tags and MPLS labels. Both are small stacks whose entries move when one is pushed or popped, so they are not followed
// bit by bit: the first action that touches them reads them as a whole, and from then on their values are known.

/// The one or two VLAN tags of a flow: TPID << 16 | TCI, outermost first; 0 is none.
struct TagPair: Equatable {
    var outer: UInt32 = 0
    var inner: UInt32 = 0

    static var present: UInt32 { 0x1000 }

    /// Number of tags.
    var count: Int { outer & Self.present == 0 ? 0 : inner & Self.present == 0 ? 1 : 2 }

    subscript(_ i: Int) -> UInt32 { i == 0 ? outer : inner }
}

extension Translator {
    static func tags(_ words: UnsafePointer<UInt64>) -> TagPair {
        TagPair(
            outer: UInt32(truncatingIfNeeded: words[4]) << 16 | UInt32(truncatingIfNeeded: words[0] & 0xffff),
            inner: UInt32(truncatingIfNeeded: words[5] &>> 32))
    }

    static func store(_ tags: TagPair, _ words: UnsafeMutablePointer<UInt64>) {
        words[0] = words[0] & ~0xffff | UInt64(tags.outer & 0xffff)
        words[4] = words[4] & ~0xffff | UInt64(tags.outer >> 16)
        words[5] = words[5] & 0xffff_ffff | UInt64(tags.inner) << 32
    }

    /// Reads all there is of the tags; they are constants from now on.
    func touchTags() {
        guard fresh[0] & 0xffff != 0 || baseFresh[0] & 0xffff != 0 else { return }
        // The tags as received are in the base, or else in the flow.
        let received = Self.tags(fresh[0] & 0xffff != 0 ? flow : base)
        // Without a tag there is nothing inside it: one bit says it all.
        mask[0] |= received.count == 0 ? 0x1000 : 0xffff
        if received.count > 0 {
            mask[4] |= 0xffff
            mask[5] |= received.count == 1 ? 0x1000_0000_0000 : 0xffff_ffff_0000_0000
        }
        Self.clearTags(fresh)
        Self.clearTags(baseFresh)
        isPristine = false
    }

    private static func clearTags(_ words: UnsafeMutablePointer<UInt64>) {
        words[0] &= ~0xffff
        words[4] &= ~0xffff
        words[5] &= 0xffff_ffff
    }

    /// Changes bits of the outer TCI. A tag that appears gets the customary TPID.
    func putTCI(_ value: UInt64, _ bits: UInt64) {
        touchTags()
        flow[0] = flow[0] & ~(bits & 0xffff) | value & bits & 0xffff
        if flow[0] & 0xffff != 0, flow[4] & 0xffff == 0 { flow[4] |= UInt64(EtherType.vlan) }
        isPending = true
    }

    func pushVLAN(_ etherType: UInt16) {
        touchTags()
        let own = Self.tags(flow)
        Self.store(TagPair(outer: UInt32(etherType) << 16 | TagPair.present, inner: own.outer), flow)
        isPending = true
    }

    func popVLAN() {
        guard see(0, 0x1000) != 0 else { return }
        touchTags()
        let own = Self.tags(flow)
        Self.store(own.count == 2 ? TagPair(outer: own.inner) : TagPair(), flow)
        isPending = true
    }
}

extension Translator {
    /// Tags and labels of the flow. Nothing is read by it: where this is compared, they are equal or have been read.
    var headers: Int { Self.tags(flow).count + LabelStack(flow).count(etherType: etherType) }
}

// MARK: - MPLS

/// The label stack entries of a flow, outermost first, three at most.
struct LabelStack {
    static var capacity: Int { 3 }
    static var bottom: UInt32 { 0x100 }
    static var timeToLive: UInt32 { 0xff }

    var entries: InlineArray<3, UInt32> = [0, 0, 0]

    init(_ words: UnsafePointer<UInt64>) {
        entries[0] = UInt32(truncatingIfNeeded: words[14] &>> 32)
        entries[1] = UInt32(truncatingIfNeeded: words[14])
        entries[2] = UInt32(truncatingIfNeeded: words[15] &>> 32)
    }

    func store(_ words: UnsafeMutablePointer<UInt64>) {
        words[14] = UInt64(entries[0]) << 32 | UInt64(entries[1])
        words[15] = words[15] & 0xffff_ffff | UInt64(entries[2]) << 32
    }

    /// Entries that are known to be there: up to the bottom, or all that are not zero if the bottom lies deeper.
    func count(etherType: UInt16) -> Int {
        guard etherType == EtherType.mpls || etherType == EtherType.mplsMulticast else { return 0 }
        var count = 0
        for i in 0..<Self.capacity {
            if entries[i] & Self.bottom != 0 { return i + 1 }
            if entries[i] != 0 { count += 1 }
        }
        return count
    }

    mutating func push(_ entry: UInt32) {
        entries[2] = entries[1]
        entries[1] = entries[0]
        entries[0] = entry
    }

    mutating func pop() {
        entries[0] = entries[1]
        entries[1] = entries[2]
        entries[2] = 0
    }
}

extension Translator {
    static var labelBits: (UInt64, UInt64) { (~0, 0xffff_ffff_0000_0000) }

    /// Reads the whole label stack; its values are known from now on.
    func touchLabels() {
        let (high, low) = Self.labelBits
        mask[14] |= high & (fresh[14] | baseFresh[14])
        mask[15] |= low & (fresh[15] | baseFresh[15])
        fresh[14] &= ~high
        fresh[15] &= ~low
        baseFresh[14] &= ~high
        baseFresh[15] &= ~low
        isPristine = false
    }

    func putLabel(_ value: UInt64, _ bits: UInt64) {
        touchLabels()
        flow[14] = flow[14] & ~bits | value & bits
        isPending = true
    }

    func pushMPLS(_ type: UInt16) {
        touchLabels()
        var stack = LabelStack(flow)
        let count = stack.count(etherType: etherType)
        if count == 0 {
            // What is known of the layers above has to be written while they can be reached.
            commit()
            var entry: UInt32 = etherType == EtherType.ipv6 ? 2 << 12 : 0
            var ttl: UInt64 = 64
            if isIP {
                entry |= (UInt32(see(2, 0xfc00) >> 10) & 7) << 9
                let own = see(Slot.nwTTL)
                if own != 0 { ttl = own }
            }
            stack.entries = [entry | LabelStack.bottom | UInt32(ttl), 0, 0]
            clearUpperLayers()
        } else if count >= LabelStack.capacity {
            return fail(.mplsDepth, "push_mpls on \(count) labels")
        } else {
            stack.push(stack.entries[0] & ~LabelStack.bottom)
        }
        poppedLabels -= 1
        stack.store(flow)
        setEtherType(type)
    }

    func popMPLS(_ type: UInt16) {
        guard isMPLS else { return }
        touchLabels()
        var stack = LabelStack(flow)
        let count = stack.count(etherType: etherType)
        guard count > 0 else { return }
        if count == LabelStack.capacity, stack.entries[2] & LabelStack.bottom == 0 {
            // What would become the third entry is not known.
            return fail(.mplsDepth, "pop_mpls on more than \(LabelStack.capacity) labels")
        }
        stack.pop()
        poppedLabels += 1
        stack.store(flow)
        setEtherType(type)
        if !isMPLS { innerIsUnknown = true }
    }

    func setEtherType(_ type: UInt16) {
        flow[0] = flow[0] & ~0xffff_0000 | UInt64(type) << 16
        isPristine = false
        isPending = true
    }

    /// Layers 3 and 4 are out of reach below a label.
    private func clearUpperLayers() {
        for i in Self.upperLayers.indices {
            let (word, bits) = Self.upperLayers[i]
            put(word, 0, bits)
        }
        put(15, 0, 0xffff_ffff)
    }

    /// What was below the popped labels, once something wants to look at it. If this switch had pushed those labels itself, the
    /// base still has it. Otherwise the frame is read again behind them, and the answer holds for this packet alone; without a
    /// frame (`trace` of a description) there is nothing to be seen.
    func revealInner() {
        commit()
        if poppedLabels != 0 || receivedType != etherType {
            isCacheable = false
            lookupMask.update(repeating: 0, count: FlowKey.packetWords)
            if let packet {
                let labels = packet.pointee.offsetMPLS
                let start = labels == PacketHeader.unknownOffset ? packet.pointee.offsetL3 : labels
                extractNetworkKey(
                    packet, etherType: etherType, at: Int(start) + 4 * max(poppedLabels, 0), into: lookupMask)
            }
            for i in Self.upperLayers.indices {
                let (word, bits) = Self.upperLayers[i]
                base[word] = base[word] & ~bits | lookupMask[word] & bits
                baseFresh[word] &= ~bits
            }
        }
        for i in Self.upperLayers.indices {
            let (word, bits) = Self.upperLayers[i]
            flow[word] = flow[word] & ~bits | base[word] & bits
            fresh[word] = fresh[word] & ~bits | baseFresh[word] & bits
        }
        innerIsUnknown = false
    }

    /// The bits of a key that are about layers 3 and 4.
    private static var upperLayers: [14 of (Int, UInt64)] {
        [
            (1, 0xffff), (2, 0xffff), (3, ~0), (4, ~0xffff), (5, 0xffff_ffff), (6, ~0), (7, ~0), (8, ~0), (9, ~0),
            (10, ~0), (11, ~0), (12, ~0), (13, ~0), (16, 0xffff_ffff_0000_0000),
        ]
    }

    /// Actions that need only layer 2, or that end in output, can do without what is below the popped labels.
    func needsInner(_ step: UnsafePointer<ActionStep>) -> Bool {
        switch step.pointee.op {
        case .output, .outputTruncated, .outputRegister, .enqueue, .group, .assignTCI, .setQueue, .exit: false
        case .assign: step.pointee.target.requirement != .none
        default: true
        }
    }
}

// MARK: - Time to live

extension Translator {
    func decrementTTL(messages: UInt32) -> Continuation {
        guard isIP else { return .next }
        let ttl = see(Slot.nwTTL)
        if ttl > 1 {
            put(2, ttl - 1, 0xff)
            return .next
        }
        for _ in 0..<messages { controller(reason: UInt32(ControllerParameters.Reason.invalidTTL.rawValue)) }
        note(.ttlExpired)
        trace { $0.warning("IPv\(self.etherType == EtherType.ipv4 ? 4 : 6) decrement TTL exception") }
        return .endsList
    }

    func decrementMPLSTTL() -> Continuation {
        if isMPLS {
            touchLabels()
            let ttl = flow[14] >> 32 & UInt64(LabelStack.timeToLive)
            if ttl > 1 {
                putLabel((ttl - 1) << 32, 0xff << 32)
                return .next
            }
            controller(reason: UInt32(ControllerParameters.Reason.invalidTTL.rawValue))
        }
        note(.ttlExpired)
        trace { $0.warning("MPLS decrement TTL exception") }
        return .endsList
    }
}
