import Base
import Dataplane
import FrameSupport
import Pipeline
import Testing

/// Small bursts that wait for the end of the round, beside those of other ports.
@Suite struct WaitingTests {
    /// A switch that tracks a connection, so that small bursts wait.
    private func bench() throws -> Bench {
        let bench = try Bench()
        var settings = bench.device.model.state.settings
        settings.vlanLimit = 2
        try bench.device.model.setSettings(settings)
        let local = try bench.null("first")
        try bench.flow("table=0,priority=9,udp,tp_src=1024,in_port=1,actions=ct(commit)")
        try bench.device.inject([Bench.frames(1)[0]], port: local)
        return bench
    }

    /// What was looked at of a frame that waits is not taken for something of a frame behind it.
    @Test func nothingIsLeftBehind() throws {
        let bench = try bench()
        let tagged = ethernet(
            tags: [FrameSupport.Tag(5, tpid: 0x88a8), FrameSupport.Tag(6)], type: 0x0806,
            arp(operation: 1, spa: 1, tpa: 2))
        let frames = Bench.frames(32).map { frame in
            Array(frame[..<12]) + [0x81, 0, 0, 7] + Array(frame[12...])
        }
        try bench.source("small", [tagged])
        try bench.source("large", frames)
        try bench.null("out", number: 9)
        try bench.flow("in_port=2,actions=drop")
        try bench.flow("in_port=3,vlan_tci=0x1000/0x1000,actions=pop_vlan,resubmit(,1)")
        try bench.flow("table=1,vlan_tci=0/0x1000,actions=output:9")
        bench.drain()
        let balance = bench.device.balance
        #expect(balance.isEven && balance.sent == 32)
    }

    @Test func allGoWithTheirRound() throws {
        let bench = try bench()
        let frames = Bench.frames(300)
        for number in 0..<3 {
            try bench.source("s\(number)", Array(frames[number * 100..<number * 100 + [1, 3, 100][number]]))
        }
        try bench.null("out", number: 9)
        try bench.flow("priority=1,ip,actions=ct(table=1)")
        try bench.flow("table=1,ip,ct_state=+trk,actions=ct(commit),output:9")
        bench.drain()
        let balance = bench.device.balance
        #expect(balance.isEven && balance.drops.values.reduce(0, +) == 1, "the first frame alone")
        #expect(balance.received == 104 && balance.sent == 104)
        #expect(bench.device.buffersInUse == 0)
    }
}
