import Base
import Flow
import Pipeline
import Testing

@Suite struct TranslatorTests {
    /// A secure bridge with ports p1 to p5.
    func makeSwitch(_ flows: [String], _ setup: [String] = []) throws -> TranslatorSwitch {
        let device = TranslatorSwitch()
        try device.command("add-br br0 fail-mode=secure")
        for i in 1...5 { try device.command("add-port br0 p\(i) ofport=\(i)") }
        for line in setup { try device.command(line) }
        for (i, flow) in flows.enumerated() { try device.addFlow("br0", flow, cookie: i + 1) }
        return device
    }

    func tcp(_ device: TranslatorSwitch, _ port: String = "p1") -> FlowKey {
        var key = FlowKey()
        key[.inPort] = UInt64(device.model.state.port(named: port)?.index.rawValue ?? 0)
        key[.ethSrc] = 0x0200_0000_0001
        key[.ethDst] = 0x0200_0000_0002
        key[.ethType] = 0x0800
        key[.ipv4Src] = 0x0a00_0001
        key[.ipv4Dst] = 0x0a00_0002
        key[.nwProto] = 6
        key[.nwTTL] = 64
        key[.tpSrc] = 1000
        key[.tpDst] = 80
        return key
    }

    func mask(_ device: TranslatorSwitch, _ key: FlowKey) -> String {
        let outcome = device.answer(key)
        return FlowPrinter().megaflow(key, outcome.mask).replacing("recirc_id=0,eth,", with: "")
    }

    /// Without a controller nobody resumes a packet: what stands behind `pause` never comes, wherever it stands.
    @Test func pausedPacketsDoNotGoOn() throws {
        let device = try makeSwitch([
            "in_port=1,actions=output:2,resubmit(,1),output:3",
            "in_port=5,actions=output:2,write_actions(output:3),goto_table:1",
            "table=1,actions=controller(pause),output:4",
        ])
        for port in ["p1", "p5"] {
            #expect(device.program(tcp(device, port)) == "p2,userspace(pid=0,controller(reason=1))")
        }
    }

    /// There is no collector that a sample could go to; the packet is not to suffer for it.
    @Test func samplingLeavesThePacketAlone() throws {
        let device = try makeSwitch([
            "actions=sample(probability=65535,collector_set_id=1,obs_domain_id=1,obs_point_id=1),output:2"
        ])
        #expect(device.program(tcp(device)) == "p2")
    }

    // MARK: Masks

    @Test func lookingAtNothingMasksNothing() throws {
        let device = try makeSwitch(["actions=output:2"])
        #expect(device.program(tcp(device)) == "p2")
        let index = tcp(device)[.inPort]
        #expect(mask(device, tcp(device)) == "ip,in_port=\(index),nw_frag=no")
    }

