import Control
import Testing

/// What `--help` lists is what the parsers take.
@Suite struct SettingKeyTests {
    /// A command that takes keys, and what makes it succeed with nothing but a key.
    private func take(_ sw: CommandedSwitch, _ command: String, _ words: [String]) throws -> String? {
        _ = sw.registryAnswer("del-br", ["--if-exists", "br1"])
        _ = sw.registryAnswer("del-port", ["--if-exists", "br0", "x"])
        _ = sw.registryAnswer("del-mirror", ["br0", "m"])
        _ = sw.registryAnswer("capture", ["stop", "p1"])
        let parameters: [String]
        switch command {
        case "add-br": parameters = ["br1", "local=none"] + words
        case "set-br": parameters = ["br0"] + words
        case "add-port": parameters = ["br0", "x", "type=null"] + words
        case "set-port": parameters = ["p1"] + words
        case "add-mirror": parameters = ["br0", "m", "output-port=p1"] + words
        case "capture": parameters = ["p1", sw.scratch.file("c.pcap")] + words
        default: parameters = words
        }
        return sw.registryAnswer(command, parameters).error
    }

    private static let takers = ["add-br", "set-br", "add-port", "set-port", "add-mirror", "capture", "set"]

    @Test(arguments: takers)
    func helpListsEveryKey(_ command: String) throws {
        let spec = CommandSpec.named(command)
        #expect(!spec.keys.isEmpty)
        for key in spec.keys {
            #expect(spec.help.contains("  \(key.name)=\(key.values)"))
            #expect(spec.help.contains(key.meaning))
            #expect(!key.standard.isEmpty && !key.meaning.hasSuffix("."))
            for name in [key.name] + key.aliases {
                #expect(name.allSatisfy { $0.isASCII && ($0.isLowercase || $0.isNumber || $0 == "-") })
            }
        }
        #expect(spec.help.split(separator: "\n").allSatisfy { $0.count < 160 })
    }

    /// Every key that is listed is known, by each of its names and with `_`; an unknown one is refused with the list.
    @Test(arguments: takers)
    func listedKeysAreKnown(_ command: String) throws {
        let sw = try CommandedSwitch.simple()
        let spec = CommandSpec.named(command)
        for key in spec.keys {
            for name in [key.name] + key.aliases {
                let plain = try take(sw, command, ["\(name)="]) ?? ""
                #expect(!plain.contains("unknown key"), "\(plain)")
                let other = try take(sw, command, [String(name.map { $0 == "-" ? "_" : $0 }) + "="]) ?? ""
                #expect(!other.contains("unknown key"), "\(other)")
            }
        }
        let names = spec.keys.map(\.name).joined(separator: ", ")
        #expect(try take(sw, command, ["bogus=1"]) == "unknown key \"bogus\", expected one of \(names)")
    }

    /// What help names as the default is a value, and saying it changes nothing.
    @Test func defaultsAreTrue() throws {
        let sw = try CommandedSwitch()
        try sw("add-br", "br1", "local=none")
        let before = try sw("config/show")
        for command in ["set-br", "set"] {
            for key in CommandSpec.named(command).keys where !key.standard.hasPrefix("(") && key.name != "local" {
                let target = command == "set" ? [] : ["br1"]
                let answer = sw.registryAnswer(command, target + ["\(key.name)=\(key.standard)"])
                #expect(answer.error == nil, "\(key.name)")
                #expect(try sw("config/show") == before, "\(key.name)")
            }
        }
        let needs = ["queues": "afpacket", "ring": "afpacket", "loop": "pcap", "rate": "pcap", "type": "afpacket"]
        for key in CommandSpec.named("add-port").keys where !key.standard.hasPrefix("(") {
            func port(_ settings: String) throws -> Configuration {
                let type = needs[key.name] ?? "null"
                let rx = type == "pcap" ? ", rx: a" : ""
                let kind = key.name == "type" ? "" : ", type: '\(type)'"
                return try Configuration(
                    parsing: bytes("bridges: [{name: b, ports: [{name: p\(kind)\(rx)\(settings)}]}]"))
            }
            #expect(throws: Never.self, "\(key.name)") { try port(", \(key.name): '\(key.standard)'") }
        }
    }

    @Test func namesOfOpenVSwitch() throws {
        let sw = try CommandedSwitch()
        try sw("set", "other_config:max-idle=20000", "other_config:flow-limit=5000")
        #expect(try sw("get", "max-idle") == "20000\n")
        #expect(try sw("get", "other_config:flow-limit") == "5000\n")
        try sw("add-br", "br0", "local=none", "fail_mode=secure", "other_config:mac-aging-time=60")
        try sw("set-br", "br0", "other_config:mac-table-size=100", "other_config:forward-bpdu=true")
        #expect(try sw("config/show").contains("mac-table-size: 100"))
        try sw("add-port", "br0", "p", "type=null", "ofport_request=7", "vlan_mode=access", "tag=3")
        #expect(try sw("config/show").contains("ofport: 7"))
        #expect(sw.error("set", "n-handler-threads=4").hasPrefix("n-handler-threads is not taken: workers"))
        #expect(sw.error("set", "other_config:pmd-cpu-mask=6").contains("--cores"))
        #expect(sw.error("set-br", "br0", "stp_enable=true").contains("there is no spanning tree"))
        #expect(sw.error("get", "dpdk-init").contains("there is no DPDK"))
        #expect(
            sw.error("config/load", "-", "settings: {n-handler-threads: 4}").contains(
                "settings.n-handler-threads: is not"))
    }
}
