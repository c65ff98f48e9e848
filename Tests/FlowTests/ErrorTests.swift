import Base
import Flow
import Testing

@Suite struct ErrorTests {
    private func error(_ text: String) -> FlowSyntaxError? {
        do throws(FlowSyntaxError) {
            _ = try FlowParser(testContext()).parse(text)
            return nil
        } catch { return error }
    }

    /// Text, the column where it is wrong, and a word of the message.
    static let mistakes: [(String, Int, String)] = [
        ("in_port=1,bogus=2,actions=drop", 11, "bogus"),
        ("ip,nw_src=10.0.0.300,actions=drop", 11, "IPv4"),
        ("ip,nw_src=10.0.0.0/33,actions=drop", 20, "mask"),
        ("tcp,tcp_flags=+syn+foo,actions=drop", 20, "foo"),
        ("priority=65536,actions=drop", 10, "65535"),
        ("in_port=1", 10, "action"),
        ("in_port=nosuch,actions=drop", 9, "nosuch"),
        ("actions=output:1,frobnicate:3", 18, "frobnicate"),
        ("actions=output:1,clone(output:2,frob)", 33, "frob"),
        ("actions=load:1->NXM_NX_REG0[31..32]", 29, "32 bits"),
        ("actions=set_field:0x100000000->reg0", 19, "4-byte"),
        ("actions=set_field:1->nosuch", 22, "nosuch"),
        ("actions=output:1,set_field:1->tcp_dst", 18, "tcp"),
        ("tp_dst=80,actions=drop", 1, "tp_dst"),
        ("ip,actions=ct(commit,zone=70000)", 27, "zone"),
        ("reg0[0..3]=16,actions=drop", 12, "4 bits"),
        ("cookie=1/1,actions=drop", 8, "cookie"),
        ("actions=group:9", 9, "group 9"),
        ("actions=learn(table=255)", 21, "255"),
        // What counts only with something else: the word that counts for nothing, as it was written.
        ("in_port=1,nw_dst=10.0.0.1,actions=drop", 11, "nw_dst"),
        ("priority=5,in_port=1,tcp_dst=80,actions=drop", 22, "tcp_dst"),
        ("arp,ipv6_src=::1,actions=drop", 5, "ipv6_src"),
        ("ip,nw_proto=6,tp_src=1,NXM_NX_TCP_FLAGS[0]=1,dl_type=0x86dd,nw_src=1.2.3.4,actions=1", 61, "nw_src"),
        ("tcp,dl_type=0x8847,actions=1", 1, "tcp"),
        ("ip,mpls_label=3,actions=1", 4, "mpls_label"),
        ("in_port=1,nd_target=::1,actions=1", 11, "nd_target"),
        ("ip,ct_nw_src=10.0.0.1,actions=1", 4, "ct_nw_src"),
        ("in_port=1,vlan_tci=0x2001/0xffff,actions=1", 11, "vlan_tci"),
        // Inside of what encloses other actions.
        ("actions=output:1,clone(output:2,set_field:1->tcp_dst)", 33, "tcp_dst"),
        ("actions=clone(output:1,clone(output:2),dec_ttl),output:3", 40, "dec_ttl"),
        ("actions=clone(clone(output:1),output:2),dec_ttl", 41, "dec_ttl"),
        ("actions=write_actions(output:1,group:9)", 32, "group 9"),
    ]

    @Test(arguments: mistakes)
    func columnAndMessage(_ text: String, _ column: Int, _ word: String) {
        let found = error(text)
        #expect(found?.column == column, "\(text): \(String(describing: found))")
        #expect(found?.message.contains(word) ?? false, "\(text): \(String(describing: found))")
        #expect(found?.line == 1)
    }

    @Test func filesNameTheLine() {
        let file =
            "# first\n\nin_port=1,actions=drop\n  in_port=2, actions=output:p3 # comment\nin_port=3,actions=zap\n"
        do throws(FlowSyntaxError) {
            _ = try FlowParser(testContext()).parseFile(file)
            Issue.record("accepted")
        } catch {
            #expect(error.line == 5)
            #expect(error.column == 19)
        }
    }

    @Test func filesMayMixCommands() throws {
        let file =
            "add in_port=1,actions=drop\ndelete in_port=2\nmodify_strict priority=5,actions=1\r\ntable=1,actions=2"
        let flows = try FlowParser(testContext()).parseFile(file)
        #expect(flows.map(\.command) == [.add, .delete, .modifyStrict, .add])
        #expect(flows[3].table == 1)
    }

    @Test func commandsTakeWhatTheyTake() throws {
        let parser = FlowParser(testContext())
        let deletion = try parser.parse("cookie=0x10/-1,table=3,out_port=p2,tcp", as: .delete)
        #expect(deletion.cookieMask == UInt64.max && deletion.cookieMatch == 0x10)
        #expect(deletion.outPort == PortNumber(2) && deletion.table == 3)
        #expect(throws: FlowSyntaxError.self) { try parser.parse("priority=3,tcp", as: .delete) }
        #expect(try parser.parse("priority=3,tcp", as: .deleteStrict).priority == 3)
        #expect(throws: FlowSyntaxError.self) { try parser.parse("cookie=1", as: .delete) }
        #expect(throws: FlowSyntaxError.self) { try parser.parseFilter("idle_timeout=3") }
        #expect(try parser.parse("cookie=5/-1,actions=1", as: .modify).cookie == nil)
        let dumped =
            "cookie=0x1, duration=3.2s, table=0, n_packets=1, n_bytes=60, idle_age=3, priority=7,tcp actions=output:1"
        #expect(try parser.parse(dumped).priority == 7)
    }

    @Test func unwritablesAndDuplicates() {
        for text in [
            "actions=drop,output:1", "actions=conjunction(1,1/2),output:1", "actions=conjunction(1,3/2)",
            "actions=apply_actions(output:1)", "actions=goto_table:1,goto_table:2", "actions=load:1->NXM_NX_CT_MARK[]",
            "actions=clone(goto_table:3)", "actions=nat", "actions=delete_field:reg0", "actions=push_vlan:0x1234",
            "actions=output:NXM_NX_REG99[]", "dl_vlan=5/0xfff,actions=drop", "actions=resubmit(,)", "actions=resubmit",
            "actions=set_field:1->eth_type", "ip,actions=move:NXM_NX_REG0[0..3]->NXM_NX_REG1[0..4]",
            "actions=check_pkt_larger(100)->NXM_NX_REG0[0..1]",
            "actions=multipath(eth_src,0,hrw,9,0,NXM_NX_REG0[0..2])",
        ] {
            #expect(error(text) != nil, "\(text)")
        }
    }
}
