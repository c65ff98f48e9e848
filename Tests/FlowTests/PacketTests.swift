import Base
import Flow
import Foundation
import Testing

@Suite struct PacketTests {
    static func recorded() -> [(flow: String, shown: String)] {
        guard let url = Bundle.module.url(forResource: "Resources/packets", withExtension: "tsv"),
            let text = try? String(contentsOf: url, encoding: .utf8)
        else { return [] }
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { row in
            let columns = row.split(separator: "\t").map(String.init)
            return (columns[0], columns[1])
        }
    }

    @Test func packetsAreShownAsRecorded() throws {
        #expect(PacketTests.recorded().count >= 10)
        for (flow, shown) in PacketTests.recorded() {
            #expect(FlowPrinter().text(try PacketParser().parse(flow)) == shown)
        }
    }

    @Test func aFieldNeedsItsPrerequisiteBeforeIt() {
        #expect(throws: FlowSyntaxError.self) { try PacketParser().parse("tcp_dst=80,tcp") }
        #expect(throws: FlowSyntaxError.self) { try PacketParser().parse("tcp,udp") }
        #expect(throws: FlowSyntaxError.self) { try PacketParser().parse("ip,nw_src=1.2.3.4,nw_src=1.2.3.5") }
        #expect(throws: FlowSyntaxError.self) { try PacketParser().parse("ip,nw_src=1.2.3.0/24") }
    }

    @Test func doublyTaggedAndOtherPackets() throws {
        var key = try PacketParser().parse("in_port=7,dl_vlan=100,dl_vlan_pcp=3,dl_type=0x8847")
        #expect(key[.vlanTPID] == 0x8100)
        key[.innerVlanTCI] = 0x1005
        key[.mpls0] = 20 << 12 | 64
        key[.mpls1] = 30 << 12 | 0x100 | 1
        let ends =
            "dl_vlan=100,dl_vlan_pcp=3,dl_vlan1=5,dl_vlan_pcp1=0,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,"
        #expect(
            FlowPrinter().text(key)
                == "mpls,in_port=7,\(ends)mpls_label=20,mpls_tc=0,mpls_ttl=64,mpls_bos=0,mpls_lse1=123137")
    }

    @Test func megaflowsShowWhatWasLookedAt() throws {
        let key = try PacketParser().parse(
            "in_port=4,tcp,nw_src=10.21.197.151,nw_dst=10.21.197.154,tcp_dst=81,dl_vlan=9")
        var mask = FlowMask()
        mask.mark(Subfield(.ipv4Src, offset: 8, width: 24))
        mask.mark(Subfield(.ipv4Dst, offset: 8, width: 8))
        mask.mark(.nwProto)
        mask.mark(.ipFrag)
        mask.mark(.tcpDst)
        mask.mark(.dlVLAN)
        mask.bits[.tcpFlags] = 2
        #expect(
            FlowPrinter().megaflow(key, mask)
                == "recirc_id=0,eth,tcp,in_port=4,dl_vlan=9,nw_src=10.21.197.0/24,nw_dst=0.0.197.0/0.0.255.0,nw_frag=no,tp_dst=81,tcp_flags=-syn"
        )
    }

    @Test func portsAreShownByName() throws {
        var context = FlowContext()
        context.portName = { $0 == PortNumber(3) ? "eth0.1" : $0 == PortNumber(4) ? "veth-a" : nil }
        context.portNumber = { $0 == "eth0.1" ? PortNumber(3) : $0 == "veth-a" ? PortNumber(4) : nil }
        let flow = try FlowParser(context).parse("in_port=\"eth0.1\",actions=veth-a,output:5")
        #expect(
            FlowPrinter(context).text(flow.match, priority: flow.priority, actions: flow.actions)
                == "in_port=\"eth0.1\" actions=output:veth-a,output:5")
        #expect(throws: FlowSyntaxError.self) { try FlowParser(context).parse("in_port=eth9,actions=drop") }
    }
}
