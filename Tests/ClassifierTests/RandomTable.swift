import Classifier
import Flow

/// Random rules and keys over few values, so that rules overlap, hide each other and share masks, and keys hit.
struct RandomTable {
    var random: SeededGenerator
    /// Fields and masks that the rules of this table draw from.
    private let masks: [FlowMask]
    private let priorities: Int
    private(set) var rules: [(match: Match, priority: UInt16, rule: RuleIndex, conjunctions: [Conjunction])] = []
    let classifier = Classifier()
    var linear = LinearClassifier()
    private var nextRule: RuleIndex = 0

    static let exactFields: [Slot] = [
        .inPort, .metadata, .reg(0), .reg(7), .ctState, .ctZone, .packetType, .tunID, .tunMetadataSpace,
        .ethType, .vlanTCI, .ethDst, .ethSrc, .vlanTPID, .innerVlanTCI, .mpls0,
        .nwProto, .nwFrag, .nwTOS, .nwTTL, .ipv6Label, .ctIPv4Src,
        .tcpFlags, .arpSHA, .ndTarget, .igmpGroup, .ndReserved, .ctTpSrc, .ctLabel,
    ]
    static let prefixFields: [Slot] = [.ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst, .tpSrc, .tpDst]

    init(seed: UInt64) {
        random = SeededGenerator(seed)
        priorities = random.pick([3, 20, 1000])
        var masks: [FlowMask] = []
        var fields: [Slot] = []
        for _ in 0..<random.pick([1, 3, 6]) { fields.append(random.pick(Self.exactFields)) }
        for _ in 0..<random.pick([1, 4, 20, 60]) { masks.append(Self.mask(&random, fields)) }
        self.masks = masks
    }

    private static func mask(_ random: inout SeededGenerator, _ fields: [Slot]) -> FlowMask {
        var mask = FlowMask()
        for slot in fields where random.chance(50) {
            mask.bits[wide: slot] = random.chance(80) ? ~0 : UInt128(random.next()) << 40 | UInt128(random.next())
        }
        for slot in prefixFields where random.chance(35) {
            let all: UInt128 = slot.width == 128 ? ~0 : (1 << UInt128(slot.width)) - 1
            let length = random.chance(70) ? random.pick([1, 2, 8, 12, 16, slot.width]) : 1 + random.below(slot.width)
            mask.bits[wide: slot] = length >= slot.width ? all : all & ~(all >> UInt128(length))
            // Now and then no prefix at all.
            if random.chance(8) { mask.bits[wide: slot] = UInt128(random.next()) }
        }
        if random.chance(20) { mask.setExact(.ethType) }
        return mask
    }

    /// A key whose fields have one of few values, some of which share long prefixes.
    mutating func key() -> FlowKey {
        var key = FlowKey()
        for slot in Self.exactFields + Self.prefixFields { key[wide: slot] = value(slot) }
        return key
    }

    private mutating func value(_ slot: Slot) -> UInt128 {
        if slot.width < 16 { return UInt128(random.below(3)) }
        let top = UInt128(random.pick([0x0a, 0x0b, 0xc0])) << UInt128(slot.width - 8)
        let next = random.chance(60) ? 0 : UInt128(random.below(4)) << UInt128(slot.width - 12)
        let low = random.chance(50) ? 0 : UInt128(random.below(8))
        return top | next | low
    }

    mutating func insert() {
        var match = Match()
        match.mask = random.pick(masks)
        let key = random.chance(80) || rules.isEmpty ? self.key() : random.pick(rules).match.key
        for i in 0..<FlowKey.wordCount { match.key.words[i] = key.words[i] & match.mask.bits.words[i] }
        let priority = UInt16(random.below(priorities))
        if random.chance(5) {
            // What conjunctions lead to.
            match.mask.setExact(.conjID)
            match.key[.conjID] = UInt64(1 + random.below(4))
        }
        guard linear.find(match, priority: priority) == nil else { return }
        let conjunctions = random.chance(25) ? randomConjunctions() : []
        nextRule += 1
        rules.append((match, priority, nextRule, conjunctions))
        linear.insert(match, priority: priority, rule: nextRule, conjunctions: conjunctions)
        classifier.insert(match, priority: priority, rule: nextRule, conjunctions: conjunctions)
    }

    private mutating func randomConjunctions() -> [Conjunction] {
        (0..<random.pick([1, 1, 2])).map { _ in
            // An id has the same number of clauses everywhere.
            let id = UInt32(1 + random.below(4))
            let count = id <= 2 ? 2 : 3
            return Conjunction(id: id, clause: UInt8(1 + random.below(count)), of: UInt8(count))
        }
    }

    /// What the two classifiers removed; they have to agree.
    mutating func remove() -> (RuleIndex?, RuleIndex?) {
        if rules.isEmpty { return (nil, nil) }
        let at = random.below(rules.count)
        let rule = rules.remove(at: at)
        return (
            classifier.remove(rule.match, priority: rule.priority), linear.remove(rule.match, priority: rule.priority)
        )
    }
}
