import Base
import Dataplane
import Testing

@Suite struct BalanceTests {
    /// Full batches leave while the programs that fill them still run.
    @Test(arguments: [3, 5]) func floodingMoreThanABatchHoldsLosesNothing(sources: Int) throws {
        let bench = try Bench()
        let count = 500
        for number in 0..<sources { try bench.source("s\(number)", Bench.frames(count)) }
        try bench.null("out")
        try bench.flow("actions=flood")
        bench.drain()
        let balance = bench.device.balance
        #expect(balance.received == UInt64(sources * count))
        #expect(balance.sent == UInt64(sources * count * (sources + 1)))
        #expect(balance.drops == [:])
        #expect(balance.isEven)
        #expect(bench.device.buffersInUse == 0)
    }

    /// More copies than there are buffers: what waits to be sent is sent first.
    @Test func floodingToMorePortsThanThereAreBuffersLosesNothing() throws {
        let bench = try Bench()
        let (ports, count) = (200, 320)
        try bench.source("in", Bench.frames(count))
        for number in 0..<ports { try bench.null("out\(number)") }
        try bench.flow("actions=flood")
        bench.drain()
        let balance = bench.device.balance
        #expect(balance.sent == UInt64((ports + 1) * count))
        #expect(balance.drops == [:])
        #expect(balance.isEven)
    }

    @Test func dropsOfEveryKindAreCountedOnce() throws {
        let bench = try Bench()
        var frames = Bench.frames(100)
        frames.append([1, 2, 3])
        frames.append([])
        let long = Bench.frames(20, length: 30000)
        let source = try bench.source("in", frames + long)
        try bench.null("out", number: 9)
        try bench.flow("priority=2,udp,tp_src=1030,actions=drop")
        try bench.flow("priority=2,udp,tp_src=1031,actions=output:9,output:9,push_vlan:0x8100,output:9")
        try bench.flow("priority=2,udp,tp_src=1032,actions=controller")
        try bench.flow("priority=2,udp,tp_src=1033,actions=output:77")
        try bench.flow("priority=2,udp,tp_src=1034,actions=in_port")
        try bench.flow("priority=1,actions=output:9")
        bench.drain()
        try bench.device.inject([Bench.frames(1)[0], [9]], port: source)
        let balance = bench.device.balance
        #expect(balance.isEven)
        #expect(balance.drops[.ruleDrop] == 2)
        #expect(balance.drops[.controllerAction] == 2)
        #expect(balance.drops[.frameTooShort] == 3)
        #expect(bench.device.buffersInUse == 0)
    }

    /// Each drop belongs to the port that its frame came in through, whichever worker had it.
    @Test(arguments: [1, 2]) func dropsBelongToThePortOfEntry(workers: Int) throws {
        let bench = try Bench(workers: workers)
        let a = try bench.source("a", Bench.frames(40) + [[1]])
        let b = try bench.source("b", Bench.frames(100))
        try bench.null("out", number: 9)
        try bench.flow("priority=2,in_port=1,udp,tp_src=1030,actions=drop")
        try bench.flow("priority=2,in_port=1,udp,tp_src=1031,actions=set_field:1->udp_src,controller")
        try bench.flow("priority=1,in_port=1,actions=output:9")
        bench.drain()
        try bench.device.packetOut(Bench.frames(1)[0], actions: [], bridge: "br0", inPort: .none)
        let device = bench.device
        #expect(device.workerDrops(of: a) == [.ruleDrop: 1, .controllerAction: 1, .frameTooShort: 1])
        #expect(device.workerDrops(of: b) == [.tableMiss: 100])
        #expect(device.workerDrops(of: .none).values.reduce(0, +) == 1)
        #expect(device.balance.isEven && device.balance.dropped == 104)
        // The next port that gets the index starts at nothing, and the sum stays.
        let before = device.balance
        try bench.remove(b)
        #expect(device.workerDrops(of: b) == [:])
        #expect(device.workerDrops(of: .none)[.tableMiss, default: 0] >= 100)
        #expect(device.balance == before)
    }

    /// What a port did is not forgotten with it, nor by clearing the workers' statistics.
    @Test func balanceSurvivesRemovalAndClearing() throws {
        let bench = try Bench()
        let source = try bench.source("in", Bench.frames(300))
        let out = try bench.null("out", number: 9)
        try bench.null("other", number: 10)
        try bench.flow("actions=output:9,output:10")
        bench.drain()
        let before = bench.device.balance
        #expect(before.isEven && before.sent == 600)
        bench.device.clearWorkerStatistics()
        try bench.remove(out)
        try bench.remove(source)
        #expect(bench.device.balance == before)
    }
}
