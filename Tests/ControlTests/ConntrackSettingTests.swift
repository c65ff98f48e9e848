import Conntrack
import Control
import Dataplane
import FrameSupport
import Testing

@Suite struct ConntrackSettingTests {
    @Test func limits() throws {
        let sw = try ConntrackCommandTests.tracking()
        try sw("ct/limits", "default=2", "zone=3,limit=1", "zone=7,limit=0")
        for port in UInt16(1000)..<1005 {
            try sw("inject", "p1", ConntrackCommandTests.udpFrame(port))
            try sw("inject", "p3", ConntrackCommandTests.udpFrame(port))
        }
        #expect(
            try sw("ct/limits")
                == "total limit=3000000,count=3\ndefault limit=2\nzone=3,limit=1,count=1,refused=4\n"
                + "zone=7,limit=0,count=0,refused=0\n")
        #expect(
            try sw("dpctl/ct-get-limits", "zone=1,3")
                == "default limit=2\nzone=1,limit=2,count=2\nzone=3,limit=1,count=1\n")
        #expect(try sw("ct/limits", "zone=1").hasSuffix("zone=1,limit=2,count=2,refused=3\n"))
        // All or nothing.
        for words in [
            ["default=5", "zone=3"], ["default=5", "zone=70000,limit=1"], ["default=-1"], ["zone=3,limit="],
            ["default=5", "bogus"], ["zone=3,limit=1,limit=2"], ["del"], ["del", "limit=3"], ["zone=3", "default=5"],
        ] {
            let response = sw.registry.execute(Request(method: "ct/limits", parameters: words, id: 1))
            #expect(response.error != nil, "\(words)")
        }
        #expect(try sw("dpctl/ct-get-limits").hasPrefix("default limit=2\nzone=3,limit=1,"))
        #expect(sw.error("ct/limits", "zone=70000,limit=1").contains("zone: expected a number from 0 to 65535"))
        try sw("dpctl/ct-set-limits", "default=0", "zone=3,limit=9")
        try sw("dpctl/ct-del-limits", "zone=7")
        #expect(try sw("dpctl/ct-get-limits") == "default limit=0\nzone=3,limit=9,count=1\n")
        try sw("ct/limits", "del", "zone=3,7")
        #expect(try sw("dpctl/ct-get-limits", "zone=3") == "default limit=0\nzone=3,limit=0,count=1\n")
    }

    @Test func timeouts() throws {
        let sw = try ConntrackCommandTests.tracking()
        #expect(try sw("ct/timeouts").contains("tcp-established=86400\n"))
        try sw("ct/timeouts", "zone=3", "udp-first=5", "udp_single=6")
        try sw("ct/timeouts", "udp-first=20")
        #expect(try sw("ct/timeouts", "zone=3").contains("udp-first=5\nudp-single=6\nudp-multiple=30\n"))
        #expect(try sw("ct/timeouts", "zone=1").contains("udp-first=20\n"))
        #expect(try sw("ct/timeouts").hasSuffix("zone=3 udp-first=5 udp-single=6\n"))
        try sw("inject", "p1", ConntrackCommandTests.udpFrame(1000))
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "6000")
        #expect(try sw("ct/dump").contains("zone=1\n") && !sw("ct/dump").contains("zone=3\n"))
        // What a zone does not say follows the default.
        try sw("ct/timeouts", "icmp-first=7")
        #expect(try sw("ct/timeouts", "zone=3").contains("icmp-first=7\n"))
        #expect(sw.error("ct/timeouts", "zone=3", "udp-first=1", "bogus=2").contains("unknown key \"bogus\""))
        #expect(
            sw.error("ct/timeouts", "udp-first=x") == "udp-first: expected a number from 1 to 4294967295, found \"x\"")
        #expect(sw.error("ct/timeouts", "zone=3", "udp-single=0").contains("udp-single: expected a number from 1"))
        #expect(sw.error("ct/timeouts", "zone=x", "udp-first=1").contains("zone: expected a number"))
        #expect(try sw("ct/timeouts", "zone=3").contains("udp-first=5\n"))
        try sw("ct/timeouts", "zone=3", "udp-first=")
        #expect(try sw("ct/timeouts", "zone=3").contains("udp-first=20\n"))
        try sw("ct/timeouts", "del", "zone=3")
        try sw("ct/timeouts", "del")
        #expect(try sw("ct/timeouts", "zone=3") == sw("ct/timeouts"))
        #expect(try sw("ct/timeouts").contains("udp-first=60\n"))
    }

    @Test func settings() throws {
        let sw = try CommandedSwitch.simple()
        #expect(try sw("ct/set").hasPrefix("maxconns=3000000\ntcp-seq-check=on\n"))
        try sw("ct/set", "tcp_seq_check=off", "maxconns=5", "min-frag-v4=800", "early-drop-age=never")
        #expect(try sw("dpctl/ct-get-tcp-seq-chk") == "TCP sequence checking: disabled\n")
        #expect(try sw("dpctl/ct-get-maxconns") == "5\n")
        #expect(!sw.device.tracker.checksSequenceNumbers && sw.device.tracker.earlyDropAge == .max)
        #expect(sw.device.reassembler.limits.minimumIPv4 == 800)
        #expect(sw.error("ct/set", "tcp-seq-check=on", "maxconns=0").contains("maxconns: expected a number from 1"))
        #expect(sw.error("ct/set", "tcp-seq-check=on", "maxconns=16000000").contains("the table was made for 4000000"))
        #expect(sw.error("ct/set", "min-frag-v6=399").contains("min-frag-v6: expected a number from 400"))
        #expect(sw.error("ct/set", "tcp-seq-check").contains("expected KEY=VALUE"))
        #expect(sw.error("ct/set", "tcp-seq-chk=on").contains("unknown key"))
        #expect(!sw.device.tracker.checksSequenceNumbers && sw.device.tracker.limit == 5)
        try sw("dpctl/ct-enable-tcp-seq-chk")
        try sw("dpctl/ct-set-maxconns", "system@x", "9")
        try sw("dpctl/ipf-set-disabled", "v6")
        try sw("dpctl/ipf-set-min-frag", "v4", "600")
        try sw("dpctl/ipf-set-max-nfrags", "10")
        #expect(sw.error("dpctl/ipf-set-min-frag", "v5", "600").contains("expected v4 or v6"))
        #expect(try sw("dpctl/ipf-get-status").hasPrefix("v4 enabled: 1\nv6 enabled: 0\nmax num frags (v4/v6): 10\n"))
        try sw("ct/set", "maxconns=", "min-frag-v4=", "tcp-seq-check=", "early-drop-age=", "ipf-v6=", "max-nfrags=")
        #expect(try sw("ct/set") == CommandedSwitch.simple()("ct/set"))
    }

    // MARK: Files

    static let text = """
        conntrack:
          maxconns: 1000
          tcp-seq-check: off
          min-frag-v4: 600
          limit: 100
          timeouts:
            udp-first: 20
          zones:
            - zone: 3
              limit: 7
              timeouts:
                tcp-syn-sent: 10
                udp-first: 5
            - zone: 9
              limit: 0
        bridges: []

        """

    @Test func savedAndLoaded() throws {
        let sw = try CommandedSwitch()
        try sw("config/load", "ct.yaml", Self.text)
        #expect(try sw("config/show") == Self.text)
        #expect(try sw("dpctl/ct-get-limits") == "default limit=100\nzone=3,limit=7,count=0\nzone=9,limit=0,count=0\n")
        #expect(try sw("ct/timeouts", "zone=3").contains("udp-first=5\n"))
        let before = try ConfigurationTests.parse(Self.text)
        #expect(ConfigurationPlan(from: before, to: before).steps.isEmpty)
        let file = sw.scratch.file("saved")
        try sw("config/save", file)
        try sw("config/load", "empty", "bridges: []\n")
        #expect(sw.device.tracker.limit == 3_000_000 && sw.device.tracker.checksSequenceNumbers)
        #expect(try sw("dpctl/ct-get-limits") == "default limit=0\n")
        #expect(try !sw("ct/timeouts", "zone=3").contains("udp-first=5\n"))
        try sw("config/load", file)
        #expect(try sw("config/show") == Self.text)
        // What is refused changes nothing.
        #expect(sw.error("config/load", "x", "conntrack: {maxconns: 9000000}").contains("the table was made for"))
        #expect(try sw("config/show") == Self.text)
    }

    static let wrong: [(String, String)] = [
        ("conntrack: 7", "1:12: conntrack: expected keys and values, found \"7\""),
        (
            "conntrack:\n  limits: 1",
            "2:3: conntrack.limits: unknown key, expected one of limit, timeouts, zones, policies, maxconns"
        ),
        (
            "conntrack:\n  maxconns: many",
            "2:13: conntrack.maxconns: expected a number from 1 to 16000000, found \"many\""
        ),
        ("conntrack:\n  limit: -1", "2:10: conntrack.limit: expected a number from 0 to"),
        ("conntrack:\n  timeouts: {udp: 1}", "2:14: conntrack.timeouts.udp: unknown key, expected one of tcp-syn-sent"),
        ("conntrack:\n  timeouts: {udp-first: x}", "conntrack.timeouts.udp-first: expected a number from 1"),
        ("conntrack:\n  timeouts: {udp-first: 0}", "conntrack.timeouts.udp-first: expected a number from 1"),
        ("conntrack:\n  zones: 3", "2:10: conntrack.zones: expected a list, found \"3\""),
        ("conntrack:\n  zones: [{limit: 1}]", "conntrack.zones[0]: has no zone"),
        ("conntrack:\n  zones: [{zone: 65536}]", "conntrack.zones[0].zone: expected a number from 0 to 65535"),
        (
            "conntrack:\n  zones: [{zone: 1, limit: 1}, {zone: 1, limit: 2}]",
            "conntrack.zones[1].zone: zone 1 is there twice"
        ),
        ("conntrack:\n  policies: [{timeouts: {}}]", "conntrack.policies[0]: has no name"),
        ("conntrack:\n  policies: [{name: a}, {name: a}]", "conntrack.policies[1].name: policy a is there twice"),
        ("conntrack:\n  policies: [{name: a b}]", "conntrack.policies[0].name: name: expected up to 63 letters"),
        (
            "conntrack:\n  policies: [{name: a, zone: 1}]",
            "conntrack.policies[0].zone: unknown key, expected one of name, timeouts"
        ),
        (
            "conntrack:\n  zones: [{zone: 1, max: 1}]",
            "conntrack.zones[0].max: unknown key, expected one of zone, limit, timeouts"
        ),
        (
            "conntrack:\n  zones: [{zone: 1, timeouts: {tcp_close: -1}}]",
            "conntrack.zones[0].timeouts.tcp-close: expected a number from 1"
        ),
    ]

    @Test(arguments: wrong) func wrongFile(text: String, message: String) {
        do {
            _ = try ConfigurationTests.parse(text)
            Issue.record("\(text) is accepted")
        } catch {
            #expect(error.description.contains(message), "\(error)")
        }
    }

    /// `ct(commit,timeout=NAME)` counts for new connections, in place of what holds in the zone.
    @Test func namedTimeouts() throws {
        let sw = try ConntrackCommandTests.tracking()
        #expect(
            sw.error("add-flow", "br0", "in_port=3,ip,actions=ct(commit,timeout=short)").contains("no timeout policy"))
        try sw("ct/timeouts", "name=short", "udp-first=5", "udp-single=7")
        try sw("ct/timeouts", "udp-single=30")
        try sw("ct/timeouts", "zone=3", "udp-single=600", "udp-first=600")
        #expect(try sw("ct/timeouts", "name=short").contains("udp-first=5\nudp-single=7\nudp-multiple=30\n"))
        #expect(try sw("ct/timeouts").hasSuffix("\nname=short udp-first=5 udp-single=7\n"))
        #expect(sw.json("ct/timeouts")["policies"]?["short"]?["udp-single"] == 7)
        let actions = "actions=ct(commit,zone=3,timeout=short),output:4"
        try sw("add-flow", "br0", "in_port=3,ip,\(actions)")
        #expect(try sw("dump-flows", "--no-stats", "br0").contains(" ip,in_port=3 \(actions)"))
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000), ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "6000")
        #expect(try sw("ct/dump").contains("zone=3"))
        // A change counts from the next packet on; what the policy does not say any more is as by default.
        try sw("ct/timeouts", "name=short", "udp-single=")
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "29000")
        #expect(try sw("ct/dump").contains("zone=3"))
        try sw("time/warp", "2000")
        #expect(try !sw("ct/dump").contains("zone=3"))
        for wrong in [
            ["name="], ["name=a b", "udp-first=1"], ["name=none"], ["del", "name=none"], ["name=x", "bogus=1"],
        ] {
            #expect(
                sw.registry.execute(Request(method: "ct/timeouts", parameters: wrong, id: 1)).error != nil, "\(wrong)")
        }
        #expect(sw.error("add-flow", "br0", "ip,actions=ct(timeout=short)").contains("requires \"commit\""))
    }

    /// No rule is left with a policy that is not there.
    @Test func namedTimeoutsInUse() throws {
        let sw = try ConntrackCommandTests.tracking()
        try sw("ct/timeouts", "name=a", "udp-first=5")
        try sw("add-flow", "br0", "table=7,ip,actions=clone(ct(commit,timeout=a))")
        try sw("add-group", "br0", "group_id=1,type=all,bucket=ct(commit,timeout=a)")
        #expect(sw.error("ct/timeouts", "del", "name=a").contains("timeout policy a is in use: flows or groups of br0"))
        try sw("del-flows", "br0", "table=7")
        #expect(sw.error("ct/timeouts", "del", "name=a").contains("in use"))
        try sw("del-groups", "br0")
        try sw("ct/timeouts", "del", "name=a")
        #expect(try !sw("ct/timeouts").contains("name="))
        for number in 0..<127 { try sw("ct/timeouts", "name=p\(number)", "udp-first=\(number + 1)") }
        #expect(sw.error("ct/timeouts", "name=more", "udp-first=1").contains("no more"))
        // Numbers come round, and each name keeps its own.
        for round in 0..<300 {
            try sw("ct/timeouts", "del", "name=p0")
            try sw("ct/timeouts", "name=p0", "udp-first=\(1000 + round)")
        }
        try sw("add-flow", "br0", "in_port=1,ip,actions=ct(commit,zone=1,timeout=p126)")
        try sw("inject", "p1", ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "126000")
        #expect(try sw("ct/dump").contains("zone=1"))
        try sw("time/warp", "1500")
        #expect(try !sw("ct/dump").contains("zone=1"))
    }

    /// Configurations that name policies become each other, both ways.
    @Test func namedTimeoutsInFiles() throws {
        let sw = try CommandedSwitch.simple()
        func file(_ name: String, _ used: String) -> String {
            """
            conntrack:
              policies:
                - name: \(name)
                  timeouts: {udp-first: 5}
            bridges:
              - name: br0
                local: none
                flows: |
                  udp,actions=ct(commit,timeout=\(used))

            """
        }
        try sw("config/load", "a", file("a", "a"))
        let saved = try sw("config/show")
        #expect(saved.contains("  policies:\n    - name: a\n      timeouts:\n        udp-first: 5\n"))
        #expect(saved.contains("ct(commit,timeout=a)"))
        try sw("config/load", "b", file("b", "b"))
        #expect(try sw("ct/timeouts").hasSuffix("\nname=b udp-first=5\n"))
        #expect(sw.error("config/load", "wrong", file("a", "b")).contains("there is no timeout policy \"b\""))
        #expect(try sw("ct/timeouts").hasSuffix("\nname=b udp-first=5\n"))
        try sw("config/load", "saved", saved)
        #expect(try sw("config/show") == saved)
    }

    private func fragment(_ payload: [UInt8], at offset: Int, more: Bool, identification: UInt8 = 0) -> String {
        var packet = ipv4(
            0x0a00_0001, 0x0a00_0002, ipProtocol: 17, fragment: UInt16(offset / 8) | (more ? 0x2000 : 0), payload)
        packet[5] = identification
        packet.replaceSubrange(10..<12, with: [0, 0])
        packet.replaceSubrange(10..<12, with: be16(checksum(Array(packet[0..<20]))))
        return ethernet(type: 0x800, packet).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// A fragment that is refused, comes twice or overlaps can be told from the others.
    @Test func fragmentCounters() throws {
        let sw = try ConntrackCommandTests.tracking()
        try sw("ct/set", "max-nfrags=1")
        let payload = [UInt8](repeating: 1, count: 1200)
        try sw("inject", "p1", fragment(payload, at: 0, more: true))
        try sw("inject", "p1", fragment(payload, at: 0, more: true))
        try sw("inject", "p1", fragment(payload, at: 8, more: true))
        for number in 1...3 as ClosedRange<UInt8> {
            try sw("inject", "p1", fragment(payload, at: 0, more: true, identification: number))
        }
        #expect(try sw("ct/stats").contains("too small 0, duplicate 1, overlapping 1, refused 3\n"))
        #expect(try sw("metrics").contains("weft_fragments_total{reason=\"refused\"} 3\n"))
        #expect(try sw("dpctl/ipf-get-status").contains("v4 frags overlapped: 2\n"))
        #expect(sw.json("dpctl/ipf-get-status")["refused"]?["v4"] == 3)
        #expect(try sw("ct/stats").contains("\nannounced by helpers: waiting 0, evicted 0\n"))
        #expect(try sw("ct/stats").contains("\nwithout a lookup: by session 0\n"))
        #expect(try sw("metrics").contains("weft_connections_announced 0\n"))
    }

    /// `trace` of a fragment neither holds it nor lets others go.
    @Test func traceLeavesFragmentsAlone() throws {
        let sw = try ConntrackCommandTests.tracking()
        let payload = udp(.v4(0x0a00_0001, 0x0a00_0002), 5, 6, payload: Array(repeating: 1, count: 1400 - 8))
        let first = fragment(Array(payload[..<1200]), at: 0, more: true)
        let last = fragment(Array(payload[1200...]), at: 1200, more: false)
        try sw("trace", "br0", "in_port=1", first)
        #expect(sw.device.reassembler.held == 0)
        try sw("inject", "p1", first)
        try sw("trace", "br0", "in_port=1", last)
        #expect(sw.device.reassembler.held == 1)
        #expect(sw.device.balance.isEven)
        try sw("inject", "p1", last)
        #expect(sw.device.reassembler.held == 0)
        #expect(sw.device.balance.isEven)
        #expect(try sw("drops").hasPrefix("received 0, injected 2, copies 0, sent 2, dropped 0, held 0\n"))
    }

    /// A change reaches connections that were begun under timeouts which their zone has no more.
    @Test func timeoutsOfAZoneThatHadItsOwn() throws {
        let sw = try ConntrackCommandTests.tracking()
        try sw("ct/timeouts", "zone=3", "udp-first=5", "udp-single=5")
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000))
        try sw("ct/timeouts", "del", "zone=3")
        try sw("ct/timeouts", "udp-first=500", "udp-single=500")
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "400000")
        #expect(try sw("ct/dump").contains("zone=3"))
        // And again, on the way back to its own.
        try sw("ct/timeouts", "zone=3", "udp-single=5")
        try sw("ct/timeouts", "udp-single=600")
        try sw("inject", "p3", ConntrackCommandTests.udpFrame(1000))
        try sw("time/warp", "6000")
        #expect(try !sw("ct/dump").contains("zone=3"))
    }

    /// Fragments that wait are a term of the balance.
    @Test func heldFragments() throws {
        let sw = try ConntrackCommandTests.tracking()
        let payload = udp(.v4(0x0a00_0001, 0x0a00_0002), 5, 6, payload: Array(repeating: 1, count: 1400 - 8))
        let first = ethernet(
            type: 0x800, ipv4(0x0a00_0001, 0x0a00_0002, ipProtocol: 17, fragment: 0x2000, Array(payload[..<1200])))
        let hex = first.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        try sw("inject", "p1", hex)
        #expect(try sw("drops").hasPrefix("received 0, injected 1, copies 0, sent 0, dropped 0, held 1\n"))
        #expect(sw.json("drops")["held"] == 1)
        #expect(try sw("ct/stats").contains("fragments: held 1, accepted 1, "))
        #expect(try sw("metrics").contains("weft_fragments_held 1\n"))
        #expect(sw.device.balance.isEven)
        try sw("time/warp", "31000")
        #expect(try sw("drops").hasPrefix("received 0, injected 1, copies 0, sent 0, dropped 1, held 0\n"))
        #expect(sw.device.balance.isEven)
    }
}
