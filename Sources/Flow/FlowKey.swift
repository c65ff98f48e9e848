/// Everything a rule can match on, of one packet: the same field order for packets, rules and megaflows.
///
/// A key is 80 words of 64 bits in host order. A field is a run of bits inside one word (or, for 128-bit
/// addresses and labels, two neighbouring words, the high half first), named once in `Slot`. So copying,
/// masking, hashing, comparing and prefix tests are plain integer work, whatever the field.
///
/// The order follows use. The first five words (40 bytes) hold all there is to an untagged or single-tagged
/// IPv4 or plain layer 2 frame: such a key and its cache entry fit one cache line. Words 5 to 16 complete what
/// a received frame can carry (second VLAN tag, IPv6, ARP and ND addresses, MPLS, IGMP). The rest is metadata:
/// conntrack, tunnel, registers.
///
/// A field that a frame does not carry, or that cannot be trusted because the frame is cut short, is zero.
public struct FlowKey: Sendable {
    public typealias Words = InlineArray<80, UInt64>

    public var words: Words

    @inlinable public init() { words = Words(repeating: 0) }

    /// Words of an untagged IPv4 or plain layer 2 frame.
    @inlinable public static var coreWords: Int { 5 }
    /// Words that extraction from frame bytes can fill.
    @inlinable public static var packetWords: Int { 17 }
    /// Words that packets can differ in once connection tracking has seen them.
    @inlinable public static var trackedWords: Int { 28 }
    /// First word of the OpenFlow metadata and registers, which are zero when a packet enters.
    @inlinable public static var registerWords: Range<Int> { 37..<47 }
    @inlinable public static var wordCount: Int { 80 }

    /// A field of at most 64 bits.
    @inlinable public subscript(_ slot: Slot) -> UInt64 {
        @inline(__always) get { (words[unchecked: slot.word] &>> UInt64(slot.shift)) & slot.lowMask }
        @inline(__always) set {
            let mask = slot.lowMask &<< UInt64(slot.shift)
            words[unchecked: slot.word] =
                (words[unchecked: slot.word] & ~mask) | ((newValue &<< UInt64(slot.shift)) & mask)
        }
    }

    /// A field of any width.
    @inlinable public subscript(wide slot: Slot) -> UInt128 {
        get {
            slot.width <= 64
                ? UInt128(self[slot])
                : UInt128(words[unchecked: slot.word]) &<< 64 | UInt128(words[unchecked: slot.word &+ 1])
        }
        set {
            if slot.width <= 64 {
                self[slot] = UInt64(truncatingIfNeeded: newValue)
            } else {
                words[unchecked: slot.word] = UInt64(truncatingIfNeeded: newValue &>> 64)
                words[unchecked: slot.word &+ 1] = UInt64(truncatingIfNeeded: newValue)
            }
        }
    }
}

extension FlowKey: Equatable {
    public static func == (a: FlowKey, b: FlowKey) -> Bool {
        for i in 0..<wordCount where a.words[i] != b.words[i] { return false }
        return true
    }
}

/// Which bits of a `FlowKey` count: a one bit must agree, a zero bit may be anything.
public struct FlowMask: Equatable, Sendable {
    public var bits: FlowKey

    @inlinable public init() { bits = FlowKey() }

    @inlinable public subscript(_ slot: Slot) -> UInt64 {
        get { bits[slot] }
        set { bits[slot] = newValue }
    }

    /// Marks all bits of a field as looked at.
    @inlinable public mutating func setExact(_ slot: Slot) {
        if slot.width <= 64 {
            bits.words[unchecked: slot.word] |= slot.lowMask &<< UInt64(slot.shift)
        } else {
            bits.words[unchecked: slot.word] = ~0
            bits.words[unchecked: slot.word &+ 1] = ~0
        }
    }
}
