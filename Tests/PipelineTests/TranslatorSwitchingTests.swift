import Base
import Flow
import Pipeline
import Testing

/// NORMAL, patch ports, groups, mirrors, learning.
@Suite struct TranslatorSwitchingTests {
    func makeSwitch(_ setup: [String], _ flows: [String] = []) throws -> TranslatorSwitch {
        let device = TranslatorSwitch()
        for line in setup { try device.command(line) }
        for (i, flow) in flows.enumerated() { try device.addFlow("br0", flow, cookie: i + 1) }
        return device
    }

    func frame(_ device: TranslatorSwitch, _ port: String, src: UInt64 = 1, dst: UInt64 = 2) -> FlowKey {
        var key = FlowKey()
        key[.inPort] = UInt64(device.model.state.port(named: port)?.index.rawValue ?? 0)
        key[.ethSrc] = 0x0200_0000_0000 | src
        key[.ethDst] = dst == 0 ? 0xffff_ffff_ffff : 0x0200_0000_0000 | dst
        key[.ethType] = 0x1234
        return key
    }

    static let learning = ["add-br br0 fail-mode=standalone"] + (1...3).map { "add-port br0 p\($0) ofport=\($0)" }

    @Test func normalLearnsAndForwards() throws {
        let device = try makeSwitch(Self.learning)
        let first = device.answer(frame(device, "p1"), effects: device.effects)
        #expect(device.format(first.words) == "p2,p3,br0")
        #expect(first.credits.contains { $0.kind == .stationSeen })
        let generation = device.model.changes.generation
        let reply = device.answer(frame(device, "p2", src: 2, dst: 1), effects: device.effects)
        #expect(device.format(reply.words) == "p1")
        // Where the first frame went is no longer true.
        #expect(device.model.changes.wasTouched(first.dependencies, since: generation))
        #expect(device.program(frame(device, "p1")) == "p2")
        #expect(device.answer(frame(device, "p1", src: 1, dst: 1)).reason == .inputPortIsOutputPort)
    }

    @Test func dryRunsLearnNothing() throws {
        let device = try makeSwitch(Self.learning)
        _ = device.explain(frame(device, "p1"))
        #expect(device.program(frame(device, "p2", src: 2, dst: 1)) == "p1,p3,br0")
    }

    @Test func reservedAddressesStay() throws {
        let device = try makeSwitch(Self.learning)
        var key = frame(device, "p1")
        key[.ethDst] = 0x0180_c200_0003
        #expect(device.answer(key).reason == .reservedAddress)
    }

    @Test func vlansAreKeptApart() throws {
        let device = try makeSwitch([
            "add-br br0 fail-mode=standalone", "add-port br0 p1 ofport=1 tag=5", "add-port br0 p2 ofport=2 tag=5",
            "add-port br0 p3 ofport=3 tag=6", "add-port br0 p4 ofport=4 trunks=5,7",
        ])
        #expect(device.program(frame(device, "p1")) == "p2,push_vlan(vid=5,pcp=0),p4,br0")
        var tagged = frame(device, "p4")
        tagged[.vlanTPID] = 0x8100
        tagged[.vlanTCI] = 0x1006
        #expect(device.answer(tagged).reason == .vlanNotAllowed)
        tagged[.vlanTCI] = 0x1005
        #expect(device.program(tagged) == "br0,pop_vlan,p1,p2")
    }

    @Test func protectedPortsDoNotTalk() throws {
        let device = try makeSwitch([
            "add-br br0 fail-mode=standalone", "add-port br0 p1 ofport=1 protected=true",
            "add-port br0 p2 ofport=2 protected=true", "add-port br0 p3 ofport=3",
        ])
        #expect(device.program(frame(device, "p1")) == "p3,br0")
    }

    // MARK: Patch ports

