import Control
import Dataplane
import Foundation
import Testing

/// A switch without threads, driven by commands.
final class CommandedSwitch {
    let scratch = Scratch()
    let device: Switch
    let commands: SwitchCommands
    let registry = CommandRegistry()

    init() throws {
        var options = Switch.Options()
        options.isTimeVirtual = true
        device = try Switch(options, log: quiet)
        commands = SwitchCommands(device, log: quiet)
        commands.bind(to: registry)
    }

    struct Refused: Error, CustomStringConvertible { let description: String }

    @discardableResult
    func callAsFunction(_ method: String, _ parameters: String...) throws -> String {
        let response = registry.execute(Request(method: method, parameters: parameters, id: 1))
        if let error = response.error { throw Refused(description: error) }
        guard case .string(let text) = response.result else { return response.result.text }
        return text
    }

    func json(_ method: String, _ parameters: String...) -> JSONValue {
        registry.execute(Request(method: method, parameters: ["--json"] + parameters, id: 1)).result
    }

    /// Why a command is refused; empty if it is not.
    func error(_ method: String, _ parameters: String...) -> String {
        registry.execute(Request(method: method, parameters: parameters, id: 1)).error ?? ""
    }

    /// `br0` with the ports p1 to p4, which write what they send to files.
    static func simple() throws -> CommandedSwitch {
        let sw = try CommandedSwitch()
        try sw("add-br", "br0", "fail-mode=secure", "local=none")
        for i in 1...4 {
            try sw("add-port", "br0", "p\(i)", "type=pcap", "tx=\(sw.scratch.file("p\(i)"))", "ofport=\(i)")
        }
        return sw
    }

    /// Frames that a port of `simple` has sent so far.
    func sent(_ port: String) -> Int {
        guard case .array(let ports) = json("port-stats", port),
            case .integer(let count)? = ports.first?["tx"]?["packets"]
        else { return -1 }
        return Int(count)
    }
}

@Suite struct SwitchCommandTests {
    static let frame = "020000000002020000000001080045000014000000004011000 00a0000010a000002".filter { $0 != " " }

    @Test func bridgesAndPorts() throws {
        let sw = try CommandedSwitch.simple()
        #expect(try sw("list-br") == "br0\n")
        #expect(try sw("list-ports", "br0") == "p1\np2\np3\np4\n")
        #expect(sw.error("add-br", "br0") == "bridge br0 exists already")
        #expect(try sw("add-br", "br0", "--may-exist").isEmpty)
        #expect(sw.error("add-br", "p1", "local=none").contains("there is a port named p1"))
        #expect(sw.error("add-port", "br1", "x", "type=null") == "no bridge named br1")
        #expect(sw.error("add-port", "br0", "x", "type=null", "ofport=2") == "ofport 2 of bridge br0 is taken by p2")
        #expect(sw.error("add-port", "br0", "x", "type=geneve").contains("not supported"))
        #expect(sw.error("add-port", "br0", "x", "type").contains("KEY=VALUE"))
        #expect(sw.error("add-port", "br0", "a/b", "type=null").contains("expected a name"))
        try sw("del-port", "4")
        try sw("del-port", "br0", "p3")
        #expect(sw.error("del-port", "p3") == "no port named p3")
        try sw("del-port", "--if-exists", "p3")
        #expect(sw.error("del-port", "br0").contains("own port"))
        #expect(try sw("list-ports", "br0") == "p1\np2\n")
        try sw("add-port", "br0", "x", "type=null")
        #expect(try sw("show").contains("ofport: 3, type: null"))
        try sw("del-br", "br0")
        #expect(try sw("show").isEmpty)
        try sw("del-br", "br0", "--if-exists")
        #expect(sw.error("del-br", "br0") == "no bridge named br0")
    }

    @Test func settingsOfPortsAndBridges() throws {
        let sw = try CommandedSwitch.simple()
        try sw("set-port", "p1", "tag=7", "vlan_mode=native-tagged", "trunks=1,2", "protected=true")
        #expect(try sw("show").contains("tag: 7, vlan-mode: native-tagged, trunks: 1-2, protected: true"))
        #expect(sw.error("set-port", "p1", "tag=", "vlan-mode=access").contains("needs a tag"))
        #expect(try sw("show").contains("tag: 7"))
        try sw("set-port", "p1", "tag=", "vlan-mode=", "trunks=", "protected=")
        try sw("set-port", "p1", "admin=down")
        #expect(try sw("show").contains("link: down (admin)"))
        try sw("mod-port", "br0", "1", "up")
        try sw("mod-port", "br0", "p1", "no-flood")
        #expect(try sw("show").contains("flood: false"))
        #expect(sw.error("mod-port", "br0", "p1", "sideways").contains("unknown action"))
        try sw("set-port", "br0", "admin=down")
        #expect(sw.error("set-port", "br0", "tag=1").contains("own port"))
        try sw("set-br", "br0", "fail-mode=standalone", "mac_table_size=100", "datapath-id=12")
        #expect(try sw("show").contains("fail-mode: standalone, datapath-id: 0000000000000012"))
        #expect(sw.error("set-br", "br0", "local=tap").contains("when the bridge is made"))
        // Another file is another device: the port keeps its number and its flows' meaning.
        try sw("set-port", "p2", "tx=\(sw.scratch.file("other"))")
        #expect(try sw("show").contains("Port p2\n        ofport: 2"))
    }

