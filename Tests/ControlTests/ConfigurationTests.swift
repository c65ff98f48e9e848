import Control
import Foundation
import FrameSupport
import Testing

@Suite struct ConfigurationTests {
    static func parse(_ text: String) throws(ConfigurationError) -> Configuration {
        try Configuration(parsing: bytes(text))
    }

    // MARK: Errors

    static let wrong: [(String, String)] = [
        (
            "bridgs: []",
            "1:1: bridgs: unknown key, expected one of control, workers, cores, cache, log-level, settings, "
                + "conntrack, bridges, services"
        ),
        ("bridges: 7", "1:10: bridges: expected a list, found \"7\""),
        ("bridges:\n  - fail-mode: secure", "2:5: bridges[0]: has no name"),
        ("bridges:\n  - name: [a]\n    ports: {}", "3:12: bridges[0].ports: expected a list, found keys and values"),
        (
            "bridges:\n  - name: b\n    fail-mode: open",
            "3:16: bridges[0].fail-mode: unknown \"open\", expected one of standalone, secure"
        ),
        (
            "bridges:\n  - name: b\n    local: none\n    ports:\n      - name: p\n      - {name: q, type: foo}",
            "6:25: bridges[0].ports[1].type: unknown type \"foo\", expected one of afpacket, tap, internal, pcap, null, patch"
        ),
        (
            "bridges:\n  - name: b\n    ports:\n      - name: p\n        tag: 4096",
            "5:14: bridges[0].ports[0].tag: expected a number from 0 to 4095, found \"4096\""
        ),
        (
            "bridges:\n  - name: b\n    ports:\n      - name: p\n        tags: 1",
            "5:9: bridges[0].ports[0].tags: unknown key, expected one of name, type, ofport, dev, queues, ring, rx, tx, "
                + "loop, rate, mac, hwaddr, peer, mtu, tag, vlan-mode, trunks, cvlans, qinq-ethtype, priority-tags, "
                + "protected, admin, receive, forward, flood"
        ),
        (
            "bridges:\n  - {name: b, ports: [{name: p, type: \"null\"}, {name: p, type: tap}]}",
            "bridges[0].ports[1].name: \"p\" is taken by bridges[0].ports[0]"
        ),
        ("bridges:\n  - name: b\n  - name: b", "bridges[1].name: \"b\" is taken by bridges[0]"),
        (
            "bridges:\n  - {name: b, ports: [{name: p, ofport: 3}, {name: q, ofport: 3}]}",
            "bridges[0].ports[1].ofport: 3 is taken by bridges[0].ports[0]"
        ),
        (
            "bridges:\n  - name: b\n    mirrors:\n      - {name: m, output-port: x}",
            "bridges[0].mirrors[0]: bridge b has no port \"x\""
        ),
        (
            "bridges:\n  - name: b\n    mirrors:\n      - {name: m, select-all: true}",
            "4:9: bridges[0].mirrors[0]: a mirror needs output-port or output-vlan, and not both"
        ),
        (
            "bridges:\n  - {name: b, ports: [{name: p, type: patch}]}",
            "2:23: bridges[0].ports[0]: a patch port needs peer=PORT"
        ),
        (
            "bridges:\n  - {name: b, ports: [{name: p, type: \"null\", queues: 2}]}",
            "2:23: bridges[0].ports[0]: unknown option \"queues\" for type null; it has mtu, mac, hwaddr"
        ),
        ("workers: 0", "1:10: workers: expected a number from 1 to 256, found \"0\""),
        ("workers: 2\ncores: 1", "cores: excludes workers: one worker runs on each core"),
        ("settings: {vlan-limit: 3}", "1:24: settings.vlan-limit: expected a number from 0 to 2, found \"3\""),
        ("log-level: loud", "1:12: log-level: unknown log level \"loud\""),
        ("cache: some", "1:8: cache: unknown \"some\", expected one of all, megaflow, none"),
        (
            "bridges:\n  - {name: 'b/c'}",
            "2:12: bridges[0].name: expected a name of 1 to 63 letters, digits and signs but /,:;=#()[]{}<>|\"'`\\, found \"b/c\""
        ),
        // What is left of a file that was cut short, or never written.
        ("", "is empty; a file that clears the switch says so: bridges: []"),
        (" \n\n# nothing\n", "is empty; a file that clears the switch says so: bridges: []"),
        ("bridges:\n", "bridges: has no value; a file that clears the switch says bridges: []"),
        (
            "bridges: [{name: LOCAL}]",
            "1:18: bridges[0].name: \"LOCAL\" cannot be a name: it means something else in flows (ovs-ofctl(8))"
        ),
        (
            "bridges:\n  - {name: b, ports: [{name: eth0}, {name: p, dev: eth0}]}",
            "bridges[0].ports[1]: device eth0 is that of bridges[0].ports[0] already"
        ),
        (
            "bridges: [{name: b, ports: [{name: p, type: tap, dev: b}]}]",
            "bridges[0].ports[0]: device b is that of bridges[0] already"
        ),
        ("bridges: [{name: b, flows: a, flows-file: b}]", "bridges[0].flows-file: excludes flows"),
        ("workers: 1\nworkers: 1", "1:1: key \"workers\" is there twice"),
    ]

