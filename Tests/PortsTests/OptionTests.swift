import Ports
import Testing

@Suite struct OptionTests {
    private func refusal(_ type: PortType, _ options: [String: String]) -> PortError? {
        #expect(throws: PortError.self) { try PortOptions(port: "eth9", type: type, options: options) }
    }

    @Test func unknownKeyIsNamed() {
        let error = refusal(.pcap, ["rx": "a", "lopp": "yes"])
        #expect(error?.kind == .unknownOption("lopp"))
        #expect(error?.description.contains("lopp") == true)
        #expect(error?.description.contains("loop") == true)
        #expect(refusal(.null, ["dev": "x"])?.kind == .unknownOption("dev"))
    }

    @Test(arguments: [
        ("queues", "0"), ("queues", "x"), ("queues", "65"), ("ring", "-1"), ("mtu", "67"), ("mtu", "70000"),
        ("mac", "01:00:00:00:00:01"), ("mac", "02:00:00:00:00"), ("mac", "02:00:00:00:00:+1"), ("mac", ""),
        ("dev", "sixteen-bytes-xx"), ("dev", ""), ("dev", "a/b"), ("dev", "a b"),
    ])
    func badValues(_ key: String, _ value: String) {
        #expect(refusal(.afpacket, [key: value])?.kind == .badValue(option: key))
    }

    @Test func goodValues() throws {
        let options = try PortOptions(
            port: "p", type: .afpacket,
            options: ["dev": "veth0", "queues": "4", "ring": "1024", "mtu": "9000", "mac": "2:0:0:0:0:ff"])
        #expect(options.device == "veth0")
        #expect(options.queues == 4)
        #expect(options.ring == 1024)
        #expect(options.mtu == 9000)
        #expect(options.hardwareAddress == 0x0200_0000_00ff)
        #expect(try PortOptions(port: "veth1", type: .afpacket, options: [:]).device == "veth1")
    }

    @Test func replayKeysNeedAFile() {
        #expect(refusal(.pcap, ["loop": "yes"])?.kind == .missingOption("rx"))
        #expect(refusal(.pcap, ["rx": ""])?.kind == .badValue(option: "rx"))
        #expect(refusal(.pcap, ["rx": "a", "loop": "maybe"])?.kind == .badValue(option: "loop"))
    }

    @Test func typesOfLaterVersionsAreRefusedAsSuch() {
        for type in ["afxdp", "iouring", "vhost-user"] {
            let error = #expect(throws: PortError.self) { try PortType.named(type, port: "p") }
            #expect(error?.kind == .unsupportedType)
            #expect(error?.description.contains("not supported in this version") == true)
        }
        let error = #expect(throws: PortError.self) { try PortType.named("afpaket", port: "p") }
        #expect(error?.kind == .unknownType)
        #expect(error?.description.contains("afpacket") == true)
    }
}
