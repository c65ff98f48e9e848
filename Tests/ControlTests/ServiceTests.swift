import Balancer
import Conntrack
import Control
import Dataplane
import FrameSupport
import Testing

@Suite struct ServiceTests {
    static func balanced() throws -> CommandedSwitch {
        let sw = try CommandedSwitch.simple()
        try sw(
            "lb/add", "web", "vip=10.0.0.100:80", "backends=10.0.1.1:8080,10.0.1.2:8080@3", "apply=br0",
            "algorithm=wrr")
        return sw
    }

    static func error(_ sw: CommandedSwitch, _ method: String, _ words: [String]) -> String {
        sw.registry.execute(Request(method: method, parameters: words, id: 1)).error ?? ""
    }

    static let refused: [(words: [String], reason: String)] = [
        (["a"], "too few arguments"),
        (["a", "vip=10.0.0.9:80"], "service a: a service needs apply=NAME: the ports or bridges that it is for"),
        (["a", "apply=br0"], "service a: a service needs vip=IP:PORT"),
        (["a", "vip=10.0.0.9", "apply=br0"], "expected IP:PORT or [IPV6]:PORT"),
        (["a", "vip=10.0.0.9:80/sctp", "apply=br0"], "unknown protocol \"sctp\", expected one of tcp, udp"),
        (["a", "vip=224.0.0.1:80", "apply=br0"], "vip: 224.0.0.1:80 is not the address of one host"),
        (["a", "vip=10.0.0.9:0", "apply=br0"], "expected IP:PORT"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.1.1"], "\"10.0.1.1\" has no port"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.1.1:99999"], "found \"10.0.1.1:99999\""),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.1.1:80@x"],
            "expected a weight from 0 to 65535, found \"x\""
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.1.1:80@65536"], "expected a weight from 0 to 65535"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.1.1:80,10.0.1.1:80"],
            "backend 10.0.1.1:80 is there twice"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.0.9:80"], "10.0.0.9:80 is the vip itself"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=[2001:db8::1]:80"], "of different families"),
        (["a", "vip=10.0.0.9:80", "apply=br7"], "service a: apply: no bridge or port named br7"),
        (["a", "vip=10.0.0.9:80", "apply=br0,br0"], "apply: \"br0\" is there twice"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "bogus=1"],
            "unknown key \"bogus\", expected one of vip, backends, apply"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "zone=65536"],
            "zone: expected a number from 0 to 65535, found \"65536\""
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "algorithm=best"],
            "algorithm: unknown \"best\", expected one of round-robin"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "affinity=-1"], "affinity: expected a number from 0 to 86400"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "algorithm=maglev", "maglev-size=65536"], "expected a prime"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "maglev-size=251"],
            "maglev-size has no meaning with algorithm=round-robin"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster"], "mode=cluster needs snat=IP[-IP]"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "snat=10.0.0.1"], "snat is for mode=cluster, but mode is local"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=2001:db8::1"], "of different families"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=dsr", "backends=10.0.1.1:80"],
            "needs its Ethernet address with mode=dsr"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=dsr", "backends=10.0.1.1:81/02:00:00:00:00:01"],
            "must have the port of the vip with mode=dsr"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "encap=geneve"], "encap is not taken: there are no tunnels yet"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "answer=nd"], "an IPv4 address is asked for by arp, not nd"),
        (
            ["a", "vip=10.0.0.100:80/tcp", "apply=br0"],
            "service a: vip: 10.0.0.100:80/tcp is that of service web at br0"
        ),
        (["a", "vip=10.0.0.100:80", "apply=p1"], "vip: 10.0.0.100:80/tcp is that of service web at br0"),
        (["a", "vip=10.0.0.9:80", "apply=br0", "zone=7"], "zone: 7, but service web at br0 has zone 65535"),
        (["web", "vip=10.0.0.9:80", "apply=br0"], "service web exists already"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "check=ping"],
            "check: unknown \"ping\", expected one of none, tcp, udp"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "check-fall=2"], "check-fall needs check=tcp, udp, http or https"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=224.0.0.5"],
            "snat: 224.0.0.5 is not the address of one host"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=255.255.255.255"],
            "snat: 255.255.255.255 is not the address of one host"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=126.255.255.250-127.0.0.1"],
            "snat: 127.0.0.1 is not the address of one host"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=0.0.0.1-255.255.255.255"],
            "snat: 0.0.0.1-255.255.255.255 are more than 65536 addresses"
        ),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "mode=cluster", "snat=10.0.0.1-10.0.1.5", "backends=10.0.1.3:80"],
            "snat: 10.0.1.3 is the address of backend 10.0.1.3:80"
        ),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.0 .7:80"], "found \"10.0.0 .7:80\""),
        (["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.0.7:80, ,"], "backends: nothing between two commas"),
        (
            ["a", "vip=10.0.0.9:80", "apply=br0", "backends=10.0.0.100:80"],
            "service a: backends: 10.0.0.100:80 is the vip of service web at br0; services are not chained"
        ),
        (
            ["a", "vip=10.0.1.1:8080", "apply=p1"],
            "service a: vip: 10.0.1.1:8080/tcp is a backend of service web at br0"
        ),
        (["a", "vip=10.0.0.9:0", "apply=br0"], "the port from 1 to 65535"),
        (["a", "vip=10.0.0.9:70000/udp", "apply=br0"], "the port from 1 to 65535"),
        (["a/b", "vip=10.0.0.9:80", "apply=br0"], "expected a name"),
    ]

    @Test("What cannot be is refused with what and where, and leaves no trace", arguments: refused.indices)
    func refusal(_ index: Int) throws {
        let sw = try Self.balanced()
        let before = try sw("config/show")
        let error = Self.error(sw, "lb/add", Self.refused[index].words)
        #expect(error.contains(Self.refused[index].reason), "\(error)")
        #expect(try sw("config/show") == before)
        #expect(try sw("lb/show").components("Service ").count == 2)
    }

    @Test func backendsAreChangedOneByOne() throws {
        let sw = try Self.balanced()
        try sw("lb/backend", "add", "web", "10.0.1.3:8080@2/02:00:00:00:00:03")
        try sw("lb/backend", "drain", "web", "10.0.1.1:8080")
        try sw("lb/backend", "weight", "web", "10.0.1.2:8080", "9")
        let text = try sw("lb/show", "web")
        #expect(text.contains("Backend 10.0.1.1:8080\n        state: drain, weight: 1, connections: 0\n"))
        #expect(text.contains("Backend 10.0.1.2:8080\n        state: up, weight: 9, connections: 0\n"))
        #expect(text.contains("Backend 10.0.1.3:8080\n        state: up, weight: 2, mac: 02:00:00:00:00:03"))
        try sw("lb/backend", "activate", "web", "10.0.1.1:8080")
        try sw("lb/backend", "del", "web", "10.0.1.2:8080")
        #expect(try sw("config/show").contains("10.0.1.1:8080,10.0.1.3:8080@2/02:00:00:00:00:03"))
        for words in [
            ["del", "web", "10.0.1.2:8080"], ["drain", "web", "10.0.1.9"], ["weight", "web", "10.0.1.1:8080"],
            ["weight", "web", "10.0.1.1:8080", "-3"], ["add", "web", "10.0.1.1:8080"], ["add", "web", "10.0.1.7"],
            ["hide", "web", "10.0.1.1:8080"], ["drain", "nobody", "10.0.1.1:8080"],
            ["drain", "web", "10.0.1.1:8080", "x"],
        ] {
            #expect(!Self.error(sw, "lb/backend", words).isEmpty, "\(words)")
        }
    }

    @Test("What is no way to use lb/backend is a usage error, what the switch will not do a refusal")
    func backendUsage() throws {
        let sw = try Self.balanced()
        for words in [
            ["hide", "web", "10.0.1.1:8080"], ["hide", "nobody", "x"], ["weight", "web", "10.0.1.1:8080"],
            ["drain", "web", "10.0.1.1:8080", "x"],
        ] {
            #expect(Self.error(sw, "lb/backend", words).hasPrefix("usage error: lb/backend: "), "\(words)")
        }
        #expect(Self.error(sw, "lb/backend", ["hide", "web", "x"]).contains("add, drain, activate, weight, del"))
        #expect(sw.error("lb/backend", "drain", "web", "10.0.1.9:1") == "service web: no backend 10.0.1.9:1")
    }

    @Test("What config/show writes, config/load reads back; the difference alone is done")
    func configuration() throws {
        let sw = try Self.balanced()
        try sw(
            "lb/add", "six", "vip=[2001:db8::100]:53/udp", "backends=[2001:db8::1]:53@0/02:00:00:00:00:01/drain",
            "apply=p1", "algorithm=maglev", "maglev-size=251", "affinity=60", "empty=drop", "answer=nd,echo",
            "mac=02:00:00:00:00:64")
        try sw(
            "lb/add", "snat", "vip=10.0.0.7:80", "mode=cluster", "snat=10.0.0.8-10.0.0.9", "apply=br0",
            "backends=10.0.1.1:80")
        let text = try sw("config/show")
        let again = try Configuration(parsing: bytes(text))
        #expect(again.text == text)
        try sw("lb/del", "six")
        try sw("lb/set", "web", "algorithm=random")
        try sw.commands.load(again)
        #expect(try sw("config/show") == text)
        var other = again
        other.services.removeAll { $0.name == "snat" }
        try sw.commands.load(other)
        #expect(try sw("lb/show").components("Service ").count == 3)
    }

    @Test func checksStandInTheFile() throws {
        let text =
            "bridges:\n  - name: br0\n    local: none\nservices:\n  - name: web\n    vip: 10.0.0.1:80/tcp\n    apply: br0\n"
            + "    check: http:/alive\n    check-interval: 5s\n"
        let configuration = try Configuration(parsing: bytes(text))
        #expect(configuration.services[0].check.kind == .http && configuration.services[0].check.interval == 5000)
        #expect(try Configuration(parsing: bytes(configuration.text)) == configuration)
    }

    @Test func aPortThatServicesAreAppliedAtStays() throws {
        let sw = try Self.balanced()
        try sw("lb/add", "two", "vip=10.0.0.7:80", "apply=p1")
        #expect(sw.error("del-port", "p1").contains("p1 has load balancing applied (service two)"))
        #expect(sw.error("del-br", "br0").contains("br0 has load balancing applied (service web)"))
        try sw("lb/del", "two")
        try sw("del-port", "p1")
        #expect(sw.error("lb/del", "two") == "no service named two")
        try sw("lb/del", "--if-exists", "two")
    }

    static let wrongFiles: [(String, String)] = [
        ("  - {name: a, vip: \"10.0.0.1:80\", apply: br9}", "services[0].apply: no bridge or port named \"br9\""),
        ("  - {name: a, apply: br0}", "services[0]: a service needs vip=IP:PORT"),
        ("  - {name: a, vip: \"10.0.0.1:80\", apply: br0, weight: 3}", "services[0].weight: unknown key"),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0}\n  - {name: b, vip: \"10.0.0.1:80/tcp\", apply: br0}",
            "services[1].vip: 10.0.0.1:80/tcp is that of services[0] at br0"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0}\n  - {name: a, vip: \"10.0.0.2:80\", apply: br0}",
            "services[1].name"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0, backends: [\"10.0.0.2\"]}",
            "services[0].backends: \"10.0.0.2\" has no port"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: p1}\n  - {name: b, vip: \"10.0.0.1:80\", apply: br0}",
            "services[1].vip: 10.0.0.1:80/tcp is that of services[0] at p1"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0}\n  - {name: b, vip: \"10.0.0.2:80\", apply: p1, zone: 7}",
            "services[1].zone: 7, but services[0] at br0 has zone 65535"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0, answer: arp}\n"
                + "  - {name: b, vip: \"10.0.0.1:81\", apply: br0, answer: arp, mac: \"02:00:00:00:00:01\"}",
            "services[1].mac: services[0] at br0 answers for the same address as"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0, backends: [\"10.0.0.2:80\", \"10.0.0.2:80\"]}",
            "services[0]: backend 10.0.0.2:80 is there twice"
        ),
        (
            "  - {name: a, vip: \"10.0.0.1:80\", apply: br0, backends: [\"10.0.0.2:80\"]}\n"
                + "  - {name: b, vip: \"10.0.0.2:80\", apply: p1}",
            "services[1].vip: 10.0.0.2:80/tcp is a backend of services[0] at br0"
        ),
    ]

    @Test(arguments: wrongFiles.indices) func wrongFile(_ index: Int) throws {
        let text =
            "bridges:\n  - {name: br0, local: none, ports: [{name: p1, type: \"null\"}]}\nservices:\n"
            + Self.wrongFiles[index].0
        do {
            _ = try Configuration(parsing: bytes(text))
            Issue.record("\(text) was taken")
        } catch { #expect("\(error)".contains(Self.wrongFiles[index].1), "\(error)") }
    }

    // MARK: Changes of several services

    /// Two services that share an address and its MAC address, and one connection of each.
    static func pair() throws -> CommandedSwitch {
        let sw = try CommandedSwitch.simple()
        for (name, port) in [("a", 80), ("b", 443)] {
            try sw(
                "lb/add", name, "vip=10.0.0.100:\(port)/udp", "backends=10.0.1.1:\(port)", "apply=br0", "answer=arp",
                "mac=02:00:00:00:00:01")
            try sw("inject", "p1", datagram(0x0a00_0009, 4000, 0x0a00_0064, UInt16(port)))
        }
        return sw
    }

    static func datagram(_ src: UInt32, _ sourcePort: UInt16, _ dst: UInt32, _ port: UInt16) -> String {
        ethernet(type: 0x800, ipv4(src, dst, ipProtocol: 17, udp(.v4(src, dst), sourcePort, port, payload: [1, 2])))
            .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func connections(_ sw: CommandedSwitch) -> [UInt64] {
        sw.device.balancer.services.sorted { $0.key < $1.key }.flatMap { service in
            service.value.members.map { sw.device.tracker.count(ofBackend: $0.number) }
        }
    }

    static func load(_ sw: CommandedSwitch, _ change: (inout Configuration) -> Void) throws {
        var configuration = sw.commands.running()
        change(&configuration)
        try sw.commands.load(configuration)
    }

    @Test("Services that must share a setting can be changed together, by a file and by command")
    func sharedSettings() throws {
        let sw = try Self.pair()
        #expect(
            sw.error("lb/set", "a", "mac=02:00:00:00:00:02").contains("service b at br0 answers for the same address"))
        try Self.load(sw) { for i in 0..<2 { $0.services[i].station = 0x0200_0000_0002 } }
        #expect(try sw("config/show").components("02:00:00:00:00:02").count == 3)
        #expect(Self.connections(sw) == [1, 1], "nothing that they hold has changed")
        try sw("lb/set", "a,b", "mac=02:00:00:00:00:03")
        #expect(try sw("config/show").components("02:00:00:00:00:03").count == 3)
        #expect(sw.error("lb/set", "a", "zone=7").contains("zone: 7, but service b at br0 has zone 65535"))
        try sw("lb/set", "a,b", "zone=7")
        #expect(try sw("trace", "br0", "in_port=2,udp,nw_src=10.0.1.1,udp_src=80").contains("ct(zone=7,nat)"))
        #expect(Self.connections(sw) == [0, 0], "those of another zone have been ended")
        #expect(sw.error("lb/set", "a,a", "zone=8") == "service a is there twice")
        #expect(sw.error("lb/set", "a,", "zone=8") == "no service named ")
        #expect(sw.error("lb/set", "a,b", "vip=10.0.0.7:1").contains("vip: 10.0.0.7:1/tcp is that of service a at br0"))
    }

    @Test("Services exchange their addresses in one load")
    func exchange() throws {
        let sw = try Self.pair()
        try Self.load(sw) { ($0.services[0].vip, $0.services[1].vip) = ($0.services[1].vip, $0.services[0].vip) }
        #expect(try sw("trace", "br0", "in_port=1,udp,nw_dst=10.0.0.100,udp_dst=443").contains("to service a"))
        #expect(try sw("trace", "br0", "in_port=1,udp,nw_dst=10.0.0.100,udp_dst=80").contains("to service b"))
        try sw("lb/del", "a")
        #expect(try !sw("trace", "br0", "in_port=1,udp,nw_dst=10.0.0.100,udp_dst=443").contains("to service"))
        #expect(try sw("trace", "br0", "in_port=1,udp,nw_dst=10.0.0.100,udp_dst=80").contains("to service b"))
    }

    @Test(
        "A service that only is applied elsewhere keeps its connections, its counters and what is known of its health")
    func otherPlaces() throws {
        let sw = try Self.pair()
        let before = sw.device.balancer.services["a"]?.members.map(\.number)
        try Self.load(sw) { configuration in
            configuration.services[0].places = ["p1", "p2"]
            configuration.bridges[0].ports.removeAll { $0.name == "p4" }
        }
        #expect(Self.connections(sw) == [1, 1])
        #expect(sw.device.balancer.services["a"]?.members.map(\.number) == before)
        #expect(try sw("lb/stats", "a").contains("chosen: 1, returned: 0, refused: 0, packets: 1"))
        // The port that it is applied at goes away.
        try Self.load(sw) { configuration in
            configuration.services[0].places = ["p2"]
            configuration.bridges[0].ports.removeAll { $0.name == "p1" }
        }
        #expect(Self.connections(sw) == [1, 1])
    }

    @Test("A configuration with a clash is refused before anything is done")
    func clashInAFile() throws {
        let sw = try Self.pair()
        let before = try sw("config/show")
        #expect(throws: CommandError.self) {
            try Self.load(sw) { configuration in
                configuration.bridges[0].ports.removeAll { $0.name == "p4" }
                configuration.services.remove(at: 0)
                configuration.services.append(configuration.services[0])
                configuration.services[1].name = "c"
            }
        }
        #expect(try sw("config/show") == before)
        #expect(Self.connections(sw) == [1, 1])
        #expect(sw.device.balancer.services["a"]?.number == 1)
    }

    @Test func aPortWithServicesBecomesNoPatchPort() throws {
        let sw = try Self.balanced()
        try sw("lb/add", "two", "vip=10.0.0.7:80", "apply=p1")
        #expect(sw.error("set-port", "p1", "type=patch", "peer=x", "tx=").contains("p1 has load balancing applied"))
        #expect(try sw("config/show").contains("type: patch") == false)
    }

    @Test("A fragment for an address of two services, one at the port and one at its bridge, is nobody's")
    func fragmentsOfTwoScopes() throws {
        let sw = try CommandedSwitch.simple()
        try sw("lb/add", "a", "vip=10.0.0.100:80/udp", "backends=10.0.1.1:80", "apply=p1")
        func fragment(_ port: Int) throws -> String {
            try sw("trace", "br0", "in_port=\(port),udp,nw_dst=10.0.0.100,ip_frag=later")
        }
        #expect(try fragment(1).contains("to service a"))
        try sw("lb/set", "a", "apply=p1,br0")
        #expect(try fragment(1).contains("to service a"), "one that is applied at both is one")
        try sw("lb/set", "a", "apply=p1")
        try sw("lb/add", "b", "vip=10.0.0.100:443/udp", "backends=10.0.1.1:443", "apply=br0")
        #expect(try fragment(1).contains("a fragment for an address of several services"))
        #expect(try fragment(2).contains("to service b"))
    }

    // MARK: Health

    /// A service whose checks decide nothing by themselves, since no packet can come from the address that they are to come from, of a backend that was found down.
    static func down() throws -> (CommandedSwitch, (HealthStatus) -> Void) {
        let sw = try CommandedSwitch.simple()
        try sw(
            "lb/add", "web", "vip=10.0.0.100:80", "backends=192.0.2.1:9,192.0.2.2:9", "apply=br0", "check=tcp",
            "check-interval=1h", "check-fall=1000", "check-source=192.0.2.77")
        let number = try #require(sw.device.balancer.services["web"]?.members.first?.number)
        let check = sw.commands.running().services[0].check
        let find = { (status: HealthStatus) in
            let target = HealthTarget(id: UInt64(number), address: .ipv4(0xc000_0201), port: 9, check: check)
            sw.commands.configured.apply([HealthChange(target: target, old: .unknown, new: status, reason: "")])
        }
        find(.down)
        return (sw, find)
    }

    static func states(_ sw: CommandedSwitch) -> [Bool] {
        sw.device.balancer.services["web"]?.members.map(\.isHealthy) ?? []
    }

    @Test("What is found down stays down whatever else changes, but for what is checked")
    func healthIsCarriedOver() throws {
        let (sw, find) = try Self.down()
        #expect(Self.states(sw) == [false, true])
        try sw("lb/set", "web", "check-interval=30m")
        try sw("lb/set", "web", "vip=10.0.0.101:80")
        try sw("lb/set", "web", "zone=7")
        try sw("lb/backend", "drain", "web", "192.0.2.2:9")
        #expect(Self.states(sw) == [false, true])
        try sw("lb/set", "web", "check-port=10")
        #expect(Self.states(sw) == [true, true])
        // A word about the port that was checked before is late.
        find(.down)
        #expect(Self.states(sw) == [true, true])
    }

    @Test func withoutAnyCheckAllAreUp() throws {
        let (sw, _) = try Self.down()
        #expect(sw.error("lb/set", "web", "check=none", "check-fall=7").contains("check-fall needs check="))
        #expect(Self.states(sw) == [false, true])
        try sw("lb/set", "web", "check=none")
        #expect(Self.states(sw) == [true, true])
        #expect(try !sw("config/show").contains("check"))
    }

    @Test func checksAreCountedAndShown() throws {
        let (sw, _) = try Self.down()
        let metrics = try sw("metrics")
        let labels = "service=\"web\",backend=\"192.0.2.1:9\""
        #expect(metrics.contains("weft_lb_backend_health{\(labels),state=\"unknown\"} 1\n"))
        #expect(metrics.contains("weft_lb_backend_checks_total{\(labels),result=\"good\"} 0\n"))
        #expect(metrics.contains("weft_health_targets 2\n") && metrics.contains("weft_health_checks_late_total 0\n"))
        #expect(metrics.contains("weft_lb_backend_up{\(labels)} 0\n"))
        #expect(try sw("lb/stats").contains("\nhealth checks: backends: 2, running: "))
        #expect(try sw("lb/show").contains("state: down"))
    }

    @Test("As JSON there is what there is as text")
    func json() throws {
        let sw = try Self.pair()
        try sw("lb/set", "a,b", "mac=")
        guard case .array(let shown) = sw.json("lb/show", "a"), case .array(let stats) = sw.json("lb/stats") else {
            Issue.record("no arrays")
            return
        }
        #expect(shown[0]["settings"]?["algorithm"] == "round-robin")
        guard case .string(let station)? = shown[0]["settings"]?["mac"] else {
            Issue.record("no mac")
            return
        }
        #expect(try sw("lb/show", "a").contains("mac: \(station)"))
        #expect(stats.count == 3 && stats[0]["totals"]?["services"] == 2 && stats[0]["totals"]?["backends"] == 2)
        #expect(stats[1]["name"] == "a" && stats[1]["chosen"] == 1)
    }

    @Test func metricsHaveServicesAndBackends() throws {
        let sw = try Self.balanced()
        let text = try sw("metrics")
        #expect(text.contains("weft_lb_services 1\n") && text.contains("weft_lb_backends 2\n"))
        #expect(text.contains("weft_lb_backend_up{service=\"web\",backend=\"10.0.1.1:8080\"} 1\n"))
        #expect(try sw("lb/stats").hasPrefix("services: 1, backends: 2, choice tables: 8 bytes, affinity evicted: 0\n"))
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        self.split(separator: separator, omittingEmptySubsequences: false)
    }
}