    @Test func constantsAreWrittenWithoutReading() throws {
        let device = try makeSwitch(["tcp,actions=mod_dl_dst:02:00:00:00:00:09,mod_tp_dst:81,output:2"])
        #expect(
            device.program(tcp(device)) == "set(eth(dst=02:00:00:00:00:09)),set(tcp(dst=81)),p2")
        let outcome = device.answer(tcp(device))
        #expect(outcome.mask[.ethDst] == 0)
        #expect(outcome.mask[.tpDst] == 0)
        #expect(outcome.mask[.nwProto] == 0xff)
    }

    @Test func overwrittenFieldsNoLongerCount() throws {
        let device = try makeSwitch([
            "priority=1,actions=mod_dl_dst:02:00:00:00:00:09,load:5->NXM_NX_REG0[],resubmit(,1)",
            "table=1,dl_dst=02:00:00:00:00:09,reg0=5,actions=output:2",
        ])
        let outcome = device.answer(tcp(device))
        #expect(device.format(outcome.words) == "set(eth(dst=02:00:00:00:00:09)),p2")
        #expect(outcome.mask[.ethDst] == 0)
        #expect(outcome.mask[.reg(0)] == 0)
    }

    @Test func moveReadsItsSource() throws {
        let device = try makeSwitch(["ip,actions=move:NXM_OF_IP_SRC[0..7]->NXM_OF_ETH_DST[0..7],output:2"])
        let outcome = device.answer(tcp(device))
        #expect(device.format(outcome.words) == "set(eth(dst=00:00:00:00:00:01/00:00:00:00:00:ff)),p2")
        #expect(outcome.mask[.ipv4Src] == 0xff)
        #expect(outcome.mask[.ethDst] == 0)
    }

    @Test func tagsOfUntaggedFramesAreOneBit() throws {
        let device = try makeSwitch(["dl_vlan=3,actions=2", "priority=1,actions=3"])
        let outcome = device.answer(tcp(device))
        #expect(outcome.mask[.vlanTCI] == 0x1000)
        #expect(outcome.mask[.vlanTPID] == 0)
        #expect(outcome.mask.bits.words[5] == 0)
    }

    @Test func fragmentsHavePortsForActionsOnly() throws {
        let device = try makeSwitch([
            "tcp,tp_dst=80,actions=output:2",
            "priority=1,tcp,ip_frag=not_later,actions=move:NXM_OF_TCP_DST[]->NXM_NX_REG0[0..15],resubmit(,1)",
            "table=1,reg0=80,actions=output:3",
        ])
        var key = tcp(device)
        key[.nwFrag] = 1
        #expect(device.program(key) == "p3")
    }

    // MARK: Copies

    @Test func cloneCopiesOnlyWhatCannotBeRestored() throws {
        let device = try makeSwitch([
            "in_port=1,actions=clone(mod_dl_dst:02:00:00:00:00:09,output:2),output:3",
            "in_port=2,actions=mod_dl_dst:02:00:00:00:00:07,clone(mod_dl_dst:02:00:00:00:00:09,output:3),output:4",
            "in_port=3,actions=clone(output:1),clone(output:2)",
            "in_port=4,actions=output:1,clone(mod_dl_dst:02:00:00:00:00:09,output:3)",
        ])
        #expect(device.program(tcp(device, "p1")) == "clone(set(eth(dst=02:00:00:00:00:09)),p2),p3")
        #expect(
            device.program(tcp(device, "p2"))
                == "set(eth(dst=02:00:00:00:00:09)),p3,set(eth(dst=02:00:00:00:00:07)),p4")
        #expect(device.program(tcp(device, "p3")) == "p1,p2")
        #expect(device.program(tcp(device, "p4")) == "p1,set(eth(dst=02:00:00:00:00:09)),p3")
    }

    /// Rules that ovs-ofctl would not take apart: actions behind instructions.
    func add(_ actions: [Action], to device: TranslatorSwitch) throws {
        _ = try device.model.apply(FlowMod(.add, priority: 9, actions: actions), to: "br0", now: device.now)
    }

    @Test func cloneRunsItsOwnCopyOfTheActionSet() throws {
        let device = try makeSwitch([])
        try add([.writeActions([.output(PortNumber(2))]), .clone([.output(PortNumber(3))])], to: device)
        #expect(device.program(tcp(device)) == "p3,p2,p2")
    }

    @Test func setsRunInTheirOrder() throws {
        let device = try makeSwitch([])
        try add(
            [
                .writeActions([.output(PortNumber(2)), .setEthDst(0x0200_0000_0009)]),
                .writeActions([.pushVLAN(0x8100), .output(PortNumber(3))]),
            ], to: device)
        #expect(device.program(tcp(device)) == "set(eth(dst=02:00:00:00:00:09)),push_vlan(vid=0,pcp=0),p3")
    }

    // MARK: Limits

    @Test func backwardResubmitsAreLimited() throws {
        let device = try makeSwitch(["actions=output:2,resubmit(,0)"])
        let outcome = device.answer(tcp(device))
        #expect(outcome.words.isEmpty)
        #expect(outcome.reason == .resubmitDepth)
    }

    @Test func forwardResubmitsDoNotDeepen() throws {
        var flows = ["actions=resubmit(,1)"]
        for i in 1..<100 { flows.append("table=\(i),actions=resubmit(,\(i + 1))") }
        flows.append("table=100,actions=output:2")
        let device = try makeSwitch(flows)
        #expect(device.program(tcp(device)) == "p2")
        #expect(device.answer(tcp(device)).credits.count == 101)
    }

    @Test func resubmitsInAllAreLimited() throws {
        var flows: [String] = []
        for i in 0..<13 { flows.append("table=\(i),actions=resubmit(,\(i + 1)),resubmit(,\(i + 1))") }
        flows.append("table=13,actions=output:2")
        let device = try makeSwitch(flows)
        #expect(device.answer(tcp(device)).reason == .resubmitCount)
    }

    @Test func exhaustedTTLEndsItsListOnly() throws {
        let device = try makeSwitch([
            "ip,actions=resubmit(,1),output:3", "table=1,ip,actions=dec_ttl,output:2",
        ])
        var key = tcp(device)
        #expect(device.program(key) == "set(ipv4(ttl=63)),p2,p3")
        key[.nwTTL] = 1
        #expect(device.program(key).hasSuffix("p3"))
        #expect(!device.program(key).contains("p2"))
    }

    // MARK: Drops

    @Test(arguments: [
        ("actions=drop", DropReason.ruleDrop), ("dl_type=0x1234,actions=2", .tableMiss),
        ("actions=output:1", .inputPortIsOutputPort), ("actions=output:77", .noOutput),
        ("actions=write_actions(mod_dl_dst:02:00:00:00:00:09)", .actionSetWithoutOutput),
        ("actions=resubmit(,7)", .tableMiss),
    ])
    func dropsHaveReasons(_ flow: String, _ reason: DropReason) throws {
        let device = try makeSwitch([flow])
        let outcome = device.answer(tcp(device))
        #expect(outcome.words.isEmpty)
        #expect(outcome.reason == reason)
    }

    @Test func portFlagsCount() throws {
        let device = try makeSwitch(
            ["in_port=1,actions=flood", "in_port=2,actions=all", "in_port=3,actions=2"],
            ["mod-port br0 p4 no-flood", "mod-port br0 p5 no-forward", "mod-port br0 p3 no-receive"])
        #expect(device.program(tcp(device, "p1")) == "p2,p3,br0")
        #expect(device.program(tcp(device, "p2")) == "p1,p3,p4,br0")
        #expect(device.answer(tcp(device, "p3")).reason == .portReceiveDisabled)
    }

    @Test func controllerMessagesAreNotSilent() throws {
        let device = try makeSwitch(["actions=controller,output:2"])
        let outcome = device.answer(tcp(device))
        #expect(device.format(outcome.words).hasSuffix(",p2"))
        #expect(device.format(outcome.words).hasPrefix("userspace"))
    }
}
