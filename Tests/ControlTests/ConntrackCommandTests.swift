import Base
import Control
import FrameSupport
import Testing

/// Connections of 10.0.0.1 port 1000 and up, in the zones that flows send them to.
@Suite struct ConntrackCommandTests {
    private static let a: UInt32 = 0x0a00_0001
    private static let b: UInt32 = 0x0a00_0002

    private static func hex(_ frame: [UInt8]) -> String {
        frame.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func udpFrame(_ port: UInt16, reply: Bool = false) -> String {
        let (src, dst) = reply ? (b, a) : (a, b)
        let ports: (UInt16, UInt16) = reply ? (53, port) : (port, 53)
        return hex(
            ethernet(
                type: 0x800, ipv4(src, dst, ipProtocol: 17, udp(.v4(src, dst), ports.0, ports.1, payload: [1, 2]))))
    }

    static func synFrame(_ port: UInt16) -> String {
        hex(ethernet(type: 0x800, ipv4(a, b, ipProtocol: 6, tcp(.v4(a, b), port, 80, flags: 2))))
    }

    static func pingFrame(_ identifier: UInt16) -> String {
        hex(ethernet(type: 0x800, ipv4(a, b, ipProtocol: 1, icmp(type: 8, be16(identifier) + be16(1)))))
    }

    /// p1 is in zone 1, p2 answers there; p3 is in zone 3.
    static func tracking() throws -> CommandedSwitch {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "in_port=1,ip,actions=ct(commit,zone=1),output:4")
        try sw("add-flow", "br0", "in_port=2,ip,actions=ct(zone=1,table=1)")
        try sw("add-flow", "br0", "table=1,actions=output:4")
        try sw("add-flow", "br0", "in_port=3,ip,actions=ct(commit,zone=3),output:4")
        return sw
    }

