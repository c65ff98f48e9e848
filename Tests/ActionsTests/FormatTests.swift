import Actions
import Base
import Testing

@Suite struct FormatTests {
    private func text(_ body: (inout ProgramBuilder) -> Void) -> String {
        var builder = ProgramBuilder()
        body(&builder)
        return ProgramFormatter.format(builder.words) { "\($0.rawValue)" }
    }

    private let mac: UInt64 = 0xffff_ffff_ffff

    @Test func link() {
        #expect(text { _ in } == "drop")
        #expect(text { $0.drop(.ruleDrop) } == "drop")
        #expect(
            text {
                $0.setEthernet(dst: 0xa468_5700_0005, dstMask: mac, src: 0x02aa_0000_0000, srcMask: 0xffff_0000_0000)
                $0.output(PortIndex(4))
            } == "set(eth(src=02:aa:00:00:00:00/ff:ff:00:00:00:00,dst=a4:68:57:00:00:05)),4")
        #expect(text { $0.pushVLAN(tpid: 0x8100, tci: 0x1007) } == "push_vlan(vid=7,pcp=0)")
        #expect(text { $0.pushVLAN(tpid: 0x88a8, tci: 0x7c21) } == "push_vlan(tpid=0x88a8,vid=3105,pcp=3)")
        #expect(
            text {
                $0.popVLAN()
                $0.pushMPLS(etherType: 0x8847, entry: 5 << 12 | 3 << 9 | 0x100 | 64)
                $0.popMPLS(etherType: 0x0800)
                $0.setMPLS(entry: 7 << 12)
            } == "pop_vlan,push_mpls(label=5,tc=3,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),"
                + "set(mpls(label=7,tc=0,ttl=0,bos=0))")
    }

    @Test func network() {
        #expect(
            text {
                $0.setIPv4(
                    src: 0, srcMask: 0, dst: 0x0a15_c5dd, dstMask: ~0, tos: 0x20, tosMask: 0xfc, ttl: 63, ttlMask: 0xff)
            } == "set(ipv4(dst=10.21.197.221,tos=0x20/0xfc,ttl=63))")
        #expect(
            text {
                $0.setIPv6(
                    src: 0xfd00 << 112 | 0x99, srcMask: ~0, dst: 0, dstMask: 0, label: 0x12, labelMask: 0xf_ffff,
                    trafficClass: 0, trafficClassMask: 0xfc, hopLimit: 9, hopLimitMask: 0xff)
            } == "set(ipv6(src=fd00::99,label=0x12,tclass=0/0xfc,hlimit=9))")
        #expect(
            text {
                $0.setARP(
                    operation: 2, operationMask: 0xffff, spa: 0x0909_0909, spaMask: ~0, tpa: 0, tpaMask: 0, sha: 1,
                    shaMask: mac, tha: 0, thaMask: 0)
            } == "set(arp(sip=9.9.9.9,op=2,sha=00:00:00:00:00:01))")
        #expect(
            text { $0.setND(target: 1, targetMask: ~0, sll: 0, sllMask: 0, tll: 2, tllMask: mac) }
                == "set(nd(target=::1,tll=00:00:00:00:00:02))")
        #expect(
            text { $0.setNDExtensions(reserved: 0x10, reservedMask: ~0, optionsType: 2, optionsTypeMask: 0xff) }
                == "set(nd_ext(nd_reserved=0x10,nd_options_type=2))")
    }

    @Test func answers() {
        #expect(text { $0.reject() } == "reject")
        #expect(text { $0.answer(mac: 0x0200_0000_00aa) } == "answer(02:00:00:00:00:aa)")
    }

    @Test func transportAndMetadata() {
        #expect(
            text { $0.setPorts(ipProtocol: 17, src: 182, srcMask: 0xff, dst: 0, dstMask: 0) }
                == "set(udp(src=182/0xff))")
        #expect(
            text { $0.setPorts(ipProtocol: 6, src: 53, srcMask: 0xffff, dst: 1, dstMask: 0xffff) }
                == "set(tcp(src=53,dst=1))")
        #expect(
            text { $0.setICMP(ipProtocol: 58, type: 128, typeMask: 0xff, code: 1, codeMask: 0xff) }
                == "set(icmpv6(type=128,code=1))")
        #expect(
            text {
                $0.truncateNextOutput(to: 64)
                $0.setQueue(5)
                $0.setMark(1)
                $0.hash(basis: 3, symmetric: true)
            } == "trunc(64),set(skb_priority(0x5)),set(skb_mark(0x1)),hash(sym_l4(3))")
    }

    @Test func meters() {
        #expect(
            text {
                $0.meter(3)
                $0.controller(reason: 1, meter: 7)
                $0.controller(reason: 2)
                $0.output(PortIndex(4))
            } == "meter(3),sample(sample=100.0%,actions(meter(7),userspace(pid=0,controller(reason=1)))),"
                + "userspace(pid=0,controller(reason=2)),4")
        // A flag without its operand.
        #expect(
            ProgramFormatter.format([ProgramBuilder.head(.controller, flags: 1, immediate: 1)]) { _ in "p" }
                == "userspace(pid=0,controller(reason=1))")
    }

    @Test func bodies() {
        #expect(
            text {
                let outer = $0.beginClone()
                $0.output(PortIndex(1))
                let inner = $0.beginClone()
                $0.output(PortIndex(2))
                $0.endClone(inner)
                $0.endClone(outer)
                let check = $0.beginCheckLength(threshold: 1400)
                $0.output(PortIndex(3))
                $0.otherwiseCheckLength(check)
                $0.endCheckLength(check)
                $0.output(PortIndex(4))
            } == "clone(1,clone(2)),check_pkt_len(size=1400,gt(3),le(drop)),4")
    }

    @Test func garbageDoesNotTrap() {
        #expect(ProgramFormatter.format([~0, 1, 2]) { _ in "p" } == "")
        let cut = ProgramBuilder.head(.setIPv6, operands: 10)
        #expect(ProgramFormatter.format([cut, 1]) { _ in "p" } == "")
    }
}

@Suite struct OpCodeTests {
    /// The short way from code to op is the long way.
    @Test func everyCode() {
        for code in UInt8.min...UInt8.max { #expect(DatapathOp(code: code) == DatapathOp(rawValue: code)) }
    }
}