    @Test func flows() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "cookie=0x5,priority=10,in_port=p1,ip,actions=output:p2,3")
        try sw("add-flow", "br0", "table=1,actions=drop")
        #expect(
            try sw("dump-flows", "--no-stats", "br0")
                == " cookie=0x5, priority=10,ip,in_port=1 actions=output:2,output:3\n table=1, actions=drop\n")
        #expect(
            try sw("dump-flows", "--no-stats", "--names", "br0", "in_port=1").contains(
                "in_port=p1 actions=output:p2,output:p3"))
        try sw("inject", "p1", Self.frame, Self.frame)
        #expect(sw.sent("p2") == 2 && sw.sent("p3") == 2)
        #expect(try sw("dump-flows", "br0", "cookie=0x5/-1").contains("n_packets=2, n_bytes=68"))
        #expect(sw.error("add-flow", "br0", "in_port=p9,actions=drop").contains("column 9"))
        #expect(sw.error("add-flow", "-O", "OpenFlow99", "br0", "actions=drop").contains("unknown version"))
        #expect(sw.error("dump-flows", "br0", "bogus=1").contains("unknown keyword"))
        #expect(sw.error("dump-flows", "--sort=color", "br0").contains("expected one of"))
        try sw("mod-flows", "br0", "in_port=1,actions=output:4")
        #expect(try sw("dump-flows", "br0", "out_port=4").contains("output:4"))
        try sw("del-flows", "--strict", "br0", "priority=9,ip,in_port=1")
        #expect(try sw("dump-flows", "br0", "table=0").contains("output:4"))
        try sw("del-flows", "br0")
        #expect(try sw("dump-flows", "br0").isEmpty)
    }

    @Test func sorting() throws {
        let sw = try CommandedSwitch.simple()
        for priority in [5, 9, 7] { try sw("add-flow", "br0", "priority=\(priority),in_port=1,actions=drop") }
        func order(_ option: String) throws -> [String] {
            try sw("dump-flows", "--no-stats", option, "br0").split(separator: "\n").map { $0.filter(\.isNumber) }
        }
        #expect(try order("--no-names") == ["91", "71", "51"])
        #expect(try order("--sort") == ["51", "71", "91"])
        #expect(try order("--rsort=priority") == ["91", "71", "51"])
    }

    @Test func filesAreAppliedWholeOrNotAtAll() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "in_port=4,actions=drop")
        let before = try sw("dump-flows", "--no-stats", "br0")
        let wrong = "# comment\n\nin_port=1,actions=2\nadd in_port=2,actions=1\nin_port=3,actions=outptu:1\n"
        #expect(sw.error("add-flows", "br0", "-", wrong).hasPrefix("-:5:19: "))
        #expect(
            sw.error("add-flows", "br0", "-", "in_port=1,actions=2\ntable=3,actions=goto_table:2\n").hasPrefix("-:2:"))
        #expect(try sw("dump-flows", "--no-stats", "br0") == before)
        #expect(sw.error("add-flows", "br0", sw.scratch.file("none")).contains("No such file or directory"))
        #expect(sw.error("add-flows", "br0", "-").contains("standard input"))
        let file = sw.scratch.write("flows", "delete in_port=4\nin_port=1 actions=2\n")
        try sw("add-flows", "br0", file)
        #expect(try sw("dump-flows", "--no-stats", "br0") == " in_port=1 actions=output:2\n")
        try sw("inject", "p1", Self.frame)
        try sw("replace-flows", "br0", "-", "in_port=1 actions=2\nin_port=2 actions=1\n")
        // What is the same was left alone.
        #expect(try sw("dump-flows", "br0", "in_port=1").contains("n_packets=1"))
        #expect(sw.json("replace-flows", "br0", "-", "in_port=2 actions=1\n")["deleted"] == 1)
    }

    @Test func groupsAndMeters() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-group", "br0", "group_id=1,type=all,bucket=output:2,bucket=output:3")
        #expect(sw.error("add-group", "br0", "group_id=1,type=all").contains("exists already"))
        try sw("add-group", "--may-create", "br0", "group_id=2,type=indirect,bucket=output:4")
        try sw("insert-buckets", "br0", "group_id=1,command_bucket_id=last,bucket=bucket_id=9,actions=output:4")
        #expect(try sw("dump-groups", "br0", "1").contains("bucket_id:9"))
        try sw("remove-buckets", "br0", "group_id=1,command_bucket_id=9")
        #expect(!(try sw("dump-groups", "br0").contains("bucket_id:9")))
        try sw("add-flow", "br0", "in_port=1,actions=group:1")
        try sw("inject", "p1", Self.frame)
        #expect(try sw("dump-group-stats", "br0", "group_id=1").contains("ref_count=1,packet_count=1,byte_count=34"))
        #expect(sw.sent("p2") == 1 && sw.sent("p3") == 1)
        try sw("mod-group", "br0", "group_id=1,type=all,bucket=output:4")
        try sw("inject", "p1", Self.frame)
        #expect(sw.sent("p4") == 1)
        try sw("del-groups", "br0", "group_id=2")
        try sw("del-groups", "br0")
        #expect(try sw("dump-groups", "br0").isEmpty)
        #expect(try sw("dump-flows", "br0").isEmpty)
        try sw("add-meter", "br0", "meter=1 kbps bands=type=drop rate=1000")
        #expect(sw.error("add-meter", "br0", "meter=1 kbps bands=type=drop rate=1000").contains("exists"))
        try sw("mod-meter", "br0", "meter=1 pktps bands=type=drop rate=5")
        #expect(try sw("dump-meters", "br0").contains("meter=1 pktps"))
        #expect(try sw("meter-stats", "br0", "1").contains("meter:1"))
        try sw("del-meters", "br0", "meter=1")
        #expect(try sw("dump-meters", "br0").isEmpty)
    }

    @Test func packets() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "in_port=1,ip,nw_dst=10.0.0.0/8,actions=dec_ttl,output:2")
        let trace = try sw("trace", "br0", "in_port=1,udp,nw_dst=10.1.1.1,nw_ttl=9")
        #expect(trace.contains("Flow: ") && trace.contains("Final flow: ") && trace.contains("nw_ttl=8"))
        #expect(trace.contains("Megaflow: recirc_id=0,eth,udp,in_port=1,nw_dst=10.0.0.0/8"))
        #expect(trace.contains("Datapath actions: set(ipv4(") && trace.hasSuffix("2\n"))
        #expect(try sw("trace", "br0", "in_port=1", Self.frame).contains("nw_src=10.0.0.1"))
        #expect(try sw("trace", "br0", "in_port=2", Self.frame).contains("Datapath actions: drop\n"))
        #expect(sw.error("trace", "br0", "nonsense").contains("unknown field"))
        #expect(sw.sent("p2") == 0)
        try sw("packet-out", "br0", "none", "output:2,3", Self.frame)
        try sw("packet-out", "br0", "1", "resubmit(,0)", Self.frame)
        #expect(sw.sent("p2") == 2 && sw.sent("p3") == 1)
        #expect(sw.error("packet-out", "br0", "none", "outptu:2", Self.frame).contains("column"))
        #expect(sw.error("packet-out", "br0", "p9", "output:2", Self.frame).contains("unknown port"))
        #expect(sw.error("inject", "p9", "00").contains("no port"))
        #expect(sw.error("inject", "p1", "0").contains("odd number"))
        #expect(sw.error("inject", "p1", "0g").contains("column 2"))
        #expect(sw.error("inject", "p1", String(repeating: "00", count: 65536)).contains("65535"))
        try sw("inject", "1", "")
        #expect(try sw("drops").contains("frame_too_short: 1"))
    }

    @Test func capture() throws {
        let sw = try CommandedSwitch.simple()
        let file = sw.scratch.file("capture.pcap")
        try sw("add-flow", "br0", "in_port=1,actions=output:2")
        #expect(sw.error("capture", "p2", file, "filter=bogus bogus").contains("pcap-filter"))
        #expect(sw.error("capture", "p2", file, "count=0").contains("expected a number"))
        #expect(sw.error("capture", "p2", file, "cuont=1").contains("unknown key"))
        #expect(sw.error("capture", "stop", "p2").contains("no capture"))
        try sw("capture", "p2", file, "filter=ip dst 10.0.0.2")
        #expect(sw.error("capture", "p2", file).contains("runs on port p2 already"))
        try sw("inject", "p1", Self.frame, String(repeating: "ff", count: 60))
        #expect(try sw("capture", "stop", "p2") == "1 frames in \(file)\n")
        #expect(try Data(contentsOf: URL(fileURLWithPath: file)).count == 24 + 16 + 34)
    }

    @Test func mirrorsFollowTheirPorts() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "in_port=1,actions=output:2")
        try sw("add-mirror", "br0", "m", "select_src_port=p1", "output_port=p3")
        #expect(sw.error("add-mirror", "br0", "m", "output-port=p3").contains("already"))
        #expect(sw.error("add-mirror", "br0", "n", "output-port=p9").contains("no port p9"))
        try sw("inject", "p1", Self.frame)
        #expect(sw.sent("p2") == 1 && sw.sent("p3") == 1)
        // Made anew with its ports.
        try sw("set-port", "p3", "tx=\(sw.scratch.file("again"))")
        try sw("inject", "p1", Self.frame)
        #expect(sw.sent("p3") == 1)
        try sw("del-port", "p3")
        #expect(!(try sw("config/show").contains("mirrors")))
        #expect(sw.error("del-mirror", "br0", "m").contains("no mirror"))
    }

    @Test func learningAndTime() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "actions=normal")
        try sw("inject", "p1", Self.frame)
        #expect(sw.sent("p2") == 1 && sw.sent("p4") == 1)
        #expect(try sw("fdb/show", "br0").contains("    1     0  02:00:00:00:00:01    0"))
        try sw("time/warp", "5000")
        #expect(try sw("fdb/show", "br0").contains("02:00:00:00:00:01    5"))
        try sw("fdb/flush", "br0")
        #expect(!(try sw("fdb/show", "br0").contains("02:00:00:00:00:01")))
        #expect(sw.error("time/warp", "1s").contains("expected a number"))
        try sw("set-br", "br0", "mac-table-size=10")
        try sw("inject", "p1", Self.frame)
        try sw("time/warp", "299000")
        #expect(try sw("fdb/show", "br0").contains("02:00:00:00:00:01"))
        try sw("time/warp", "1000")
        #expect(!(try sw("fdb/show", "br0").contains("02:00:00:00:00:01")))
        try sw("add-flow", "br0", "priority=5,hard_timeout=3,in_port=2,actions=drop")
        try sw("time/warp", "4000")
        #expect(!(try sw("dump-flows", "br0").contains("hard_timeout")))
    }

    @Test func figures() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "in_port=1,actions=output:2")
        for _ in 0..<5 { try sw("inject", "p1", Self.frame) }
        try sw("inject", "p3", Self.frame)
        #expect(try sw("dp/show").contains("lookups: 6"))
        #expect(try sw("dp/dump-flows").contains("packets:5") || sw("dp/dump-flows").contains("packets:4"))
        #expect(try sw("dp/dump-flows", "-m").contains("worker:0"))
        let drops = sw.json("drops")
        #expect(drops["injected"] == 6 && drops["sent"] == 5 && drops["dropped"] == 1)
        #expect(drops["drops"]?["table_miss"] == 1)
        guard case .array(let ports)? = drops["ports"] else { throw CommandError.refused("no ports") }
        let dropping = ports.filter { $0["drops"]?["table_miss"] != nil }
        #expect(dropping.map { [$0["bridge"], $0["name"]] } == [["br0", "p3"]])
        #expect(
            try sw("drops") == """
                received 0, injected 6, copies 0, sent 5, dropped 1, held 0
                  table_miss: 1
                bridge br0 port p3:
                  table_miss: 1

                """)
        let metrics = try sw("metrics")
        #expect(metrics.contains("weft_port_tx_packets_total{bridge=\"br0\",port=\"p2\"} 5\n"))
        #expect(metrics.contains("weft_drops_total{bridge=\"br0\",port=\"p3\",reason=\"table_miss\"} 1\n"))
        try sw("del-port", "p3")
        #expect(try sw("drops").hasSuffix("no port, or ports that are gone:\n  table_miss: 1\n"))
        #expect(metrics.contains("weft_flows{bridge=\"br0\",table=\"0\"} 1\n"))
        #expect(try sw("pmd/show").contains("worker 0"))
        #expect(try sw("pmd/stats").contains("cycles per packet"))
        try sw("pmd/clear")
        try sw("dp/flush")
        #expect(try sw("dp/dump-flows").isEmpty)
    }

    @Test func globalSettings() throws {
        let sw = try CommandedSwitch.simple()
        try sw("set", "vlan-limit=2", "max_idle=500")
        #expect(try sw("get", "vlan-limit") == "2\n")
        #expect(try sw("get").contains("max-idle=500"))
        #expect(sw.error("set", "vlan-limit=1", "bogus=1").contains("unknown key"))
        #expect(sw.error("set", "flow-limit=4000000").contains("caches were made for"))
        #expect(try sw("get", "vlan-limit") == "2\n")
        #expect(sw.error("get", "bogus").contains("unknown key"))
    }
}
