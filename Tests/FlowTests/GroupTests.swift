import Base
import Flow
import Testing

@Suite struct GroupTests {
    /// As written, and as shown.
    static let groups: [(String, String)] = [
        (
            "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=weight:1,watch_port:2,actions=output:2",
            "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=watch_port:2,actions=output:2"
        ),
        ("group_id=3,type=all", "group_id=3,type=all"),
        (
            "group_id=1,type=ff,bucket=watch_port:p2,actions=output:2,bucket=watch_group:3,output:4,output:5",
            "group_id=1,type=ff,bucket=watch_port:2,actions=output:2,bucket=watch_group:3,actions=output:4,output:5"
        ),
        (
            "group_id=1,type=indirect,bucket=push_vlan:0x8100,set_field:4196->vlan_vid,output:2",
            "group_id=1,type=indirect,bucket=actions=push_vlan:0x8100,set_field:4196->vlan_vid,output:2"
        ),
        (
            "group_id=9,type=select,selection_method=dp_hash,selection_method_param=5,bucket=bucket_id:4,weight:0,actions=drop",
            "group_id=9,type=select,selection_method=dp_hash,selection_method_param=5,bucket=bucket_id:4,weight:0,actions=drop"
        ),
        (
            "group_id=2,type=select,selection_method=hash,fields=ip_dst=255.255.0.0,bucket=clone(output:1,output:2),output:3",
            "group_id=2,type=select,selection_method=hash,fields=ip_dst=255.255.0.0,bucket=actions=clone(output:1,output:2),output:3"
        ),
        (
            "group_id=2,type=all,bucket=check_pkt_larger(100)->NXM_NX_REG0[0],output:3",
            "group_id=2,type=all,bucket=actions=check_pkt_larger(100)->NXM_NX_REG0[0],output:3"
        ),
    ]

    @Test(arguments: groups)
    func shown(_ text: String, _ shown: String) throws {
        let group = try GroupParser(testContext()).parse(text)
        #expect(GroupPrinter().text(group) == shown)
        #expect(GroupPrinter().text(try GroupParser(testContext()).parse(shown)) == shown)
    }

    @Test(arguments: [
        "type=all", "group_id=1", "group_id=1,type=none", "group_id=4294967295,type=all", "group_id=all,type=all",
        "group_id=1,type=ff,bucket=actions=output:1", "group_id=1,type=all,bucket=weight:5,actions=output:1",
        "group_id=1,type=indirect", "group_id=1,type=indirect,bucket=1,bucket=2", "group_id=1,type=all,bucket=weight:0",
        "group_id=1,type=all,fields(ip_src)", "group_id=1,type=select,selection_method=maglev,bucket=1",
        "group_id=1,type=select,selection_method_param=4,bucket=1", "group_id=1,type=all,command_bucket_id=first",
        "group_id=1,type=all,bucket=goto_table:3", "group_id=1,type=all,bucket=drop,output:3",
        "group_id=1,type=all,bucket=watch_port:1,actions=output:1",
        "group_id=1,type=all,bucket=bucket_id:1,1,bucket=bucket_id:1,2",
    ])
    func refused(_ text: String) {
        #expect(throws: FlowSyntaxError.self) { try GroupParser(testContext()).parse(text) }
    }

    @Test func bucketCommands() throws {
        let parser = GroupParser(testContext())
        let insertion = try parser.parse(
            "group_id=7,command_bucket_id=last,bucket=bucket_id:10,actions=output:1", as: .insertBuckets)
        #expect(insertion.position == .last && insertion.buckets.count == 1 && insertion.kind == nil)
        #expect(try parser.parse("group_id=7,command_bucket_id=3", as: .removeBuckets).position == .bucket(3))
        #expect(try parser.parse("group_id=7", as: .removeBuckets).position == .all)
        #expect(throws: FlowSyntaxError.self) {
            try parser.parse("group_id=7,command_bucket_id=all,bucket=1", as: .insertBuckets)
        }
        #expect(throws: FlowSyntaxError.self) { try parser.parse("group_id=7,bucket=1", as: .insertBuckets) }
        #expect(try parser.parse("", as: .delete).id == nil)
        #expect(try parser.parse("group_id=5", as: .delete).id == 5)
    }

    @Test func meters() throws {
        let text = "meter=1 kbps burst stats bands=\ntype=drop rate=1000 burst_size=100"
        let meter = try MeterParser().parse("meter=1 kbps burst stats bands=type=drop rate=1000 burst_size=100")
        #expect(meter.id == .number(1) && meter.bands == [MeterSpec.Band(kind: .drop, rate: 1000, burst: 100)])
        #expect(MeterPrinter().text(meter) == text)
        #expect(try MeterParser().parse(text) == meter)
        let remark = try MeterParser().parse("meter=controller,pktps,band=type=dscp_remark,rate=5,prec_level=2")
        #expect(MeterPrinter().text(remark) == "meter=controller pktps bands=\ntype=dscp_remark rate=5 prec_level=2")
        #expect(try MeterParser().parseFilter("meter=all") == .all)
        #expect(try MeterParser().parseFilter("meter=7") == .number(7))
        for bad in [
            "meter=1 kbps", "kbps bands=type=drop rate=1", "meter=1 bands=type=drop rate=1",
            "meter=0 kbps bands=type=drop rate=1",
            "meter=1 kbps bands=rate=1", "meter=1 kbps bands=type=drop",
            "meter=1 kbps bands=type=drop rate=1 burst_size=5",
            "meter=1 kbps burst bands=type=drop rate=1", "meter=1 kbps bands=type=dscp_remark rate=1",
            "meter=1 kbps bands=type=drop rate=1 prec_level=1", "meter=1 stats bands=type=drop rate=1",
        ] {
            #expect(throws: FlowSyntaxError.self, "\(bad)") { try MeterParser().parse(bad) }
        }
    }
}
