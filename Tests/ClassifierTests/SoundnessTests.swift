import Classifier
import Flow
import Testing

/// A megaflow answers for every packet that agrees with its mask: so a lookup of any such key must come out the same.
@Suite struct SoundnessTests {
    @Test(arguments: 200..<UInt64(240))
    func `bits outside the mask do not matter`(seed: UInt64) {
        var table = RandomTable(seed: seed)
        var scratch = ClassifierScratch()
        for _ in 0..<(2 * effort) {
            for _ in 0..<20 { table.insert() }
            for _ in 0..<5 { _ = table.remove() }
            for _ in 0..<4 {
                let original = table.key()
                let (rule, mask) = look(table.classifier, original, &scratch)
                for flip in 0..<40 {
                    // Bits of other keys of the table are likelier to hit something than noise.
                    let other = flip % 2 == 0 ? table.key() : noise(&table.random)
                    let changed = merge(original, other, mask)
                    let again = look(table.classifier, changed, &scratch)
                    #expect(again.rule == rule)
                }
            }
        }
    }

    @Test(arguments: 300..<UInt64(310))
    func `each single bit outside the mask does not matter`(seed: UInt64) {
        var table = RandomTable(seed: seed)
        var scratch = ClassifierScratch()
        for _ in 0..<80 { table.insert() }
        for _ in 0..<effort {
            let original = table.key()
            let (rule, mask) = look(table.classifier, original, &scratch)
            for word in 0..<FlowKey.wordCount {
                for bit in 0..<64 where mask.bits.words[word] >> UInt64(bit) & 1 == 0 {
                    var changed = original
                    changed.words[word] ^= 1 << UInt64(bit)
                    let again = look(table.classifier, changed, &scratch).rule
                    if again != rule { Issue.record("word \(word) bit \(bit): \(String(describing: again))") }
                }
            }
        }
    }

    @Test(arguments: 400..<UInt64(410))
    func `bits that are in the mask before stay, and change nothing but the mask`(seed: UInt64) {
        var table = RandomTable(seed: seed)
        var scratch = ClassifierScratch()
        for _ in 0..<80 { table.insert() }
        for _ in 0..<(10 * effort) {
            var key = table.key()
            var mask = noiseMask(&table.random)
            let before = mask
            let rule = table.classifier.lookup(&key, mask: &mask, scratch: &scratch)
            #expect(rule == look(table.classifier, key, &scratch).rule)
            for i in 0..<FlowKey.wordCount { #expect(before.bits.words[i] & ~mask.bits.words[i] == 0) }
            for _ in 0..<10 {
                let changed = merge(key, table.key(), mask)
                #expect(look(table.classifier, changed, &scratch).rule == rule)
            }
        }
    }

    private func noise(_ random: inout SeededGenerator) -> FlowKey {
        var key = FlowKey()
        for i in 0..<FlowKey.wordCount { key.words[i] = random.next() }
        return key
    }

    /// Few bits, mostly leading ones of addresses.
    private func noiseMask(_ random: inout SeededGenerator) -> FlowMask {
        var mask = FlowMask()
        for slot in RandomTable.prefixFields where random.chance(50) {
            let all: UInt128 = slot.width == 128 ? ~0 : (1 << UInt128(slot.width)) - 1
            mask.bits[wide: slot] = all & ~(all >> UInt128(1 + random.below(slot.width - 1)))
        }
        if random.chance(20) { mask.bits.words[random.below(FlowKey.wordCount)] |= random.next() }
        return mask
    }

    private func merge(_ key: FlowKey, _ other: FlowKey, _ mask: FlowMask) -> FlowKey {
        var merged = key
        for i in 0..<FlowKey.wordCount {
            let bits = mask.bits.words[i]
            merged.words[i] = (key.words[i] & bits) | (other.words[i] & ~bits)
        }
        return merged
    }
}