    @Test func patchPortsLeadOn() throws {
        let device = try makeSwitch(
            [
                "add-br br0 fail-mode=secure", "add-br br1 fail-mode=secure", "add-port br0 p1 ofport=1",
                "add-port br0 x ofport=9 type=patch peer=y", "add-port br1 y ofport=8 type=patch peer=x",
                "add-port br1 q1 ofport=1",
            ],
            [
                "actions=load:7->NXM_NX_REG0[],mod_dl_dst:02:00:00:00:00:07,output:9,move:NXM_NX_REG0[0..7]->NXM_OF_ETH_SRC[0..7],in_port"
            ])
        try device.addFlow("br1", "reg0=7,actions=drop", cookie: 5)
        try device.addFlow("br1", "priority=1,in_port=8,actions=mod_dl_dst:02:00:00:00:00:08,output:1", cookie: 6)
        #expect(
            device.program(frame(device, "p1"))
                == "set(eth(dst=02:00:00:00:00:08)),q1,set(eth(src=00:00:00:00:00:07/00:00:00:00:00:ff,dst=02:00:00:00:00:07)),p1"
        )
    }

    @Test func bridgesThatFeedEachOtherEnd() throws {
        let device = try makeSwitch(
            [
                "add-br br0 fail-mode=secure", "add-br br1 fail-mode=secure", "add-port br0 p1 ofport=1",
                "add-port br0 x ofport=9 type=patch peer=y", "add-port br1 y ofport=8 type=patch peer=x",
            ], ["actions=output:9,in_port"])
        try device.addFlow("br1", "actions=in_port", cookie: 6)
        #expect(!device.answer(frame(device, "p1")).words.isEmpty)
    }

    // MARK: Groups

    @Test func failoverFollowsTheLink() throws {
        let device = try makeSwitch(
            Self.learning + [
                "add-group br0 group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_port:3,actions=output:3"
            ], ["priority=9,actions=group:1"])
        #expect(device.program(frame(device, "p1")) == "p2")
        try device.command("set-port p2 admin=down")
        #expect(device.program(frame(device, "p1")) == "p3")
        try device.command("set-port p3 admin=down")
        #expect(device.answer(frame(device, "p1")).reason == .groupWithoutLiveBucket)
        #expect(device.answer(frame(device, "p1")).dependencies.contains(.groups))
    }

    @Test func bucketsWorkOnCopies() throws {
        let device = try makeSwitch(
            Self.learning + [
                "add-group br0 'group_id=1,type=all,bucket=actions=mod_dl_dst:02:00:00:00:00:09,output:2,bucket=actions=output:3'"
            ], ["priority=9,actions=group:1,in_port"])
        #expect(device.program(frame(device, "p1")) == "clone(set(eth(dst=02:00:00:00:00:09)),p2),p3,p1")
    }

    @Test func selectSpreadsByWeight() throws {
        let device = try makeSwitch(
            Self.learning + [
                "add-group br0 'group_id=1,type=select,bucket=weight:3,actions=output:2,bucket=weight:1,actions=output:3,bucket=weight:0,actions=output:1'"
            ], ["priority=9,actions=group:1"])
        var counts: [String: Int] = [:]
        for source in 1...2000 as ClosedRange<UInt64> {
            let key = frame(device, "p1", src: source)
            let outcome = device.answer(key)
            counts[device.format(outcome.words), default: 0] += 1
            #expect(outcome.mask[.ethSrc] == 0xffff_ffff_ffff)
            #expect(device.answer(key).words == outcome.words)
        }
        #expect(counts.count == 2)
        #expect((1300...1800).contains(counts["p2", default: 0]))
    }

    // MARK: Mirrors

    @Test func mirrorsCopyOnce() throws {
        let device = try makeSwitch(
            Self.learning + ["add-mirror br0 m select-all=true output-port=p3"],
            ["priority=9,in_port=1,actions=output:2,mod_dl_dst:02:00:00:00:00:09,output:2"])
        // In and out are the same packet.
        #expect(device.program(frame(device, "p1")) == "p3,p2,set(eth(dst=02:00:00:00:00:09)),p2")
        #expect(device.answer(frame(device, "p3")).reason == .mirrorOutputPort)
    }

    // MARK: learn, check_pkt_larger

    @Test func learnedRulesAreAskedForOnce() throws {
        let device = try makeSwitch(
            Self.learning,
            [
                "priority=9,actions=learn(table=1,hard_timeout=10,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,1)"
            ])
        let key = frame(device, "p1")
        let first = device.answer(key, effects: device.effects)
        #expect(!first.isCacheable)
        #expect(device.model.applyLearned(now: device.now) == 1)
        let second = device.answer(key, effects: device.effects)
        #expect(second.isCacheable)
        #expect(second.credits.contains { $0.kind == .ruleLearned })
        #expect(device.model.applyLearned(now: device.now) == 0)
        #expect(device.program(frame(device, "p2", src: 2, dst: 1)) == "p1")
        #expect(second.mask[.ethSrc] == 0xffff_ffff_ffff)
    }

    @Test func bothLengthsAreTranslated() throws {
        let device = try makeSwitch(
            Self.learning,
            [
                "priority=9,actions=check_pkt_larger(100)->NXM_NX_REG0[0],resubmit(,1)",
                "table=1,reg0=1,actions=output:2", "table=1,priority=1,actions=output:3",
            ])
        #expect(device.program(frame(device, "p1")) == "check_pkt_len(size=100,gt(p2),le(p3))")
    }
}
