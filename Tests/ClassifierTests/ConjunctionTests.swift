import Classifier
import Flow
import Testing

/// The tables that OVS's own tests have for conjunctions (tests/classifier.at, "conjunctive match").
@Suite struct ConjunctionTests {
    private func source(_ n: UInt128, _ length: Int = 32) -> Match { .ip.with(.ipv4Src, n, prefix: length) }
    private func destination(_ n: UInt128, _ length: Int = 32) -> Match { .ip.with(.ipv4Dst, n, prefix: length) }
    private func host(_ n: UInt128) -> UInt128 { ipv4(10, 0, 0, n) }
    private func conjID(_ id: UInt32) -> Match { Match().with(.conjID, UInt128(id)) }

    /// A packet from and to 10.0.0.n.
    private func packet(_ source: UInt128, _ destination: UInt128) -> FlowKey {
        key((.inPort, 1), (.ethType, 0x0800), (.ipv4Src, source), (.ipv4Dst, destination))
    }

    @Test func `one conjunction beside plain rules`() {
        let classifier = Classifier()
        classifier.insert(conjID(1), priority: 32768, rule: 3)
        for (i, n) in [1, 4, 6, 7].enumerated() {
            classifier.insert(
                source(host(UInt128(n))), priority: 100, rule: RuleIndex(100 + i),
                conjunctions: [Conjunction(id: 1, clause: 1, of: 2)])
        }
        for (i, n) in [2, 5, 7, 8].enumerated() {
            classifier.insert(
                destination(host(UInt128(n))), priority: 100, rule: RuleIndex(200 + i),
                conjunctions: [Conjunction(id: 1, clause: 2, of: 2)])
        }
        classifier.insert(source(host(1)).with(.ipv4Dst, host(4)), priority: 100, rule: 4)
        classifier.insert(source(host(3)).with(.ipv4Dst, host(5)), priority: 100, rule: 5)
        classifier.insert(Match(), priority: 0, rule: 2)
        for from in 0..<8 {
            for to in 0..<8 {
                let expected: RuleIndex =
                    switch (from, to) {
                    case (1, 4): 4
                    case (3, 5): 5
                    case (1, 2), (1, 5), (1, 7), (4, 2), (4, 5), (4, 7), (6, 2), (6, 5), (6, 7), (7, 2), (7, 5), (7, 7):
                        3
                    default: 2
                    }
                let (rule, mask) = look(classifier, packet(host(UInt128(from)), host(UInt128(to))))
                #expect(rule == expected, "from \(from) to \(to)")
                #expect(mask.bits[.conjID] == 0xffff_ffff, "the first lookup met the rule on conj_id")
            }
        }
    }

    @Test func `several conjunctions share rules`() {
        let classifier = Classifier()
        for id in UInt32(1)...3 { classifier.insert(conjID(id), priority: 32768, rule: id) }
        var next: RuleIndex = 100
        func add(_ match: Match, _ conjunctions: (UInt32, UInt8, UInt8)...) {
            next += 1
            classifier.insert(
                match, priority: 5, rule: next,
                conjunctions: conjunctions.map { Conjunction(id: $0.0, clause: $0.1, of: $0.2) })
        }
        add(source(ipv4(20, 0, 0, 0), 8), (1, 1, 2), (2, 1, 2))
        add(source(ipv4(10, 1, 0, 0), 16), (1, 1, 2), (3, 2, 3))
        add(source(ipv4(10, 2, 0, 0), 16), (1, 1, 2), (2, 1, 2))
        add(source(ipv4(10, 1, 3, 0), 24), (1, 1, 2), (3, 2, 3))
        add(source(ipv4(10, 1, 4, 5)), (1, 1, 2), (2, 1, 2))
        for (address, length) in [
            (ipv4(20, 0, 0, 0), 8), (ipv4(10, 1, 0, 0), 16), (ipv4(10, 2, 0, 0), 16), (ipv4(10, 1, 3, 0), 24),
            (ipv4(10, 1, 4, 5), 32),
        ] { add(destination(address, length), (1, 2, 2)) }
        add(destination(ipv4(30, 0, 0, 0), 8), (2, 2, 2), (3, 1, 3))
        add(destination(ipv4(40, 5, 0, 0), 16), (2, 2, 2), (3, 1, 3))
        for port in [UInt128(80), 443] {
            add(.tcp.with(.tpDst, port), (3, 3, 3))
            add(.tcp.with(.tpSrc, port), (3, 3, 3))
        }
        classifier.insert(Match(), priority: 0, rule: 4)

        let sources = [
            ipv4(20, 0, 0, 1), ipv4(10, 1, 0, 1), ipv4(10, 2, 0, 1), ipv4(10, 1, 3, 1), ipv4(10, 1, 4, 5),
            ipv4(1, 2, 3, 4),
        ]
        let destinations = sources.dropLast() + [ipv4(30, 0, 0, 1), ipv4(40, 5, 0, 1), ipv4(1, 2, 3, 4)]
        for (a, from) in sources.enumerated() {
            for (b, to) in destinations.enumerated() {
                for (from, to, fromPort, toPort) in [80, 443, 8080].flatMap({ first in
                    [80, 443, 8080].map { (from, to, UInt128(first), UInt128($0)) }
                }) {
                    let expected: RuleIndex =
                        switch (a + 1, b + 1) {
                        case (1...5, 1...5): 1
                        case (1, 6...7), (3, 6...7), (5, 6...7): 2
                        case (2, 6...7) where fromPort != 8080 || toPort != 8080: 3
                        case (4, 6...7) where fromPort != 8080 || toPort != 8080: 3
                        default: 4
                        }
                    var packet = packet(from, to)
                    packet[.nwProto] = 6
                    packet[.tpSrc] = UInt64(fromPort)
                    packet[.tpDst] = UInt64(toPort)
                    #expect(look(classifier, packet).rule == expected, "from \(a) to \(b), \(fromPort) to \(toPort)")
                }
            }
        }
    }

