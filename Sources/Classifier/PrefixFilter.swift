import Flow

/// How long the prefixes are that a mask has on the IP addresses; 0 where it has none or is no prefix.
struct PrefixLengths: Equatable {
    var ipv4Src: UInt8 = 0
    var ipv4Dst: UInt8 = 0
    var ipv6Src: UInt8 = 0
    var ipv6Dst: UInt8 = 0

    var hasIPv4: Bool { ipv4Src | ipv4Dst != 0 }
    var hasIPv6: Bool { ipv6Src | ipv6Dst != 0 }

    init(_ mask: UnsafeBufferPointer<MaskWord>) {
        func bits(_ slot: Slot, _ half: Int = 0) -> UInt64 {
            (mask.first { $0.word == slot.word &+ half }?.bits ?? 0) &>> UInt64(slot.shift) & slot.lowMask
        }
        func wide(_ slot: Slot) -> UInt128 { UInt128(bits(slot)) << 64 | UInt128(bits(slot, 1)) }
        ipv4Src = Self.length(UInt32(bits(.ipv4Src)))
        ipv4Dst = Self.length(UInt32(bits(.ipv4Dst)))
        ipv6Src = Self.length(wide(.ipv6Src))
        ipv6Dst = Self.length(wide(.ipv6Dst))
    }

    private static func length<Bits: FixedWidthInteger & UnsignedInteger>(_ bits: Bits) -> UInt8 {
        let ones = (~bits).leadingZeroBitCount
        return bits == PrefixTrie<Bits>.leading(ones) ? UInt8(ones) : 0
    }
}

/// What the tries of source and destination address say about one key: a subtable whose prefix lengths are not among
/// those that can match is passed over at the price of a bit test.
struct PrefixFilter<Bits: FixedWidthInteger & UnsignedInteger> {
    private var source: PrefixTrie<Bits>.Finding
    private var destination: PrefixTrie<Bits>.Finding
    /// Leading bits of the addresses that are in the mask, or will be: what was there before, what exclusions
    /// relied on.
    private(set) var sourceBits: Int
    private(set) var destinationBits: Int

    /// One that knows nothing, until the tries are asked.
    @inline(__always)
    init() {
        source = PrefixTrie<Bits>.Finding()
        destination = source
        sourceBits = 0
        destinationBits = 0
    }

    @inline(__always)
    init(
        sources: borrowing PrefixTrie<Bits>, _ source: Bits, mask sourceMask: Bits,
        destinations: borrowing PrefixTrie<Bits>, _ destination: Bits, mask destinationMask: Bits
    ) {
        self.source = sources.lookup(source)
        self.destination = destinations.lookup(destination)
        sourceBits = (~sourceMask).leadingZeroBitCount
        destinationBits = (~destinationMask).leadingZeroBitCount
    }

    /// Whether no rule with prefixes of these lengths can match.
    @inline(__always)
    func rejects(source sourceLength: UInt8, destination destinationLength: UInt8) -> Bool {
        !(Self.has(source, sourceLength) && Self.has(destination, destinationLength))
    }

    @inline(__always)
    private static func has(_ finding: PrefixTrie<Bits>.Finding, _ length: UInt8) -> Bool {
        length == 0 || (finding.lengths &>> Bits(truncatingIfNeeded: Int(length) &- 1)) & 1 != 0
    }

    /// Marks what proves that prefixes of these lengths, which were rejected, do not match: the prefix itself, or the bits
    /// that exclude all others, whichever is shorter. An address whose bits are marked already costs nothing; else
    /// one is preferred for which the trie needs no more than the prefix, and of two such the destination, as OVS does.
    @inline(__always)
    mutating func exclude(source sourceLength: UInt8, destination destinationLength: UInt8) {
        let bySource = Self.has(source, sourceLength) ? .max : min(Int(sourceLength), source.needed)
        let byDestination =
            Self.has(destination, destinationLength) ? .max : min(Int(destinationLength), destination.needed)
        if byDestination <= destinationBits || bySource <= sourceBits { return }
        let isSourceBetter =
            byDestination == .max
            || (destination.needed > byDestination && bySource != .max && source.needed <= bySource)
        if isSourceBetter { sourceBits = bySource } else { destinationBits = byDestination }
    }
}
