import Testing

@Suite struct TunnelOptionCommandTests {
    static let map = "{class=0x102,type=0x80,len=4}->tun_metadata0,{class=0x102,type=0x81,len=16}->tun_metadata5"

    @Test func aMappingInUseStays() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-tlv-map", "br0", Self.map)
        let users = [
            ("add-flow", "tun_metadata0=1,actions=drop"), ("add-flow", "actions=set_field:1->tun_metadata0"),
            ("add-flow", "actions=clone(move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[],2)"),
            ("add-flow", "actions=learn(table=1,NXM_NX_TUN_METADATA0[],output:NXM_NX_REG0[0..15])"),
            ("add-group", "group_id=1,type=all,bucket=actions=load:1->NXM_NX_TUN_METADATA0[0],output:2"),
        ]
        for (command, text) in users {
            try sw(command, "br0", text)
            #expect(sw.error("del-tlv-map", "br0").contains("tun_metadata0 is in use"))
            #expect(try sw("dump-tlv-map", "br0").contains("tun_metadata5"))
            try sw("del-flows", "br0")
            try sw("del-groups", "br0")
        }
        try sw("add-flow", "br0", "tun_metadata0,actions=drop")
        // The other one may go.
        try sw("del-tlv-map", "br0", "{class=0x102,type=0x81,len=16}->tun_metadata5")
        #expect(try !sw("dump-tlv-map", "br0").contains("tun_metadata5"))
        try sw("del-flows", "br0")
        try sw("del-tlv-map", "br0")
        #expect(try sw("dump-tlv-map", "br0").contains("allocated option space=0"))
        #expect(sw.error("add-flow", "br0", "tun_metadata0=1,actions=drop").contains("not mapped"))
    }

    @Test func allOfAMapOrNothing() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-tlv-map", "br0", "{class=1,type=1,len=4}->tun_metadata1")
        let error = sw.error(
            "add-tlv-map", "br0", "{class=2,type=2,len=4}->tun_metadata2,{class=1,type=1,len=4}->tun_metadata3")
        #expect(error == "class 0x1 type 0x1 is mapped already, to tun_metadata1 (NXTTMFC_DUP_ENTRY)")
        #expect(try !sw("dump-tlv-map", "br0").contains("tun_metadata2"))
        #expect(sw.error("add-tlv-map", "br1", Self.map) == "no bridge named br1")
        // Maps are the bridge's own.
        try sw("add-br", "br1", "local=none")
        try sw("add-tlv-map", "br1", "{class=1,type=1,len=8}->tun_metadata1")
    }

    @Test func optionsAreWrittenReadAndDeleted() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-tlv-map", "br0", Self.map)
        try sw(
            "add-flow", "br0",
            "actions=set_field:0x80000006->tun_metadata0,move:NXM_NX_TUN_METADATA0[]->NXM_NX_TUN_METADATA5[96..127],resubmit(,1)"
        )
        try sw(
            "add-flow", "br0",
            "table=1,priority=5,tun_metadata0=0x6/0xf,tun_metadata5=0x80000006000000000000000000000000,actions=2,delete_field:tun_metadata0,resubmit(,2)"
        )
        // An option that was deleted is not there, whatever it held.
        try sw("add-flow", "br0", "table=2,priority=2,tun_metadata0,actions=4")
        try sw("add-flow", "br0", "table=2,priority=1,actions=3")
        try sw("inject", "p1", SwitchCommandTests.frame)
        #expect((sw.sent("p2"), sw.sent("p3"), sw.sent("p4")) == (1, 1, 0))
    }

    @Test func configurationsKeepTheMap() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-tlv-map", "br0", Self.map)
        try sw("add-flow", "br0", "tun_metadata0=0x5/0xf,actions=set_field:1->tun_metadata5")
        let file = sw.scratch.file("saved")
        try sw("config/save", file)
        let saved = try sw("config/show")
        try sw("del-flows", "br0")
        try sw("del-tlv-map", "br0")
        try sw("config/load", file)
        #expect(try sw("config/show") == saved)
        #expect(try sw("dump-tlv-map", "br0").contains("  0x102  0x81      16  tun_metadata5\n"))
        // A file in which the map is smaller takes the mapping away together with the flows that used it.
        let smaller = saved.split(separator: "\n").filter { !$0.contains("tun_metadata5") }.joined(separator: "\n")
        try sw("config/load", sw.scratch.write("smaller", smaller.replacing("flows: |", with: "flows: \"\"") + "\n"))
        #expect(try !sw("dump-tlv-map", "br0").contains("tun_metadata5"))
        let broken = saved.replacing("len=16", with: "len=17")
        #expect(
            sw.error("config/load", sw.scratch.write("broken", broken))
                .contains("bridges[0].tlv-map[1]: len=17 of tun_metadata5: expected a multiple of 4"))
    }

    @Test func groupFilesAreAppliedWholeOrNotAtAll() throws {
        let sw = try CommandedSwitch.simple()
        let good = sw.scratch.write("good", "# two\ngroup_id=1,type=all,bucket=actions=2\n\nadd group_id=2,type=all\n")
        try sw("add-groups", "br0", good)
        #expect(try sw("dump-groups", "br0").split(separator: "\n").count == 2)
        let unread = sw.scratch.write("unread", "group_id=3,type=all\ngroup_id=4,type=none\n")
        #expect(sw.error("add-groups", "br0", unread).hasPrefix("\(unread):2:17: invalid group type \"none\""))
        let twice = sw.scratch.write("twice", "group_id=3,type=all\n\ngroup_id=1,type=all\n")
        #expect(sw.error("add-groups", "br0", twice) == "\(twice):3:1: group 1 exists already (OFPGMFC_GROUP_EXISTS)")
        let others = sw.scratch.write("others", "delete group_id=1\nmodify group_id=2,type=all,bucket=actions=3\n")
        try sw("add-groups", "br0", others)
        #expect(
            try sw("dump-groups", "br0") == " group_id=2,type=all,bucket=bucket_id:0,actions=output:3\n")
    }
}
