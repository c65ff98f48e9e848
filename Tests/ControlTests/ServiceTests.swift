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
    ]

    @Test(arguments: wrongFiles.indices) func wrongFile(_ index: Int) throws {
        let text = "bridges:\n  - {name: br0, local: none}\nservices:\n" + Self.wrongFiles[index].0
        do {
            _ = try Configuration(parsing: bytes(text))
            Issue.record("\(text) was taken")
        } catch { #expect("\(error)".contains(Self.wrongFiles[index].1), "\(error)") }
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