    @Test func dump() throws {
        let sw = try Self.tracking()
        #expect(try sw("ct/dump").isEmpty)
        #expect(sw.json("ct/dump") == .array([]))
        try sw("inject", "p1", Self.udpFrame(1000), Self.synFrame(1001), Self.pingFrame(7))
        try sw("inject", "p3", Self.udpFrame(1000))
        try sw("inject", "p2", Self.udpFrame(1000, reply: true))
        let lines = try sw("ct/dump").split(separator: "\n").sorted()
        let udp =
            "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=53),reply=(src=10.0.0.2,dst=10.0.0.1,sport=53,dport=1000)"
        #expect(
            lines == [
                "icmp,orig=(src=10.0.0.1,dst=10.0.0.2,id=7,type=8,code=0),reply=(src=10.0.0.2,dst=10.0.0.1,id=7,type=0,code=0)"
                    + ",zone=1",
                "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1001,dport=80),reply=(src=10.0.0.2,dst=10.0.0.1,sport=80,dport=1001)"
                    + ",zone=1,protoinfo=(state=SYN_SENT)",
                "\(udp),zone=1", "\(udp),zone=3",
            ])
        #expect(try sw("ct/dump", "zone=3") == "\(udp),zone=3\n")
        #expect(try sw("dpctl/dump-conntrack", "netdev@ovs-netdev", "zone=3") == "\(udp),zone=3\n")
        #expect(try sw("ct/dump", "zone=1", "ct_nw_proto=17") == "\(udp),zone=1\n")
        #expect(try sw("ct/dump", "zone=1", "ct_nw_proto=6,ct_tp_dst=80").hasPrefix("tcp,"))
        #expect(try sw("ct/dump", "ct_nw_src=10.0.0.2").isEmpty)
        #expect(try sw("ct/dump", "", "ct_nw_src=10.0.0.2").split(separator: "\n").count == 4)
        #expect(try sw("ct/dump", "zone=9").isEmpty)
        #expect(try sw("ct/dump", "-s", "zone=3").contains("packets=1,bytes=44"))
        #expect(try sw("ct/dump", "-m", "ct_nw_proto=6").contains("state_orig=SYN_SENT,state_reply=CLOSED"))
        guard case .array(let all) = sw.json("ct/dump", "zone=1", "ct_nw_proto=17") else {
            return #expect(Bool(false))
        }
        #expect(all.count == 1 && all[0]["original"]?["sport"] == 1000 && all[0]["answered"] == true)
    }

    @Test func flush() throws {
        let sw = try Self.tracking()
        for port in UInt16(1000)..<1100 { try sw("inject", "p1", Self.udpFrame(port)) }
        for port in UInt16(1000)..<1010 { try sw("inject", "p3", Self.udpFrame(port)) }
        try sw("inject", "p1", Self.pingFrame(7), Self.pingFrame(8))
        let udp = "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17"
        // Without a zone a whole tuple is one of zone 0.
        #expect(try sw("ct/flush", "\(udp),ct_tp_src=1000,ct_tp_dst=53") == "connections flushed: 0\n")
        #expect(try sw("ct/flush", "zone=1", "\(udp),ct_tp_src=1000,ct_tp_dst=53") == "connections flushed: 1\n")
        // The tuple of the replies names a connection as well.
        let back = "ct_nw_src=10.0.0.2,ct_nw_dst=10.0.0.1,ct_nw_proto=17,ct_tp_src=53,ct_tp_dst=1001"
        #expect(try sw("dpctl/flush-conntrack", "zone=1", back) == "connections flushed: 1\n")
        #expect(try sw("ct/flush", "zone=1", "", back) == "connections flushed: 0\n")
        // What is not said may be anything, in any zone.
        #expect(sw.json("ct/flush", "ct_nw_proto=17,ct_tp_src=1005") == ["flushed": 2])
        let ping = "ct_nw_proto=1,icmp_id=7,icmp_type=8,icmp_code=0"
        #expect(
            try sw("ct/flush", "zone=1", "\(ping),ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2") == "connections flushed: 1\n")
        #expect(try sw("ct/flush", "ct_nw_proto=1,icmp_type=8") == "connections flushed: 1\n")
        #expect(try sw("dpctl/ct-get-nconns") == "106\n")
        #expect(try sw("ct/flush", "zone=3") == "connections flushed: 9\n")
        #expect(try sw("ct/flush") == "connections flushed: 97\n")
        #expect(try sw("ct/dump").isEmpty)
        #expect(try sw("ct/stats").contains("flushed 112"))
    }

    @Test func ipv6Tuples() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "ipv6,actions=ct(commit),output:4")
        let (src, dst) = (UInt128(0x2001_0db8) << 96 | 1, UInt128(0x2001_0db8) << 96 | 2)
        let frame = ethernet(
            type: 0x86dd, ipv6(src, dst, nextHeader: 17, udp(.v6(src, dst), 5, 6, payload: [1])))
        try sw("inject", "p1", Self.hex(frame))
        let tuple = "ct_ipv6_src=2001:db8::1,ct_ipv6_dst=2001:db8::2,ct_nw_proto=17,ct_tp_src=5,ct_tp_dst=6"
        #expect(try sw("ct/dump", tuple).hasPrefix("udp,orig=(src=2001:db8::1,dst=2001:db8::2,sport=5,dport=6)"))
        #expect(try sw("ct/flush", tuple) == "connections flushed: 1\n")
    }

    static let wrong: [([String], String)] = [
        (["zone=65536"], "failed to parse field zone: 65536 is not 0 to 65535"),
        (["ct_tp_src=1"], "port is set without protocol"),
        (["ct_nw_src=10.0.0"], "failed to parse field ct_nw_src: 10.0.0"),
        (["ct_nw_src=1.2.3.4,ct_ipv6_dst=::1"], "the L3 protocol does not match ::1"),
        (["nw_src=1.2.3.4"], "invalid conntrack tuple field: nw_src"), (["ct_nw_src="], "missing value"),
        (["ct_nw_proto=6", "ct_nw_proto=6", "x=1"], "too many tuples: x=1"),
    ]

    @Test(arguments: wrong) func wrongFilter(words: [String], message: String) throws {
        let sw = try CommandedSwitch()
        for command in ["ct/flush", "ct/dump"] {
            let request = Request(method: command, parameters: words, id: 1)
            let error = sw.registry.execute(request).error ?? ""
            #expect(error.contains(message), "\(error)")
        }
    }

    @Test func statistics() throws {
        let sw = try Self.tracking()
        try sw("ct/limits", "zone=3,limit=1")
        try sw("inject", "p1", Self.udpFrame(1000), Self.synFrame(1001), Self.pingFrame(7))
        try sw("inject", "p3", Self.udpFrame(1000), Self.udpFrame(1001))
        let text = try sw("ct/stats")
        #expect(text.hasPrefix("connections: 4; 4 of at most 3000000 in all zones, "))
        #expect(text.contains("  tcp: 1\n    SYN_SENT: 1\n  udp: 2\n  icmp: 1\n  other than TCP: 0 answered, 3 not\n"))
        #expect(text.contains("zones: 2\n  zone 1: 3\n  zone 3: 1, limit 1, refused 1\n"))
        #expect(text.contains("refused: total limit 0, zone limit 1, memory 0, nat exhausted 0, clash 0\n"))
        #expect(text.contains("packets: new 5, "))
        #expect(text.contains("top talkers:\n"))
        #expect(try sw("ct/stats", "zone=3", "talkers=0").contains("connections: 1; "))
        #expect(try !sw("ct/stats", "talkers=0").contains("top talkers"))
        let json = sw.json("ct/stats", "zone=1")
        #expect(json["total"] == 3 && json["tcp_states"]?["SYN_SENT"] == 1)
        #expect(
            try sw("dpctl/ct-stats-show", "-m")
                == """
                Connections Stats:
                    Total: 4
                  TCP: 1
                    Conn per TCP states:
                \t  [SYN_SENT]=1
                  UDP: 2
                  ICMP: 1

                """)
        #expect(sw.error("ct/stats", "talkers=x").contains("talkers: expected a number"))
        let metrics = try sw("metrics")
        #expect(metrics.contains("weft_connections{protocol=\"udp\"} 2\n"))
        #expect(metrics.contains("weft_connections_limit 3000000\n"))
        #expect(metrics.contains("weft_connection_events_total{event=\"created\"} 4\n"))
        #expect(metrics.contains("weft_connections_refused_total{reason=\"zone_limit\"} 1\n"))
        #expect(metrics.contains("weft_zone_connections_refused_total{zone=\"3\"} 1\n"))
    }

    /// A whole table in pieces: nothing is missing, nothing comes twice.
    @Test func manyInSteps() throws {
        let sw = try Self.tracking()
        for port in UInt16(1)...3000 { try sw("inject", "p1", Self.udpFrame(port)) }
        let response = sw.registry.begin(Request(method: "ct/dump", parameters: [], id: 1))
        #expect(response.steps != nil)
        let lines = try sw("ct/dump").split(separator: "\n")
        #expect(lines.count == 3000 && Set(lines).count == 3000)
        #expect(try sw("ct/flush", "ct_nw_proto=17,ct_tp_dst=53") == "connections flushed: 3000\n")
    }
}
