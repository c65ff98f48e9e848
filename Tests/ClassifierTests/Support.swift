import Classifier
import Flow

/// SplitMix64: the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

extension Match {
    /// Demands a value of all bits of a field.
    func with(_ slot: Slot, _ value: UInt128) -> Match {
        with(slot, value, mask: slot.width == 128 ? ~0 : (1 << UInt128(slot.width)) - 1)
    }

    /// Demands a value of the leading bits of a field.
    func with(_ slot: Slot, _ value: UInt128, prefix: Int) -> Match {
        let all = slot.width == 128 ? ~0 : (UInt128(1) << UInt128(slot.width)) - 1
        return with(slot, value, mask: all & ~(prefix == 0 ? all : all >> UInt128(prefix)))
    }

    func with(_ slot: Slot, _ value: UInt128, mask: UInt128) -> Match {
        var copy = self
        copy.key[wide: slot] = value & mask
        copy.mask.bits[wide: slot] = mask
        return copy
    }

    static var ip: Match { Match().with(.ethType, 0x0800) }
    static var ipv6: Match { Match().with(.ethType, 0x86dd) }
    static var tcp: Match { ip.with(.nwProto, 6) }
    static var udp: Match { ip.with(.nwProto, 17) }
}

/// A key from a list of fields.
func key(_ fields: (Slot, UInt128)...) -> FlowKey {
    var key = FlowKey()
    for (slot, value) in fields { key[wide: slot] = value }
    return key
}

/// 10.1.2.3 and the like.
func ipv4(_ a: UInt128, _ b: UInt128, _ c: UInt128, _ d: UInt128) -> UInt128 { a << 24 | b << 16 | c << 8 | d }

/// A lookup with the mask that it returns.
func look(
    _ classifier: Classifier, _ key: FlowKey, _ scratch: inout ClassifierScratch
) -> (rule: RuleIndex?, mask: FlowMask) {
    var key = key
    var mask = FlowMask()
    let rule = classifier.lookup(&key, mask: &mask, scratch: &scratch)
    return (rule, mask)
}

func look(_ classifier: Classifier, _ key: FlowKey) -> (rule: RuleIndex?, mask: FlowMask) {
    var scratch = ClassifierScratch()
    return look(classifier, key, &scratch)
}

/// The mask that consists of these bits.
func mask(_ fields: (Slot, UInt128)...) -> FlowMask {
    var mask = FlowMask()
    for (slot, value) in fields { mask.bits[wide: slot] = value }
    return mask
}

#if DEBUG
    /// Unoptimised builds make one round where optimised ones make this many.
    let effort = 1
#else
    let effort = 10
#endif
