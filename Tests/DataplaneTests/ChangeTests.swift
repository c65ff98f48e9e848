import Base
import Dataplane
import Flow
import FlowCache
import FrameSupport
import Pipeline
import Ports
import Testing

/// Changes of the configuration while workers forward. Bounded by frames, not by time.
@Suite(.serialized) struct ChangeTests {
    private func loaded(workers: Int) throws -> Bench {
        let bench = try Bench(workers: workers)
        try bench.source("in", Bench.frames(2000), loop: true, queues: workers)
        try bench.null("out", number: 9)
        try bench.null("other", number: 10)
        try bench.flow("priority=1,actions=output:9")
        try bench.device.start()
        return bench
    }

    @Test func flowsComeAndGoWithoutLoss() throws {
        let bench = try loaded(workers: 2)
        var random = SeededRandom(seed: 7)
        for _ in 0..<150 {
            let port = 1024 + random.below(2000)
            switch random.below(4) {
            case 0: try bench.flow("priority=9,udp,tp_src=\(port),actions=output:10")
            case 1: try bench.flow("priority=8,udp,tp_src=0x400/0xfff0,actions=output:9,output:10")
            case 2: try bench.flow("udp,tp_src=\(port)", as: .delete)
            default: try bench.flow("priority=7,udp,nw_src=10.0.\(random.below(8)).0/24,actions=output:10")
            }
            bench.receive(200)
            if random.below(10) == 0 { bench.device.flushCaches() }
            if random.below(10) == 0 { bench.device.settle() }
        }
        bench.device.pause()
        let balance = bench.device.balance
        #expect(balance.drops == [:])
        #expect(balance.isEven)
    }

    /// The next frames follow a change: nothing keeps to what it said before.
    @Test func changesTakeEffect() throws {
        let bench = try loaded(workers: 2)
        for round in 0..<20 {
            let port = round % 2 == 0 ? 10 : 9
            try bench.flow("priority=1,actions=output:\(port)")
            // One barrier behind the change, every frame goes the new way.
            bench.device.flushCaches()
            let before = bench.sent(port == 9 ? 10 : 9)
            bench.receive(1000)
            #expect(bench.sent(port == 9 ? 10 : 9) == before)
        }
    }

    @Test func portsComeAndGoWithoutLoss() throws {
        let bench = try loaded(workers: 2)
        for round in 0..<60 {
            let index = try bench.null("extra\(round)", number: 20)
            try bench.flow("priority=9,udp,tp_src=0x400/0xffc0,actions=output:9,output:20")
            bench.receive(300)
            try bench.flow("priority=9,udp,tp_src=0x400/0xffc0,actions=output:9")
            bench.receive(10)
            bench.device.flushCaches()
            try bench.remove(index)
        }
        bench.device.pause()
        let balance = bench.device.balance
        #expect(balance.drops == [:])
        #expect(balance.isEven)
    }

    /// Sources that come and go, and a switch that is stopped while all of it runs.
    @Test func sourcesComeAndGo() throws {
        let bench = try loaded(workers: 2)
        for round in 0..<20 {
            let index = try bench.source("more\(round)", Bench.frames(64), loop: true, queues: 2)
            bench.receive(500)
            try bench.remove(index)
        }
        bench.device.pause()
        #expect(bench.device.balance.isEven)
        #expect(bench.device.balance.drops == [:])
    }

    @Test func stoppedSwitchStartsAgain() throws {
        let bench = try loaded(workers: 2)
        bench.receive(1000)
        bench.device.pause()
        let paused = bench.device.receivedFrames
        bench.device.flushCaches()
        #expect(bench.device.receivedFrames == paused)
        try bench.device.start()
        bench.receive(1000)
    }

    @Test func manyMegaflowsAreDescribedWhole() throws {
        let bench = try Bench(workers: 1)
        try bench.source("in", Bench.frames(3000))
        try bench.null("out", number: 9)
        try bench.flow("priority=2,udp,tp_src=1,actions=output:9")
        try bench.flow("priority=2,udp,nw_src=1.2.3.4,actions=output:9")
        try bench.flow("priority=1,udp,actions=move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],output:9")
        bench.drain()
        let flows = bench.device.megaflows()
        #expect(flows.count == Int(bench.device.cacheSummary.megaflows))
        #expect(flows.count >= 3000)
        #expect(flows.reduce(0) { $0 + $1.packets } + bench.device.cacheSummary.misses >= 3000)
    }
}

extension Bench {
    /// Frames that left through port `number`.
    func sent(_ number: UInt32) -> UInt64 {
        guard let index = device.model.state.bridge(named: "br0")?.ports[.init(number)] else { return 0 }
        return device.ports[index]?.port.transmitted.packets ?? 0
    }

    func sent(_ number: Int) -> UInt64 { sent(UInt32(number)) }
}
