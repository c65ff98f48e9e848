import Control
import Dataplane
import Foundation
import FrameSupport
import Ports
import Testing

/// Configuration files against a switch.
@Suite struct LoadTests {
    private static let file = """
        settings:
          vlan-limit: 2
        bridges:
          - name: br0
            fail-mode: secure
            local: none
            ports:
              - {name: p1, type: "null", ofport: 1, tag: 3}
              - {name: p2, type: "null", flood: false}
              - {name: patch0, type: patch, peer: patch1, ofport: 9}
            groups:
              - "group_id=1,type=select,selection_method=dp_hash,bucket=output:p1,bucket=output:2"
            meters:
              - "meter=1 kbps bands=type=drop rate=1000"
            flows: |
              # names and numbers
              cookie=0x7, priority=5, in_port=p1, actions=output:p2
              table=3, idle_timeout=9, send_flow_rem, tcp, tp_dst=80, actions=group:1
            mirrors:
              - {name: m, select-all: true, output-port: p2}
          - name: br1
            local: none
            ports:
              - {name: patch1, type: patch, peer: patch0}
        """

    private func loaded() throws -> CommandedSwitch {
        let sw = try CommandedSwitch()
        try sw("config/load", "-", Self.file)
        return sw
    }

    @Test func whatIsLoadedIsThere() throws {
        let sw = try loaded()
        #expect(try sw("list-ports", "br0") == "p1\np2\npatch0\n")
        #expect(try sw("get", "vlan-limit") == "2\n")
        #expect(
            try sw("dump-flows", "--no-stats", "br0")
                == " cookie=0x7, priority=5,in_port=1 actions=output:2\n table=3, idle_timeout=9, send_flow_rem tcp,tp_dst=80 actions=group:1\n"
        )
        #expect(try sw("dump-groups", "br0").contains("selection_method=dp_hash"))
        #expect(try sw("dump-meters", "br0").contains("rate=1000"))
        // A standalone bridge switches from the start.
        #expect(try sw("dump-flows", "br1").contains("actions=NORMAL"))
    }

    @Test func savedFileLeadsToTheSameState() throws {
        let sw = try loaded()
        let file = sw.scratch.file("saved.yaml")
        try sw("config/save", file)
        let other = try CommandedSwitch()
        try other("config/load", file)
        #expect(try other("config/show") == sw("config/show"))
        #expect(try other("show") == sw("show"))
        #expect(try Configuration(file: file).text == sw("config/show"))
        #expect(sw.error("config/save", sw.scratch.file("no/such")).contains("No such file or directory"))
    }

    @Test func loadingTheSameChangesNothing() throws {
        let sw = try loaded()
        let before = try sw("config/show")
        let ports = sw.device.ports.mapValues { ObjectIdentifier($0) }
        try sw("config/load", "-", Self.file)
        try sw("config/load", "-", before)
        #expect(try sw("config/show") == before)
        #expect(sw.device.ports.mapValues { ObjectIdentifier($0) } == ports)
    }

    @Test func differenceKeepsTheRest() throws {
        let sw = try loaded()
        let kept = try #require(sw.device.ports.values.first { $0.port.name == "p1" })
        let changed = Self.file.replacingOccurrences(of: "tag: 3", with: "tag: 4")
            .replacingOccurrences(of: "{name: p2, type: \"null\", flood: false}", with: "{name: p2, type: \"null\"}")
        try sw("config/load", "-", changed)
        #expect(try sw("config/show").contains("tag: 4"))
        #expect(sw.device.ports.values.contains { $0 === kept })
    }

    @Test(arguments: [
        ("actions=output:p2", "actions=output:p7", "flows: line 2, column"),
        ("tp_dst=80", "tp_dst=eighty", "flows: line 3"),
        ("type=select", "type=selected", "groups[0]"),
        ("rate=1000", "rate=many", "meters[0]"),
        ("peer: patch0", "peer: patch0, bogus: 1", "bridges[1].ports[0].bogus"),
        ("group:1", "group:2", "group"),
        ("output-port: p2", "output-port: p1, output-vlan: 2", "mirrors[0]"),
        ("name: br1", "name: br0", "is taken"),
    ])
    func errorsChangeNothing(_ right: String, _ wrong: String, _ message: String) throws {
        let sw = try loaded()
        let before = try sw("config/show")
        let text = Self.file.replacingOccurrences(of: right, with: wrong)
            .replacingOccurrences(of: "tag: 3", with: "tag: 4").replacingOccurrences(
                of: "vlan-limit: 2", with: "vlan-limit: 1")
        let error = sw.error("config/load", "-", text)
        #expect(error.contains(message), "\(error)")
        #expect(try sw("config/show") == before)
    }

    @Test func failingDeviceIsUndone() throws {
        let sw = try loaded()
        try sw("add-flow", "br0", "priority=1,actions=drop")
        let before = try sw("config/show")
        let text = Self.file.replacingOccurrences(
            of: "{name: p2, type: \"null\", flood: false}", with: "{name: p2, type: pcap, tx: /no/such/directory/file}")
        #expect(sw.error("config/load", "-", text).contains("/no/such/directory"))
        #expect(try sw("config/show") == before)
    }

    @Test func emptyFileClears() throws {
        let sw = try loaded()
        for text in ["", "\n \n", "# all of it is a comment\n"] {
            #expect(sw.error("config/load", "-", text).contains("-: is empty; a file that clears the switch says so"))
        }
        #expect(try sw("list-br") == "br0\nbr1\n")
        try sw("config/load", "-", "bridges: []")
        #expect(try sw("list-br").isEmpty)
        #expect(sw.device.ports.isEmpty)
        #expect(try sw("config/show") == "bridges: []\n")
        // What an empty switch saves is what clears one.
        let file = sw.scratch.file("empty.yaml")
        try sw("config/save", file)
        try sw("add-br", "br7", "local=none")
        try sw("config/load", file)
        #expect(try sw("list-br").isEmpty)
    }

    @Test func namesThatFlowsWouldMisread() throws {
        let sw = try CommandedSwitch.simple()
        for name in ["all", "ALL", "LOCAL", "in_port", "in-port", "Normal", "drop", "none", "5", "0x1f", "65534"] {
            #expect(sw.error("add-port", "br0", name, "type=null").contains("cannot be a name"), "\(name)")
            #expect(sw.error("add-br", name, "local=none").contains("cannot be a name"), "\(name)")
        }
        for name in [
            "", "a,b", "a b", "a\tb", "a\"b", "a'b", "a=b", "a(b", "a:b", "a#b", "a\u{1b}b", "é", "-a", "a/b", "..",
        ] {
            #expect(sw.error("add-port", "br0", "--", name, "type=null").contains("expected a name"), "\(name)")
            #expect(sw.error("add-br", "--", name, "local=none").contains("expected a name"), "\(name)")
        }
        for name in ["5a", "0xfg", "all1", "eth0.100", "veth-a@b", "p_1", "normally", "a+b~c"] {
            try sw("add-port", "br0", name, "type=null")
            try sw("add-flow", "br0", "in_port=\(name),actions=output:\(name)")
            try sw("del-port", name)
        }
    }

    @Test func aDeviceIsOnePort() throws {
        let sw = try CommandedSwitch.simple()
        // Files let ports wait for devices that are not there.
        try sw(
            "config/load", "-",
            "bridges: [{name: br0, local: none, ports: [{name: nodev0}, {name: x, dev: nodev1, type: afpacket}]}]")
        let taken = "device nodev0 is port nodev0 of bridge br0 already"
        #expect(sw.error("add-port", "br0", "y", "dev=nodev0") == taken)
        #expect(sw.error("add-port", "br0", "y", "type=tap", "dev=nodev1").contains("is port x of bridge br0"))
        #expect(sw.error("set-port", "x", "dev=nodev0") == taken)
        #expect(sw.error("add-br", "nodev1") == "device nodev1 is port x of bridge br0 already")
        #expect(sw.error("add-port", "br0", "lo").contains("the loopback device cannot be a port"))
        #expect(sw.error("add-port", "br0", "y", "dev=lo").contains("the loopback device cannot be a port"))
        // Two ports may exchange their devices.
        try sw(
            "config/load", "-",
            "bridges: [{name: br0, local: none, ports: [{name: nodev0, dev: nodev1}, {name: x, dev: nodev0}]}]")
    }

    /// A bridge without a port of its own does not name it where it floods.
    @Test func noLocalPortInTraces() throws {
        let sw = try CommandedSwitch.simple()
        for actions in ["normal", "all", "flood"] {
            try sw("add-flow", "br0", "actions=\(actions)")
            let trace = try sw("trace", "br0", "in_port=1,dl_src=00:00:00:00:00:01")
            #expect(trace.contains("Datapath actions: 2,3,4\n"), "\(trace)")
            #expect(!trace.contains("NO_FWD") && !trace.contains("LOCAL"), "\(trace)")
        }
        try sw("add-flow", "br0", "actions=output:LOCAL")
        #expect(try sw("trace", "br0", "in_port=1").contains("Nonexistent output port"))
    }

    /// Where time stands still no second ends, so nothing is held back in it unless that is asked for.
    @Test func moveLimitInStandingTime() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-flow", "br0", "actions=normal")
        func move(_ times: Int) throws {
            for i in 0..<times { try sw("inject", "p\(1 + i % 2)", SwitchCommandTests.frame) }
        }
        try move(150)
        #expect(try !sw("drops").contains("mac_move_too_often"))
        #expect(try !sw("config/show").contains("mac-move-limit"))
        try sw("set-br", "br0", "mac-move-limit=100")
        #expect(try sw("config/show").contains("mac-move-limit: 100"))
        try move(150)
        #expect(try sw("drops").contains("mac_move_too_often"))
        try sw("time/warp", "1000")
        let before = sw.sent("p3")
        try move(10)
        #expect(sw.sent("p3") == before + 10)
        try sw("set-br", "br0", "mac-move-limit=")
        #expect(try !sw("config/show").contains("mac-move-limit"))
    }

    /// Names and forms of ovs-appctl.
    @Test func namesOfOvsAppctl() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-br", "br1", "local=none")
        try sw("add-port", "br1", "q1", "type=null")
        try sw("add-flow", "br0", "in_port=1,actions=output:2")
        #expect(try sw("ofproto/trace", "br0", "in_port=1") == sw("trace", "br0", "in_port=1"))
        #expect(try sw("ofproto/trace", "br0", "in_port=1", SwitchCommandTests.frame).contains("Datapath actions: 2\n"))
        #expect(sw.error("ofproto/trace", "br0", "in_port=1", "-generate").contains("unknown option -generate"))
        #expect(try sw("dpif/show").contains("  br0:\n    br0 65534/1: (none)\n    p1 1/2: (pcap)\n"))
        try sw("inject", "p1", SwitchCommandTests.frame)
        try sw("inject", "q1", SwitchCommandTests.frame)
        #expect(try sw("dpctl/dump-flows") == sw("dp/dump-flows"))
        #expect(try sw("dpctl/dump-flows").split(separator: "\n").count == 2)
        #expect(try sw("dpif/dump-flows", "br0").contains("in_port(p1)") || sw("dpif/dump-flows", "br0").contains("p1"))
        #expect(try sw("dpif/dump-flows", "br0").split(separator: "\n").count == 1)
        #expect(try sw("dpctl/show") == sw("dp/show"))
        #expect(try sw("upcall/show") == sw("dp/show"))
        #expect(try sw("dpif-netdev/pmd-rxq-show") == sw("pmd/show"))
        #expect(try sw("fdb/stats-show", "br1").contains("Total number of learned MAC entries     : 1\n"))
        try sw("dpctl/del-flows")
        #expect(try sw("dpctl/dump-flows").isEmpty)
        // What is not there is not taken.
        #expect(sw.error("coverage/show").hasPrefix("unknown command"))
        let list = try sw("list-commands")
        #expect(list.contains("  ofproto/trace [--names] BR FLOW [HEX]\n") && list.contains("  fdb/stats-show BR\n"))
    }

    @Test func showsMirrorsAndLocalAsJSON() throws {
        let sw = try CommandedSwitch.simple()
        try sw("add-mirror", "br0", "m", "select-all=true", "output-port=p4")
        let show = sw.json("show").text
        #expect(
            show.contains(#""mirrors":[{"name":"m","settings":{"select-all":"true","output-port":"p4"}}]"#), "\(show)")
        #expect(show.contains(#"{"name":"br0","ofport":65534,"#))
        #expect(sw.json("port-stats").text.contains(#""ofport":65534"#))
        #expect(try sw("show").contains("ofport: LOCAL"))
        for text in [show, try sw("show"), sw.json("port-stats").text, try sw("trace", "br0", "in_port=LOCAL")] {
            #expect(!text.contains("4294967294"))
        }
    }

    /// What the system says of a file, behind its path; a pipe that nobody writes to does not hold up the switch.
    @Test func filesThatAreNotThere() throws {
        let sw = try CommandedSwitch.simple()
        let none = sw.scratch.file("none")
        let pipe = sw.scratch.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(sw.error("add-flows", "br0", none) == none + ": No such file or directory")
        #expect(sw.error("config/load", none) == none + ": No such file or directory")
        #expect(sw.error("config/load", pipe) == pipe + ": is not a regular file")
        #expect(sw.error("config/save", none + "/a/b") == none + "/a/b: No such file or directory")
        #expect(sw.error("config/save", sw.scratch.path) == sw.scratch.path + ": is a directory")
        let text = "bridges: [{name: b, flows-file: \(none)}]"
        #expect(sw.error("config/load", "-", text).contains("bridges[0].flows-file"))
        // A link stays a link, and nothing is left beside the file.
        let link = sw.scratch.file("link")
        let file = sw.scratch.write("real.yaml", "")
        #expect(symlink(file, link) == 0)
        try sw("config/save", link)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == sw("config/show"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: sw.scratch.path).allSatisfy { !$0.hasSuffix(".new") })
    }

    /// Words that a terminal would obey come back escaped, and long ones shortened.
    @Test func errorsAreHarmless() throws {
        let sw = try CommandedSwitch.simple()
        let bad = "\u{1b}[2J" + String(repeating: "x", count: 100_000)
        for (method, parameters) in [
            (bad, []), ("add-br", [bad]), ("add-br", ["b", "local=none", bad]), ("add-br", ["b", bad + "=1"]),
            ("add-br", ["b", "fail-mode=" + bad]), ("set-br", [bad, "frags=drop"]), ("add-port", ["br0", bad]),
            ("add-port", ["br0", "x", "type=" + bad]), ("add-port", ["br0", "x", "tag=" + bad]),
            ("add-port", ["br0", "x", "type=pcap", "rate=" + bad]), ("del-port", [bad]),
            ("mod-port", ["br0", "p1", bad]),
            ("add-flow", ["br0", bad]), ("dump-flows", ["br0", "--sort=" + bad]), ("show", ["-O", bad]),
            ("version", ["--" + bad]), ("inject", ["p1", bad]), ("packet-out", ["br0", bad, "drop", "00"]),
            ("trace", ["br0", bad]), ("capture", ["p1", "/dev/null", bad]), ("set", [bad]), ("get", [bad]),
            ("time/warp", [bad]), ("log/set", [bad]), ("help", [bad]), ("add-group", ["br0", bad]),
            ("add-meter", ["br0", bad]), ("config/load", ["-", bad]), ("config/load", ["-", "bridges: [{\(bad): 1}]"]),
            ("config/load", ["-", "log-level: \"\\e[2J\(bad.dropFirst())\""]),
        ] as [(String, [String])] {
            let error = sw.registryAnswer(method, parameters).error ?? ""
            #expect(!error.isEmpty || method == "show", "\(method)")
            #expect(error.utf8.allSatisfy { $0 == 0x0a || $0 >= 0x20 && $0 != 0x7f }, "\(method): \(error)")
            #expect(error.utf8.count < 600, "\(method) \(parameters.first?.prefix(20) ?? ""): \(error.prefix(700))")
        }
    }

    /// Any command with any arguments: an answer, never a trap.
    @Test func randomCommands() throws {
        let sw = try CommandedSwitch.simple()
        var random = SeededRandom(seed: 23)
        let words = [
            "br0", "br1", "p1", "p2", "1", "LOCAL", "-", "", "actions=drop", "in_port=1,actions=normal", "type=null",
            "type=patch", "peer=p1", "tag=1", "local=none", "admin=down", "group_id=1,type=all,bucket=output:1",
            "priority=1", "-m", "--strict", "-O", "OpenFlow10", "--sort", "ffffffffffff020000000001080045", "00", "é",
            "output:2", "stop", "count=1", "select-all=true", "output-port=p2", "vlan-limit=2", "fail-mode=standalone",
            "meter=1 kbps bands=type=drop rate=1", "ofport=3", "table=255", "cookie=1/-1", "500", "no-flood",
        ]
        let names = CommandCatalogue.all.map(\.name).filter { $0 != "config/save" && $0 != "capture" }
        for _ in 0..<4000 {
            let name = random.pick(names)
            let parameters = (0..<random.below(5)).map { _ in random.pick(words) }
            _ = sw.registryAnswer(name, parameters)
        }
        // However it went, what it is now can be saved and read back.
        let text = try sw("config/show")
        #expect(try Configuration(parsing: bytes(text)).text == text)
    }
}

extension CommandedSwitch {
    func registryAnswer(_ name: String, _ parameters: [String]) -> Response {
        registry.execute(Request(method: name, parameters: parameters, id: 1))
    }
}
