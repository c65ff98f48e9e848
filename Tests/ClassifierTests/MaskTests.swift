import Classifier
import Flow
import Testing

/// How few bits a lookup may look at: the tables and megaflows that OVS's own tests expect (tests/classifier.at), without
/// what translation adds, and some more.
@Suite struct MaskTests {
    private static let noFragment: (Slot, UInt128) = (.nwFrag, 0xff)

    private func table(_ rules: [(Match, UInt16)]) -> Classifier {
        let classifier = Classifier()
        for (i, (match, priority)) in rules.enumerated() {
            classifier.insert(match, priority: priority, rule: RuleIndex(i))
        }
        return classifier
    }

    private func packet(_ port: UInt128, _ source: UInt128, _ destination: UInt128, to tpDst: UInt128) -> FlowKey {
        key(
            (.inPort, port), (.ethSrc, 0x5054_0000_0005), (.ethDst, 0x5054_0000_0007), (.ethType, 0x0800),
            (.ipv4Src, source), (.ipv4Dst, destination), (.nwProto, 6), (.nwTTL, 128), (.tpSrc, 8), (.tpDst, tpDst))
    }

    /// "lookup segmentation".
    private var segmented: Classifier {
        let tcp1 = Match.tcp.with(.inPort, 1)
        return table([
            (tcp1.with(.ipv4Dst, ipv4(10, 1, 0, 0), prefix: 16), 16),
            (tcp1.with(.ipv4Dst, ipv4(10, 1, 2, 15)), 32),
            (tcp1.with(.ipv4Dst, ipv4(10, 1, 2, 15)).with(.tpDst, 80), 33),
            (Match.ip.with(.inPort, 1), 0),
            (Match.tcp.with(.inPort, 2).with(.ipv4Dst, ipv4(192, 168, 0, 0), prefix: 16), 16),
            (Match.ip.with(.inPort, 2), 0),
            (Match.tcp.with(.inPort, 3).with(.ipv4Src, ipv4(10, 1, 0, 0), prefix: 16), 16),
            (Match.ip.with(.inPort, 3), 0),
        ])
    }