    @Test(arguments: wrong) func errorsNameThePath(_ text: String, _ message: String) {
        do {
            _ = try Self.parse(text)
            #expect(Bool(false), "accepted: \(text)")
        } catch {
            #expect(error.description == message)
        }
    }

    @Test(arguments: ["a: [", "\t- a", "a: b: c", "{", "\"", "a: *x", "--- a\n...\n--- b", "%", "? [a]\n: b"])
    func noYAML(_ text: String) {
        #expect(throws: ConfigurationError.self) { try Self.parse(text) }
    }

    @Test func deepNesting() {
        for text in [
            String(repeating: "[", count: 100_000), String(repeating: "{a: ", count: 100_000),
            String(repeating: "- ", count: 100_000),
        ] {
            #expect(throws: ConfigurationError.self) { try Self.parse("bridges: " + text) }
            #expect(throws: ConfigurationError.self) { try Self.parse(text) }
        }
        let stairs = (0..<3000).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        #expect(throws: ConfigurationError.self) { try Self.parse(stairs) }
    }

    @Test func aliasesDoNotExplode() {
        var text = "a: &a [x,x,x,x,x,x,x,x,x]\n"
        for i in 1..<12 {
            let letter = UnicodeScalar(UInt8(97 + i))
            let last = UnicodeScalar(UInt8(96 + i))
            text += "\(letter): &\(letter) [" + Array(repeating: "*\(last)", count: 9).joined(separator: ",") + "]\n"
        }
        #expect(throws: ConfigurationError.self) { try Self.parse(text) }
    }

    @Test func notUTF8() {
        #expect(throws: ConfigurationError.self) { try Configuration(parsing: [0x61, 0x3a, 0xff]) }
    }

    // MARK: What is read

    @Test func emptyIsNothing() throws {
        #expect(try Self.parse("bridges: []") == Configuration())
        #expect(Configuration().text == "bridges: []\n")
    }

    @Test func scalarsListsAndUnderscores() throws {
        let configuration = try Self.parse(
            """
            cores: [1, 3-4]
            bridges:
              - name: b
                fail_mode: secure
                local: none
                ports:
                  - {name: p, type: null, trunks: [1, 5-7], cvlans: "3,4", vlan_mode: dot1q-tunnel, tag: 9}
                flows:
                  - in_port=1,actions=drop
                  - actions=normal
            """)
        #expect(configuration.cores == [1, 3, 4])
        let bridge = try #require(configuration.bridge("b"))
        #expect(bridge.failMode == .secure && bridge.local == .none)
        #expect(bridge.ports[0].trunks == [1, 5, 6, 7])
        #expect(bridge.ports[0].customerVLANs == [3, 4])
        #expect(bridge.ports[0].vlanMode == .dot1qTunnel)
        #expect(bridge.flows == "in_port=1,actions=drop\nactions=normal\n")
    }

    @Test func flowsFileIsFoundBesideTheConfiguration() throws {
        let scratch = Scratch()
        scratch.write("the.flows", "actions=normal\n")
        let file = scratch.write("weft.yaml", "bridges: [{name: b, flows-file: the.flows}]")
        let configuration = try Configuration(file: file)
        #expect(configuration.bridges[0].flows == "actions=normal\n")
        let missing = scratch.write("other.yaml", "bridges: [{name: b, flows-file: none.flows}]")
        #expect(throws: ConfigurationError.self) { try Configuration(file: missing) }
        do { _ = try Configuration(file: scratch.file("absent.yaml")) } catch {
            #expect(error.description.contains("absent.yaml"))
        }
    }

    static var examples: [String] {
        let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../configs").standardized.path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(".yaml") }.sorted().map { directory + "/" + $0 }
    }

