import Control
import Testing

@Suite struct MeterCommandTests {
    private func makeSwitch(_ meters: String...) throws -> CommandedSwitch {
        let sw = try CommandedSwitch.simple()
        for meter in meters { try sw("add-meter", "br0", meter) }
        return sw
    }

    private func inject(_ sw: CommandedSwitch, _ count: Int, _ port: String = "p1") throws {
        for _ in 0..<count { try sw("inject", port, SwitchCommandTests.frame) }
    }

    @Test func framesArePoliced() throws {
        let sw = try makeSwitch("meter=1 pktps burst stats bands=type=drop rate=5 burst_size=2")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2")
        try inject(sw, 5)
        #expect(sw.sent("p2") == 2)
        try sw("time/warp", "200")
        try inject(sw, 2)
        #expect(sw.sent("p2") == 3)
        #expect(
            try sw("meter-stats", "br0")
                == "meter:1 flow_count:1 packet_in_count:7 byte_in_count:238 duration:0.2s bands:\n"
                + "0: packet_count:4 byte_count:136\n")
        #expect(try sw("drops").contains("meter_exceeded"))
        #expect(
            try sw("dump-flows", "br0").contains(
                "n_packets=7, n_bytes=238, idle_age=0, in_port=1 actions=meter:1,output:2"))
        let metrics = try sw("metrics")
        #expect(metrics.contains("weft_meter_packets_total{bridge=\"br0\",meter=\"1\"} 7\n"))
        #expect(metrics.contains("weft_meter_band_packets_total{bridge=\"br0\",meter=\"1\",band=\"0\"} 4\n"))
        #expect(try sw("trace", "br0", "in_port=1").contains("Datapath actions: meter(0),2\n"))
    }

    /// The rest of the tables is not gone through for what exceeds, whatever the depth.
    @Test func metersInSeveralTables() throws {
        let sw = try makeSwitch(
            "meter=1 pktps burst bands=type=drop rate=1 burst_size=4",
            "meter=2 pktps burst bands=type=drop rate=1 burst_size=2")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2,resubmit(,1)")
        try sw("add-flow", "br0", "table=1,actions=meter:2,output:3")
        try inject(sw, 6)
        #expect((sw.sent("p2"), sw.sent("p3")) == (4, 2))
    }

    /// OpenFlow 1.5.1, 7.3.4.4: the flows that refer to a meter go with it.
    @Test func deletionTakesTheFlowsAlong() throws {
        let sw = try makeSwitch("meter=1 pktps bands=type=drop rate=5", "meter=2 pktps bands=type=drop rate=5")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2")
        try sw("add-flow", "br0", "in_port=2,actions=meter:2,output:3")
        try sw("add-flow", "br0", "in_port=3,actions=controller(meter_id=1)")
        try inject(sw, 1)
        try sw("del-meters", "br0", "meter=1")
        let left = try sw("dump-flows", "--no-stats", "br0")
        #expect(!left.contains("meter:1") && left.contains("meter:2") && left.contains("controller(meter_id=1)"))
        try inject(sw, 1)
        #expect(sw.sent("p2") == 1)
        #expect(sw.error("meter-stats", "br0", "1") == "meter meter=1 does not exist (OFPMMFC_UNKNOWN_METER)")
        #expect(try sw("del-meters", "br0", "meter=1").isEmpty)
        try sw("del-meters", "br0")
        #expect(
            try sw("dump-flows", "--no-stats", "br0")
                == " in_port=p3 actions=controller(meter_id=1)\n".replacing("p3", with: "3"))
    }

    /// A changed meter begins anew for the flows that go on using it.
    @Test func changes() throws {
        let sw = try makeSwitch("meter=1 pktps bands=type=drop rate=1")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2")
        try inject(sw, 3)
        #expect(sw.sent("p2") == 1)
        try sw("mod-meter", "br0", "meter=1 pktps bands=type=drop rate=2")
        #expect(try sw("meter-stats", "br0").contains("flow_count:1 packet_in_count:0 "))
        try inject(sw, 3)
        #expect(sw.sent("p2") == 3)
        #expect(sw.error("mod-meter", "br0", "meter=9 pktps bands=type=drop rate=2").contains("OFPMMFC_UNKNOWN_METER"))
    }

    @Test func controllers() throws {
        let sw = try makeSwitch("meter=1 pktps bands=type=drop rate=1", "meter=controller pktps bands=type=drop rate=2")
        try sw("add-flow", "br0", "in_port=1,actions=controller(meter_id=1)")
        try sw("add-flow", "br0", "in_port=2,actions=controller")
        // A meter that is not there: that for all that goes to controllers.
        try sw("add-flow", "br0", "in_port=3,actions=controller(meter_id=5)")
        try inject(sw, 3)
        #expect(try sw("meter-stats", "br0", "1").contains("flow_count:0 packet_in_count:3 "))
        #expect(try sw("meter-stats", "br0", "1").contains("0: packet_count:2 "))
        try inject(sw, 2, "p2")
        try inject(sw, 2, "p3")
        let stats = try sw("meter-stats", "br0", "meter=controller")
        #expect(
            stats.hasPrefix("meter:controller flow_count:0 packet_in_count:4 ") && stats.contains("0: packet_count:2 "))
        // One made later is found by what is cached already.
        try sw("add-meter", "br0", "meter=5 pktps bands=type=drop rate=1")
        try inject(sw, 2, "p3")
        #expect(try sw("meter-stats", "br0", "5").contains("packet_in_count:2 "))
    }

    @Test(arguments: [
        ("meter=9 pktps bands=type=dscp_remark rate=5 prec_level=1", "OFPMMFC_BAD_BAND"),
        ("meter=9 kbps pktps bands=type=drop rate=5", "OFPMMFC_BAD_FLAGS"),
        ("meter=all pktps bands=type=drop rate=5", "OFPMMFC_INVALID_METER"),
        ("meter=slowpath pktps bands=type=drop rate=5", "nothing passes through meter=slowpath"),
        ("meter=9 kbps bands=" + String(repeating: "type=drop rate=1 ", count: 9), "OFPMMFC_OUT_OF_BANDS"),
        ("meter=9 bands=type=drop rate=1", "kbps"), ("meter=9 kbps bands=type=drop rate=0", "rate"),
    ])
    func refused(_ meter: String, _ why: String) throws {
        let sw = try makeSwitch()
        #expect(sw.error("add-meter", "br0", meter).contains(why))
        #expect(try sw("dump-meters", "br0").isEmpty)
    }

    @Test func flowsNeedTheirMeter() throws {
        let sw = try makeSwitch()
        #expect(sw.error("add-flow", "br0", "actions=meter:1,output:2").contains("meter 1 does not exist"))
        let file = sw.scratch.write("flows", "in_port=1,actions=output:2\nin_port=2,actions=meter:1\n")
        #expect(sw.error("add-flows", "br0", file).contains(":2:"))
        #expect(try sw("dump-flows", "br0").isEmpty)
    }

    /// A configuration changes only meters that are not what it says, and deletes those that flows have left.
    @Test func configurations() throws {
        let sw = try makeSwitch(
            "meter=1 pktps bands=type=drop rate=1", "meter=2 kbps burst bands=type=drop rate=8 burst_size=1")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2")
        try inject(sw, 2)
        let saved = try sw("config/show")
        try sw("config/load", sw.scratch.write("saved", saved))
        #expect(try sw("config/show") == saved)
        #expect(try sw("meter-stats", "br0", "1").contains("packet_in_count:2 "))
        // Without meter 1: the flow that named it is another one in the same file, and is never away.
        let lines = saved.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.contains("meter=1 ") }
        let other = lines.joined(separator: "\n").replacing("meter:1,output:2", with: "meter:2,output:3")
        try sw("config/load", sw.scratch.write("other", other))
        #expect(try sw("dump-meters", "br0").hasPrefix("meter=2 kbps"))
        #expect(try sw("dump-flows", "--no-stats", "br0").contains("meter:2,output:3"))
        // And back.
        try sw("config/load", sw.scratch.write("saved", saved))
        #expect(try sw("config/show") == saved)
    }

    @Test func bridgesHaveTheirOwn() throws {
        let sw = try makeSwitch("meter=1 pktps bands=type=drop rate=1")
        try sw("add-br", "br1", "fail-mode=secure", "local=none")
        try sw("add-meter", "br1", "meter=1 pktps bands=type=drop rate=3")
        try sw("add-flow", "br0", "in_port=1,actions=meter:1,output:2")
        try sw("del-br", "br1")
        try sw("add-meter", "br0", "meter=7 pktps bands=type=drop rate=1")
        try inject(sw, 2)
        #expect(sw.sent("p2") == 1)
    }
}
