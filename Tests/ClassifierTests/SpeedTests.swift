import Classifier
import Flow
import Testing

/// Prints how long things take; docs/classifier.md has the figures of an optimised build. Nothing here can fail by being
/// slow.
@Suite(.serialized) struct SpeedTests {
    /// The table of the side-by-side benchmark: prefix pairs, some with a port, below a catch-all for IP.
    static func accessList(_ count: Int, seed: UInt64) -> Classifier {
        var random = SeededGenerator(seed)
        let classifier = Classifier()
        for rule in 0..<count {
            let source = UInt128(0x0a00_0000 | random.below(1 << 22))
            let destination = UInt128(0x0a40_0000 | random.below(1 << 22))
            var match = Match.udp.with(.ipv4Src, source, prefix: random.pick([8, 10, 12, 14, 16, 20, 24]))
                .with(.ipv4Dst, destination, prefix: random.pick([8, 12, 14, 16, 18, 20, 22, 24, 26, 28]))
            if let port = random.pick([nil, 80, 443, 53] as [UInt128?]) { match = match.with(.tpDst, port) }
            let priority = UInt16(10 + random.below(990))
            if classifier.find(match, priority: priority) == nil {
                classifier.insert(match, priority: priority, rule: RuleIndex(rule))
            }
        }
        classifier.insert(.ip, priority: 1, rule: RuleIndex(count))
        return classifier
    }

    static func accessListKeys(_ count: Int, seed: UInt64) -> [FlowKey] {
        var random = SeededGenerator(seed)
        return (0..<count).map { _ in
            key(
                (.inPort, 1), (.ethType, 0x0800), (.ethSrc, 0x02_0000_0000_02), (.ethDst, 0x02_0000_0000_01),
                (.nwProto, 17), (.nwTTL, 64), (.ipv4Src, UInt128(0x0a00_0000 | random.below(1 << 22))),
                (.ipv4Dst, UInt128(0x0a40_0000 | random.below(1 << 22))),
                (.tpSrc, UInt128(1024 + random.below(60000))), (.tpDst, random.pick([80, 443, 53, 8080, 5432])))
        }
    }

    private func measure(_ name: String, _ classifier: Classifier, _ keys: [FlowKey], rounds: Int) {
        var scratch = ClassifierScratch()
        var mask = FlowMask()
        var best = Duration.seconds(1)
        for _ in 0..<rounds {
            let time = ContinuousClock().measure {
                keys.withUnsafeBufferPointer { keys in
                    for i in 0..<keys.count {
                        for word in 0..<FlowKey.coreWords { mask.bits.words[unchecked: word] = 0 }
                        _ = classifier.lookup(keys.baseAddress! + i, mask: &mask, scratch: &scratch)
                    }
                }
            }
            best = min(best, time / keys.count)
        }
        print("\(name): \(Self.nanoseconds(best)) a lookup, \(classifier.maskCount) masks")
    }

    private static func nanoseconds(_ time: Duration) -> String { "\(time.attoseconds / 1_000_000_000) ns" }

    @Test func lookups() {
        let keys = Self.accessListKeys(1000, seed: 9)
        for size in [100, 500, 2000] {
            measure("\(size) access rules", Self.accessList(size, seed: 5), keys, rounds: 10 * effort)
        }
        let empty = Classifier()
        measure("no rule", empty, keys, rounds: 10 * effort)
        let one = Classifier()
        one.insert(Match(), priority: 0, rule: 1)
        measure("one rule for all", one, keys, rounds: 10 * effort)
        let few = Classifier()
        few.insert(Match.ip.with(.inPort, 1), priority: 100, rule: 1)
        few.insert(Match(), priority: 0, rule: 2)
        measure("in_port=1,ip and one for all", few, keys, rounds: 10 * effort)
        let stations = Classifier()
        for i in 0..<1000 { stations.insert(Match().with(.ethDst, UInt128(i)), priority: 1, rule: RuleIndex(i)) }
        measure("1000 stations", stations, keys, rounds: 10 * effort)
    }

    @Test func megaflows() {
        let classifier = Self.accessList(500, seed: 5)
        var scratch = ClassifierScratch()
        let keys = Self.accessListKeys(1000 * effort, seed: 9)
        var masks: Set<[UInt64]> = []
        var megaflows: Set<[UInt64]> = []
        for key in keys {
            let mask = look(classifier, key, &scratch).mask
            let words = (0..<FlowKey.coreWords).map { mask.bits.words[$0] }
            masks.insert(words)
            megaflows.insert(words + (0..<FlowKey.coreWords).map { mask.bits.words[$0] & key.words[$0] })
        }
        print("\(keys.count) flows: \(masks.count) megaflow masks, \(megaflows.count) megaflows")
    }

    @Test func changes() {
        let count = 10_000 * effort
        for (name, match) in [
            ("one mask", { (i: Int) in Match.udp.with(.ipv4Dst, UInt128(i)).with(.tpDst, UInt128(i & 0xff)) }),
            (
                "prefixes",
                { (i: Int) in Match.ip.with(.ipv4Dst, UInt128(i &* 0x9e37_79b1 & 0xffff_ffff), prefix: 8 + i % 25) }
            ),
            ("IPv6", { (i: Int) in Match.ipv6.with(.ipv6Dst, UInt128(i) << 64, prefix: 64) }),
        ] as [(String, (Int) -> Match)] {
            let matches = (0..<count).map(match)
            var best = (insertion: Duration.seconds(10), removal: Duration.seconds(10))
            for _ in 0..<3 {
                let (insertion, removal) = change(matches)
                best = (min(best.insertion, insertion), min(best.removal, removal))
            }
            print(
                "\(name): insert \(Self.nanoseconds(best.insertion / count)), "
                    + "remove \(Self.nanoseconds(best.removal / count)) a rule")
        }
    }

    private func change(_ matches: [Match]) -> (insertion: Duration, removal: Duration) {
        let classifier = Classifier()
        let insertion = ContinuousClock().measure {
            for i in matches.indices {
                classifier.insert(matches[i], priority: UInt16(truncatingIfNeeded: i), rule: RuleIndex(i))
            }
        }
        #expect(classifier.count == matches.count)
        let removal = ContinuousClock().measure {
            for i in matches.indices.reversed() {
                classifier.remove(matches[i], priority: UInt16(truncatingIfNeeded: i))
            }
        }
        #expect(classifier.count == 0)
        return (insertion, removal)
    }
}