    @Test func `a prefix that matches is all that counts of an address`() {
        let (rule, found) = look(segmented, packet(2, ipv4(192, 168, 0, 1), ipv4(192, 168, 0, 2), to: 80))
        #expect(rule == 4)
        #expect(
            found
                == mask((.inPort, ~0), (.ethType, 0xffff), (.nwProto, 0xff), (.ipv4Dst, 0xffff_0000)))
    }

    @Test func `a prefix that no rule has ends a lookup before the protocol`() {
        let (rule, found) = look(segmented, packet(1, ipv4(192, 168, 0, 1), ipv4(11, 1, 2, 15), to: 80))
        #expect(rule == 3)
        #expect(found == mask((.inPort, ~0), (.ethType, 0xffff), (.ipv4Dst, 0xff00_0000)))
    }

    @Test func `a port that matches counts whole, one that does not up to the first different bit`() {
        let classifier = segmented
        let common = mask((.inPort, ~0), (.ethType, 0xffff), (.nwProto, 0xff), (.ipv4Dst, ~0))
        for (port, expectedRule, bits) in [(80, 2, 0xffff), (79, 1, 0xfff0), (81, 1, 0xffff), (0x8000, 1, 0x8000)]
            as [(UInt128, RuleIndex, UInt64)]
        {
            let (rule, found) = look(classifier, packet(1, ipv4(192, 168, 0, 1), ipv4(10, 1, 2, 15), to: port))
            var expected = common
            expected.bits[.tpDst] = bits
            #expect(rule == expectedRule)
            #expect(found == expected)
        }
    }

    /// "prefix lookup".
    @Test func `ports of several subtables`() {
        let tcp1 = Match.tcp.with(.inPort, 1)
        let host = tcp1.with(.ipv4Dst, ipv4(10, 1, 2, 15))
        let classifier = table([
            (tcp1.with(.ipv4Dst, ipv4(10, 1, 0, 0), prefix: 16), 16),
            (tcp1.with(.ipv4Dst, ipv4(10, 1, 2, 0), prefix: 24).with(.tpSrc, 79), 32),
            (host.with(.tpDst, 80), 33), (host.with(.tpDst, 8080), 33), (host.with(.tpDst, 192), 33),
            (Match.ip.with(.inPort, 1), 0),
        ])
        let (rule, found) = look(classifier, packet(1, ipv4(192, 168, 0, 1), ipv4(10, 1, 2, 15), to: 79))
        #expect(rule == 0)
        #expect(
            found
                == mask(
                    (.inPort, ~0), (.ethType, 0xffff), (.nwProto, 0xff), (.ipv4Dst, ~0), (.tpSrc, 0xffc0),
                    (.tpDst, 0xfff0)))
        #expect(look(classifier, packet(1, 0, ipv4(192, 168, 0, 2), to: 80)).mask.bits[.ipv4Dst] == 0x8000_0000)
    }

    /// "lookup segmentation - final stage".
    @Test func `the port trie leaves other fields of the last stage alone`() {
        let psh: UInt128 = 8
        let classifier = table([
            (Match.tcp.with(.inPort, 1).with(.tpDst, 80).with(.tcpFlags, psh, mask: psh), 33),
            (Match.ip.with(.inPort, 1), 0),
        ])
        for (port, flags, expectedRule, bits) in [
            (80, 2, 1, 0xffff), (80, 0x18, 0, 0xffff), (79, 0, 1, 0xfff0), (81, 8, 1, 0xffff),
        ] as [(UInt128, UInt64, RuleIndex, UInt128)] {
            var packet = packet(1, 1, 2, to: port)
            packet[.tcpFlags] = flags
            let (rule, found) = look(classifier, packet)
            #expect(rule == expectedRule)
            #expect(
                found
                    == mask(
                        (.inPort, ~0), (.ethType, 0xffff), (.nwProto, 0xff), (.tpDst, bits), (.tcpFlags, psh)))
        }
    }

    @Test func `stages end a lookup where nothing fits`() {
        let classifier = table([
            (Match.ip.with(.metadata, 5).with(.ethDst, 7).with(.nwTOS, 4).with(.tcpFlags, 1), 9),
            (Match.ip.with(.metadata, 6).with(.ethDst, 8).with(.nwTOS, 8).with(.tcpFlags, 2), 9),
        ])
        var packet = key((.metadata, 4), (.ethDst, 7), (.ethType, 0x0800), (.nwTOS, 4), (.tcpFlags, 1))
        var expected = mask((.metadata, ~0))
        #expect(look(classifier, packet).mask == expected)
        packet[.metadata] = 5
        packet[.ethDst] = 9
        expected.setExact(.ethDst)
        expected.setExact(.ethType)
        #expect(look(classifier, packet).mask == expected)
        packet[.ethDst] = 7
        packet[.nwTOS] = 8
        expected.setExact(.nwTOS)
        #expect(look(classifier, packet).mask == expected)
        packet[.nwTOS] = 4
        packet[.tcpFlags] = 2
        expected.bits[.tcpFlags] = 0xffff
        #expect(look(classifier, packet).mask == expected)
    }

    @Test func `a rule of higher priority ends the lookup`() {
        let classifier = table([(Match().with(.inPort, 1), 10), (Match().with(.ethDst, 1), 5), (Match(), 0)])
        #expect(look(classifier, key((.inPort, 1), (.ethDst, 1))).mask == mask((.inPort, ~0)))
        #expect(look(classifier, key((.inPort, 2), (.ethDst, 1))).mask == mask((.inPort, ~0), (.ethDst, ~0)))
        #expect(look(table([(Match(), 0)]), key((.inPort, 2))).mask == FlowMask())
    }

    /// For every value: no more leading bits than it takes to tell it from all prefixes that do not match.
    @Test(arguments: [Slot.ipv4Src, .ipv4Dst, .ipv6Src, .ipv6Dst])
    func `address bits are as few as can be`(slot: Slot) {
        var random = SeededGenerator(UInt64(slot.word))
        let prefixes: [(UInt128, Int)] = (0..<12).map { _ in
            (UInt128(random.next() & 0xff) << UInt128(slot.width - 8), 1 + random.below(8))
        }
        let base = slot.width == 32 ? Match.ip : Match.ipv6
        let classifier = Classifier()
        for (i, (value, length)) in prefixes.enumerated() {
            let match = base.with(slot, value, prefix: length)
            if classifier.find(match, priority: 1) == nil { classifier.insert(match, priority: 1, rule: RuleIndex(i)) }
        }
        for top in 0..<UInt128(256) {
            let value = top << UInt128(slot.width - 8)
            let lengths = prefixes.map { prefix -> Int in
                let equal = min(((prefix.0 ^ value) << UInt128(128 - slot.width)).leadingZeroBitCount, prefix.1)
                return equal == prefix.1 ? 0 : equal + 1
            }
            let (rule, found) = look(classifier, key((.ethType, base.key[wide: .ethType]), (slot, value)))
            let bits = found.bits[wide: slot] << UInt128(128 - slot.width)
            if lengths.contains(0) {
                #expect(rule != nil)
            } else {
                #expect(rule == nil)
                #expect((~bits).leadingZeroBitCount == lengths.max())
            }
            #expect(bits.nonzeroBitCount == (~bits).leadingZeroBitCount)
        }
    }
}
