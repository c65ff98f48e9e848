import Conntrack

// Packing and unpacking of a `TrackRequest`. The flags beside the zone: commit 1, force 2, nat 4, timeout policy 8; helper 3
// bits from bit 4, kind of NAT 2 bits from bit 8, its choice 2 bits from bit 10, persistent 0x1000, addresses given 0x2000,
// IPv6 0x4000, load balancing 0x8000: its service stands in the upper half of the operand of ports, its flags in the operand
// behind that (it gives no addresses and no policy). The policy stands in the upper half of the operand of ports.

extension ProgramBuilder {
    public mutating func track(_ request: TrackRequest) {
        var flags: UInt32 = request.commits ? 1 : 0
        if request.forces { flags |= 2 }
        if request.translates { flags |= 4 }
        if request.policy != 0 { flags |= 8 }
        flags |= UInt32(request.helper.rawValue) << 4
        flags |= UInt32(request.kind.rawValue) << 8 | UInt32(request.selection.rawValue) << 10
        if request.isPersistent { flags |= 0x1000 }
        if request.hasAddresses { flags |= 0x2000 }
        if request.isIPv6 { flags |= 0x4000 }
        let isBalanced = request.service != 0 || request.steers
        if isBalanced { flags |= 0x8000 }
        let balancing: UInt64 = (request.steers ? 1 : 0) | (request.isOneSided ? 2 : 0)
        append(
            .track, immediate: flags << 16 | UInt32(request.zone), flags: 0,
            UInt64(request.mark) << 32 | UInt64(request.markMask),
            UInt64(truncatingIfNeeded: request.label >> 64), UInt64(truncatingIfNeeded: request.label),
            UInt64(truncatingIfNeeded: request.labelMask >> 64), UInt64(truncatingIfNeeded: request.labelMask),
            UInt64(isBalanced ? request.service : UInt32(request.policy)) << 32 | UInt64(request.firstPort) << 16
                | UInt64(request.lastPort),
            isBalanced ? balancing : UInt64(truncatingIfNeeded: request.firstAddress >> 64),
            UInt64(truncatingIfNeeded: request.firstAddress),
            UInt64(truncatingIfNeeded: request.lastAddress >> 64), UInt64(truncatingIfNeeded: request.lastAddress))
    }

    public mutating func trackClear() { append(.trackClear) }

    public mutating func recirculate(_ id: UInt32) { append(.recirculate, immediate: id) }

    /// Of a session: the translation of its guard number `number`.
    public mutating func translate(_ number: Int, isReply: Bool) {
        append(.translate, immediate: UInt32(truncatingIfNeeded: number), flags: isReply ? 1 : 0)
    }
}

extension TrackRequest {
    /// What the op with this immediate and these ten operands asks for.
    @inlinable @inline(__always)
    public init(immediate: UInt32, _ operands: UnsafePointer<UInt64>) {
        self.init()
        let flags = immediate &>> 16
        zone = UInt16(truncatingIfNeeded: immediate)
        commits = flags & 1 != 0
        forces = flags & 2 != 0
        translates = flags & 4 != 0
        helper = TrackHelper(rawValue: UInt8(flags &>> 4 & 7)) ?? .none
        kind = NATKind(rawValue: UInt8(flags &>> 8 & 3)) ?? .none
        selection = NATSelection(rawValue: UInt8(flags &>> 10 & 3)) ?? .automatic
        isPersistent = flags & 0x1000 != 0
        hasAddresses = flags & 0x2000 != 0
        isIPv6 = flags & 0x4000 != 0
        mark = UInt32(truncatingIfNeeded: operands[0] &>> 32)
        markMask = UInt32(truncatingIfNeeded: operands[0])
        label = UInt128(operands[1]) &<< 64 | UInt128(operands[2])
        labelMask = UInt128(operands[3]) &<< 64 | UInt128(operands[4])
        if flags & 0x8000 != 0 {
            service = UInt32(truncatingIfNeeded: operands[5] &>> 32)
            steers = operands[6] & 1 != 0
            isOneSided = operands[6] & 2 != 0
            return
        }
        if flags & 8 != 0 { policy = UInt8(truncatingIfNeeded: operands[5] &>> 32) }
        guard kind != .none else { return }
        firstPort = UInt16(truncatingIfNeeded: operands[5] &>> 16)
        lastPort = UInt16(truncatingIfNeeded: operands[5])
        firstAddress = UInt128(operands[6]) &<< 64 | UInt128(operands[7])
        lastAddress = UInt128(operands[8]) &<< 64 | UInt128(operands[9])
    }
}
