import Base
import Flow
import Pipeline
import Testing

/// An answer must hold for all that its mask covers: for random rules and packets, whatever differs from a packet only outside
/// the mask gets the same program, the same drop reason and the same credits.
@Suite struct TranslatorSoundnessTests {
    @Test(arguments: 0..<40) func wildcardedBitsDoNotCount(_ seed: Int) throws {
        let device = try makeSwitch(seed)
        var keys = RandomKeys(random: Random(seed: UInt64(seed) &* 77 &+ 5), ports: 7, tags: seed % 3)
        var compared = 0
        for _ in 0..<60 {
            let key = keys.next()
            let answer = device.answer(key)
            for _ in 0..<20 {
                var other = keys.mutated(key)
                if keys.chance(50) { other = keys.mutated(other) }
                guard agrees(key, other, answer.mask), other != key else { continue }
                compared += 1
                let own = device.answer(other)
                if own.words != answer.words || own.reason != answer.reason || own.credits != answer.credits {
                    report(device, key, other, answer)
                    return
                }
            }
        }
        #expect(compared > 100)
    }

    private func agrees(_ a: FlowKey, _ b: FlowKey, _ mask: FlowMask) -> Bool {
        (0..<FlowKey.wordCount).allSatisfy { (a.words[$0] ^ b.words[$0]) & mask.bits.words[$0] == 0 }
    }

    private func report(
        _ device: TranslatorSwitch, _ key: FlowKey, _ other: FlowKey, _ answer: TranslatorSwitch.Outcome
    ) {
        Issue.record(
            """
            \(device.explain(key))
            but
            \(device.explain(other))
            """)
    }

    private func makeSwitch(_ seed: Int) throws -> TranslatorSwitch {
        let device = TranslatorSwitch()
        let fragments = ["normal", "drop", "nx-match"][seed % 3]
        try device.command("add-br br0 fail-mode=secure frags=\(fragments)")
        try device.command("add-br br1 fail-mode=secure")
        try device.command("set vlan-limit=\(seed % 3 == 1 ? 1 : 2)")
        for line in [
            "p1 ofport=1", "p2 ofport=2 tag=1", "p3 ofport=3 trunks=1,2", "p4 ofport=4 vlan-mode=native-untagged tag=2",
            "p5 ofport=5 vlan-mode=dot1q-tunnel tag=3 cvlans=1,2", "p6 ofport=6 type=patch peer=q1",
        ] { try device.command("add-port br0 \(line)") }
        try device.command("add-port br1 q1 ofport=1 type=patch peer=p6")
        try device.command("add-port br1 q2 ofport=2")
        if seed % 4 == 3 {
            try device.command("add-mirror br0 m0 select-src-port=p1 select-dst-port=p2 output-port=p3")
            try device.command("add-mirror br0 m1 select-all=true select-vlan=1 output-vlan=2")
        }
        for line in [
            "group_id=1,type=all,bucket=actions=mod_dl_dst:02:00:00:00:00:01,output:1,bucket=actions=output:2",
            "group_id=2,type=select,bucket=weight:2,actions=output:1,bucket=weight:1,actions=output:3",
            "group_id=3,type=ff,bucket=watch_port:9,actions=output:1,bucket=watch_port:2,actions=mod_nw_dst:10.0.0.1,output:2",
            "group_id=4,type=indirect,bucket=actions=resubmit(,3)",
        ] { try device.command("add-group br0 '\(line)'") }
        var rules = RandomRules(random: Random(seed: UInt64(seed) &* 31 &+ 1000))
        // What lacks a prerequisite is refused; the next one may do.
        // Many rules make masks wide; with few, it is the actions that have to widen them.
        rules.isPlain = seed % 2 == 1
        var made = 0
        while made < (rules.isPlain ? 16 : 60) {
            let table = rules.random.below(4)
            let line = "table=\(table),\(rules.match()),actions=\(rules.actions(table: table))"
            if (try? device.addFlow("br0", line, cookie: made)) != nil { made += 1 }
        }
        try device.addFlow(
            "br1", "priority=5,in_port=1,actions=mod_dl_src:02:00:00:00:00:09,output:2,in_port", cookie: 99)
        device.learn("br0", vlan: 0, mac: 0x0200_0000_0001, port: "p1")
        device.learn("br0", vlan: 1, mac: 0x0200_0000_0002, port: "p2")
        return device
    }
}
