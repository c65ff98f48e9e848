import Classifier
import Flow
import Testing

/// The classifier against the scan of all rules.
@Suite struct DifferentialTests {
    @Test(arguments: 0..<UInt64(40))
    func `same results while rules come and go`(seed: UInt64) {
        var table = RandomTable(seed: seed)
        var scratch = ClassifierScratch()
        for round in 0..<12 {
            let grows = round % 6 < 4
            for _ in 0..<30 {
                if table.random.chance(grows ? 80 : 20) {
                    table.insert()
                } else {
                    let (removed, expected) = table.remove()
                    #expect(removed == expected)
                }
            }
            #expect(table.classifier.count == table.linear.count)
            for _ in 0..<(15 * effort) {
                let key = table.key()
                let candidates = table.linear.candidates(key)
                let found = look(table.classifier, key, &scratch).rule
                let agrees = found.map { candidates.contains($0) } ?? candidates.isEmpty
                if !agrees { Issue.record("found \(String(describing: found)), not one of \(candidates)") }
            }
        }
        while !table.rules.isEmpty {
            let (removed, expected) = table.remove()
            #expect(removed == expected)
        }
        #expect(table.classifier.count == 0)
        #expect(table.classifier.maskCount == 0)
        #expect(look(table.classifier, table.key()).mask == FlowMask())
    }

    @Test(arguments: 100..<UInt64(120))
    func `same visits, overlaps and exact finds`(seed: UInt64) {
        var table = RandomTable(seed: seed)
        for _ in 0..<120 { table.insert() }
        for _ in 0..<30 { _ = table.remove() }
        var seen: [RuleIndex] = []
        table.classifier.forEachRule { seen.append($0) }
        #expect(seen.sorted() == table.rules.map(\.rule).sorted())
        for rule in table.rules {
            #expect(table.classifier.find(rule.match, priority: rule.priority) == rule.rule)
            #expect(
                table.classifier.find(rule.match, priority: 2000)
                    == table.linear.find(rule.match, priority: 2000))
            var wider = rule.match
            for slot in RandomTable.exactFields + RandomTable.prefixFields where table.random.chance(50) {
                wider = wider.with(slot, 0, mask: 0)
            }
            for match in [rule.match, wider] {
                var found: [RuleIndex] = []
                var expected: [RuleIndex] = []
                table.classifier.forEachLooseMatch(of: match) { found.append($0) }
                table.linear.forEachLooseMatch(of: match) { expected.append($0) }
                #expect(found.sorted() == expected.sorted())
                let priority = UInt16(table.random.below(20))
                #expect(
                    table.classifier.overlaps(match, priority: priority)
                        == table.linear.overlaps(match, priority: priority))
            }
        }
    }
}