    @Test func `an incomplete conjunction uncovers lower rules with the same match`() {
        let classifier = Classifier()
        classifier.insert(conjID(1), priority: 32768, rule: 1)
        classifier.insert(conjID(3), priority: 32768, rule: 3)
        var next: RuleIndex = 100
        func add(_ priority: UInt16, _ match: Match, _ id: UInt32, _ clause: UInt8) {
            next += 1
            classifier.insert(
                match, priority: priority, rule: next, conjunctions: [Conjunction(id: id, clause: clause, of: 2)])
        }
        for n in [UInt128(1), 2] { add(5, source(host(n)), 1, 1) }
        for n in [UInt128(1), 2, 3] { add(5, destination(host(n)), 1, 2) }
        classifier.insert(source(host(3)).with(.ipv4Dst, host(2)), priority: 4, rule: 2)
        for n in [UInt128(1), 3] { add(3, source(host(n)), 3, 1) }
        for n in [UInt128(2), 3, 4] { add(3, destination(host(n)), 3, 2) }
        classifier.insert(destination(host(1)), priority: 2, rule: 4)
        classifier.insert(source(host(1)).with(.ipv4Dst, host(5)), priority: 1, rule: 5)
        classifier.insert(Match(), priority: 0, rule: 6)
        for from in 0..<4 {
            for to in 0..<6 {
                let expected: RuleIndex =
                    switch (from, to) {
                    case (1...2, 1...3): 1
                    case (3, 2): 2
                    case (1, 2...4), (3, 2...4): 3
                    case (_, 1): 4
                    case (1, 5): 5
                    default: 6
                    }
                #expect(
                    look(classifier, packet(host(UInt128(from)), host(UInt128(to)))).rule == expected,
                    "from \(from) to \(to)")
            }
        }
    }

    @Test func `no rule on conj_id: the next lower priority decides`() {
        let classifier = Classifier()
        classifier.insert(source(1), priority: 9, rule: 1, conjunctions: [Conjunction(id: 7, clause: 1, of: 2)])
        classifier.insert(destination(2), priority: 9, rule: 2, conjunctions: [Conjunction(id: 7, clause: 2, of: 2)])
        #expect(look(classifier, packet(1, 2)).rule == nil)
        classifier.insert(.ip, priority: 1, rule: 3)
        #expect(look(classifier, packet(1, 2)).rule == 3)
    }

    @Test func `64 clauses, and clauses that cannot be`() {
        let classifier = Classifier()
        classifier.insert(conjID(9), priority: 1, rule: 9)
        var packet = FlowKey()
        for clause in 1...UInt8(64) {
            // One subtable for each clause.
            classifier.insert(
                Match().with(.metadata, 0, mask: 1 << UInt128(clause - 1)), priority: 5, rule: RuleIndex(clause) + 100,
                conjunctions: [Conjunction(id: 9, clause: clause, of: 64)])
        }
        classifier.insert(
            Match().with(.ethDst, 0), priority: 5, rule: 99,
            conjunctions: [Conjunction(id: 8, clause: 0, of: 2), Conjunction(id: 8, clause: 200, of: 2)])
        #expect(look(classifier, packet).rule == 9)
        packet[.metadata] = 1 << 63
        #expect(look(classifier, packet).rule == nil)
    }
}