    @Test func thereAreExamples() { #expect(Self.examples.count >= 3) }

    @Test(arguments: examples) func examplesLoadAndComeBack(_ file: String) throws {
        let configuration = try Configuration(file: file)
        #expect(!configuration.bridges.isEmpty)
        #expect(try Self.parse(configuration.text) == configuration)
    }

    // MARK: Round trips

    @Test func randomConfigurationsComeBack() throws {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let configuration = RandomConfiguration.make(&random)
            let text = configuration.text
            do { #expect(try Self.parse(text) == configuration, "\(text)") } catch { Issue.record("\(error)\n\(text)") }
        }
    }

    /// Mutated files: an error or a configuration, never a trap; and what is read can be written and read again.
    @Test func mutatedFiles() throws {
        var random = SeededRandom(seed: 17)
        let seeds = try Self.examples.map { [UInt8](try Data(contentsOf: URL(fileURLWithPath: $0))) }
        let alphabet = bytes("[]{}:-,#&*!|>'\"%@` \n\t?~0a")
        for _ in 0..<1500 {
            var text = random.pick(seeds)
            for _ in 0..<1 + random.below(3) {
                let at = random.below(text.count)
                switch random.below(5) {
                case 0: text[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: text.remove(at: at)
                case 2: text.insert(random.pick(alphabet), at: at)
                case 3: text.removeSubrange(at...)
                default: text.insert(contentsOf: text[at..<min(text.count, at + random.below(60))], at: at)
                }
                if text.isEmpty { text = [0x0a] }
            }
            guard let configuration = try? Configuration(parsing: text) else { continue }
            #expect(try Self.parse(configuration.text) == configuration)
        }
    }
}

/// Configurations that are right, with everything in them now and then.
enum RandomConfiguration {
    static func make(_ random: inout SeededRandom) -> Configuration {
        var configuration = Configuration()
        if random.oneIn(3) { configuration.control = text(&random) }
        if random.oneIn(3) { configuration.workers = 1 + random.below(8) }
        if random.oneIn(3) { configuration.settings.vlanLimit = random.below(3) }
        if random.oneIn(3) { configuration.logLevel = random.pick(["debug", "notice"]) }
        for i in 0..<random.below(3) { configuration.bridges.append(bridge(i, &random)) }
        return configuration
    }

    private static func text(_ random: inout SeededRandom) -> String {
        let letters = [
            "a", "Z", "0", " ", ":", "#", "\"", "'", "\\", "-", "é", "\u{1F600}", "{", "null", "~", "\t", "\n",
            "\u{7f}",
        ]
        return "x" + (0..<random.below(8)).map { _ in random.pick(letters) }.joined()
    }

    private static func vlans(_ random: inout SeededRandom) -> Set<UInt16> {
        Set((0..<1 + random.below(6)).map { _ in UInt16(random.below(4096)) })
    }

    private static func bridge(_ number: Int, _ random: inout SeededRandom) -> BridgeConfiguration {
        var bridge = BridgeConfiguration(name: random.pick(["br", "null", "yes", "0y"]) + "\(number)")
        if random.oneIn(2) { bridge.failMode = .secure }
        if random.oneIn(2) { bridge.hardwareAddress = random.bits48() & 0xfeff_ffff_ffff }
        if random.oneIn(2) { bridge.datapathID = random.next() | 1 }
        bridge.fragments = random.pick([.normal, .drop, .nxMatch])
        bridge.local = random.pick([.none, .tap, .pcap])
        if bridge.local == .pcap { bridge.transmitFile = text(&random) }
        if random.oneIn(3) { bridge.floodVLANs = vlans(&random) }
        if random.oneIn(3) { bridge.macTableSize = 10 + random.below(1000) }
        if random.oneIn(3) { bridge.flows = random.pick(["actions=normal\n", "", "\n a\n", "# é\n", "x", "a\n\n"]) }
        if random.oneIn(3) { bridge.groups = [text(&random), "group_id=1,type=all"] }
        for i in 0..<random.below(5) { bridge.ports.append(port("p\(number)-\(i)", UInt32(i + 1), &random)) }
        if let name = bridge.ports.first?.name, random.oneIn(2) {
            var mirror = MirrorConfiguration(name: "m")
            mirror.outputPort = name
            mirror.selectedSources = [name, bridge.name]
            bridge.mirrors = [mirror]
        }
        return bridge
    }

    private static func port(_ name: String, _ number: UInt32, _ random: inout SeededRandom) -> PortConfiguration {
        var port = PortConfiguration(name: name)
        port.kind = random.pick([.null, .pcap, .patch, .afpacket, .tap])
        if random.oneIn(2) { port.number = number }
        switch port.kind {
        case .patch: port.peer = "peer"
        case .pcap: port.options["tx"] = text(&random)
        case .afpacket: port.options["dev"] = "eth" + String(port.name.suffix(10))
        default: break
        }
        if random.oneIn(3) { port.tag = UInt16(random.below(4096)) }
        if random.oneIn(3) { port.trunks = vlans(&random) }
        if port.tag != nil { port.vlanMode = random.pick([nil, .access, .nativeTagged, .dot1qTunnel]) }
        if random.oneIn(4) { port.mtu = 68 + random.below(9000) }
        if random.oneIn(4) { port.isProtected = true }
        if random.oneIn(4) { port.isUp = false }
        if random.oneIn(4) { port.floods = false }
        if random.oneIn(4) { port.qinq = .customerTag }
        if random.oneIn(4) { port.priorityTags = .always }
        return port
    }
}
