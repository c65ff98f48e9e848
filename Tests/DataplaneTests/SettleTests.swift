import Base
import Dataplane
import Pipeline
import Testing

@Suite struct SettleTests {
    private func counted(_ device: Switch) -> UInt64 {
        var sum: UInt64 = 0
        device.model.state.bridges[0]?.tables[1]?.forEachRule { sum += device.model.counters.value($0.counter).packets }
        return sum
    }

    /// Piece by piece, between bursts: what was there when settling began has been credited when it ends.
    @Test(arguments: [1, 2]) func creditsEverythingWhileWorkersForward(workers: Int) throws {
        let bench = try Bench(workers: workers)
        try bench.null("out", number: 9)
        // A megaflow for each flow.
        try bench.flow("udp,actions=move:NXM_OF_UDP_SRC[]->NXM_NX_REG0[0..15],resubmit(,1)")
        try bench.flow("table=1,priority=2,reg0=1,actions=drop")
        try bench.flow("table=1,priority=1,actions=output:9")
        for number in 0..<workers { try bench.source("s\(number)", Bench.frames(3000), loop: true) }
        let device = bench.device
        try device.start()
        bench.receive(20_000)
        for _ in 0..<30 {
            let before = device.processedFrames
            device.settle()
            #expect(counted(device) >= before)
        }
        device.pause()
        device.settle()
        #expect(counted(device) == device.processedFrames)
        #expect(device.cacheSummary.megaflows >= 3000)
    }
}
