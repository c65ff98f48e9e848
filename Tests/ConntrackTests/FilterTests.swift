import Conntrack
import FrameSupport
import Testing

@Suite struct FilterTests {
    func filter(_ arguments: String...) throws -> ConnectionFilter { try ConnectionFilter(arguments) }

    @Test func partsOfATuple() throws {
        let bench = TrackerBench()
        for zone: UInt16 in 0...1 {
            for port: UInt16 in 1...5 { bench.send(udpFrame(alice, bob, port, 53), zone: zone) }
            bench.send(pingFrame(alice, bob, type: 8, id: 7), zone: zone)
        }
        func matching(_ filter: ConnectionFilter) -> Int {
            bench.tracker.connections(now: bench.now).filter { filter.matches($0) }.count
        }
        #expect(matching(try filter()) == 12)
        #expect(matching(try filter("zone=1")) == 6)
        #expect(matching(try filter("ct_nw_src=10.1.0.10")) == 12)
        #expect(matching(try filter("ct_nw_dst=10.1.0.10")) == 0)
        #expect(matching(try filter("", "ct_nw_dst=10.1.0.10")) == 12)
        #expect(matching(try filter("ct_nw_proto=17", "ct_nw_dst=10.1.0.10,ct_tp_dst=3")) == 2)
        #expect(matching(try filter("zone=1", "ct_nw_proto=17,ct_tp_src=2")) == 1)
        #expect(matching(try filter("ct_nw_proto=1,icmp_id=7,icmp_type=8,icmp_code=0")) == 2)
        #expect(matching(try filter("ct_ipv6_src=2001:db8::1")) == 0)
        let whole = try filter(
            "zone=1", "ct_nw_src=10.1.0.10,ct_nw_dst=10.2.0.1,ct_nw_proto=17,ct_tp_src=3,ct_tp_dst=53")
        #expect(whole.tuple != nil)
        #expect(bench.flush(whole) == 1)
        #expect(bench.flush(whole) == 0)
        #expect(bench.flush(try filter("ct_nw_proto=17,ct_tp_src=3")) == 1)
        #expect(bench.flush(try filter("zone=0")) == 5)
        #expect(bench.tracker.count == 5)
    }

    @Test func refusals() {
        func message(_ arguments: String...) -> String {
            do throws(ConnectionFilter.SyntaxError) {
                _ = try ConnectionFilter(arguments)
                return ""
            } catch { return error.description }
        }
        #expect(message("ct_tp_src=1") == "port is set without protocol")
        #expect(message("zone=65536") == "failed to parse field zone: 65536 is not 0 to 65535")
        #expect(message("ct_nw_src=1.2.3") == "failed to parse field ct_nw_src: 1.2.3")
        #expect(message("ct_nw_src=1.2.3.4,ct_ipv6_dst=::1") == "the L3 protocol does not match ::1")
        #expect(message("ct_nw_src=1.2.3.4,ct_nw_src=1.2.3.4") == "ct_nw_src is set multiple times")
        #expect(message("icmp_id=1") == "icmp_id needs ct_nw_proto=1 or ct_nw_proto=58 in front of it")
        #expect(message("ct_color=1") == "invalid conntrack tuple field: ct_color")
        #expect(message("ct_nw_proto") == "field ct_nw_proto missing value")
        #expect(message("ct_nw_proto=6", "ct_tp_src=1", "ct_tp_src=1") == "too many tuples: ct_tp_src=1")
    }
}
