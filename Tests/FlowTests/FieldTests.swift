import Base
import Flow
import Testing

@Suite struct FieldTests {
    @Test func namesAreUnique() {
        var seen: Set<String> = []
        for field in MatchField.all {
            #expect(seen.insert(field.name).inserted, "\(field.name)")
            #expect(MatchField(name: field.name) == field)
        }
        #expect(MatchField.all.count == Set(MatchField.all).count)
        #expect(MatchField(name: "nw_src") == .ipv4Src)
        #expect(MatchField(name: "tp_dst") == .tcpDst)
        #expect(MatchField(name: "reg16") == nil)
    }

    /// What is written into a field comes out of it, and nothing else of the key changes.
    @Test func writtenValuesReadBack() {
        var random = SeededGenerator(seed: 11)
        for field in MatchField.all {
            guard let layout = field.layout, field.width > 0 else { continue }
            for _ in 0..<50 {
                var key = FlowKey()
                for i in 0..<FlowKey.wordCount { key.words[i] = random.next() }
                let before = key
                let value = UInt128.random(in: 0...FieldLayout.ones(field.width), using: &random) & layout.stored
                if field == .inPort, value >= 0xff00 { continue }
                key.set(field, value)
                #expect(key.value(of: field) & FieldLayout.ones(field.width) == value, "\(field.name)")
                for i in 0..<FlowKey.wordCount where i != layout.slot.word && i != layout.slot.word + 1 {
                    let isTPID = layout.slot == .vlanTCI && i == Slot.vlanTPID.word
                    #expect(key.words[i] == before.words[i] || isTPID, "\(field.name)")
                }
            }
        }
    }

    /// A subfield's bits change, and no others of the field.
    @Test func subfieldsKeepTheOtherBits() {
        var random = SeededGenerator(seed: 12)
        for field in MatchField.all where field.layout != nil && field != .inPort && field.prerequisite != .ethernet {
            for _ in 0..<50 {
                let offset = Int.random(in: 0..<field.width, using: &random)
                let subfield = Subfield(
                    field, offset: offset, width: Int.random(in: 1...(field.width - offset), using: &random))
                var key = FlowKey()
                let all = FieldLayout.ones(field.width)
                key.set(field, UInt128.random(in: 0...UInt128.max, using: &random) & all)
                let before = key.value(of: field)
                let value = UInt128.random(in: 0...FieldLayout.ones(subfield.width), using: &random)
                key.set(subfield, value)
                let bits = FieldLayout.ones(subfield.width) << UInt128(offset)
                let stored = field.layout?.stored ?? 0
                #expect(key.value(of: field) & ~bits & all == before & ~bits & all, "\(field.name)")
                #expect(key.value(of: subfield) == value & (stored >> UInt128(offset)), "\(field.name)")
            }
        }
    }

    /// Two packets that agree under the mask of a field have the same value in it, and in its prerequisite.
    @Test func markedBitsDecideTheValue() {
        var random = SeededGenerator(seed: 13)
        for field in MatchField.all where field.layout != nil {
            for _ in 0..<50 {
                var mask = FlowMask()
                mask.mark(field)
                mask.markPrerequisite(field.prerequisite)
                var one = FlowKey()
                var other = FlowKey()
                for i in 0..<FlowKey.wordCount {
                    one.words[i] = random.next()
                    other.words[i] = (one.words[i] & mask.bits.words[i]) | (random.next() & ~mask.bits.words[i])
                }
                #expect(one.value(of: field) == other.value(of: field), "\(field.name)")
                #expect(one.satisfies(field.prerequisite) == other.satisfies(field.prerequisite), "\(field.name)")
            }
        }
    }

    @Test func specialPortNumbers() {
        var key = FlowKey()
        key.set(.inPort, 0xfffe)
        #expect(key[.inPort] == UInt64(PortNumber.local.rawValue))
        #expect(key.value(of: .inPort) == 0xfffe)
        #expect(key.value(of: .inPortOXM) == 0xffff_fffe)
    }
}
