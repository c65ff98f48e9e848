import Conntrack
import Foundation
import FrameSupport
import Memory
import Synchronization
import Testing

/// Several workers, upkeep and control on one table. Of use above all under the thread sanitizer.
@Suite struct ThreadTests {
    /// One thread for each body, joined.
    func run(_ bodies: [@Sendable () -> Void]) {
        let done = DispatchGroup()
        for body in bodies {
            done.enter()
            let thread = Thread {
                body()
                done.leave()
            }
            thread.stackSize = 1 << 20
            thread.start()
        }
        done.wait()
    }

    func tracker(workers: Int, limit: UInt32 = 5000) -> ConnectionTracker {
        var configuration = TrackerConfiguration(seed: 3)
        configuration.limit = limit
        configuration.capacity = limit
        return ConnectionTracker(configuration, workers: workers)
    }

    /// Both directions of the same connections, at once; each is made once only.
    @Test func twoDirectionsOnTwoWorkers() {
        let tracker = tracker(workers: 2)
        let clock = Atomic<UInt64>(1000)
        let left = Atomic<Int>(2)
        let side: @Sendable (Int) -> Void = { worker in
            let bench = TrackerBench(sharing: tracker, worker: worker)
            for round in 0..<30 {
                for port: UInt16 in 1...200 {
                    bench.now = clock.load(ordering: .relaxed)
                    let isEven = (worker + round) % 2 == 0
                    bench.send(isEven ? udpFrame(alice, bob, port, 53) : udpFrame(bob, alice, 53, port))
                    if port % 16 == 0 { tracker.quiescent(worker: worker) }
                }
                clock.add(10, ordering: .relaxed)
            }
            tracker.offline(worker: worker)
            left.subtract(1, ordering: .relaxed)
        }
        run([
            { side(0) }, { side(1) },
            { while left.load(ordering: .relaxed) > 0 { tracker.upkeep(now: clock.load(ordering: .relaxed)) } },
        ])
        #expect(tracker.count == 200)
        #expect(tracker.connections(now: clock.load(ordering: .relaxed)).count == 200)
    }

    /// Connections come, are translated, expire, are evicted, flushed and dumped, all at once.
    @Test func everythingAtOnce() {
        let tracker = tracker(workers: 2, limit: 300)
        tracker.earlyDropAge = 5
        let clock = Atomic<UInt64>(1000)
        let left = Atomic<Int>(2)
        let worker: @Sendable (Int) -> Void = { worker in
            let bench = TrackerBench(sharing: tracker, worker: worker)
            var random = SeededRandom(seed: UInt64(worker) + 1)
            var request = TrackRequest()
            request.commits = true
            request.translates = true
            request.kind = .source
            request.hasAddresses = true
            request.firstAddress = 0x0a63_0001
            request.lastAddress = 0x0a63_0003
            for round in 0..<8000 {
                bench.now = clock.add(UInt64(random.below(3)), ordering: .relaxed).newValue
                let port = UInt16(1 + random.below(400))
                if random.oneIn(2) {
                    _ = bench.outcome(udpFrame(alice, bob, port, 53), request)
                } else {
                    bench.send(udpFrame(bob, alice, 53, port), zone: 1)
                }
                if random.oneIn(3000) { clock.add(70_000, ordering: .relaxed) }
                if round % 8 == 0 { tracker.quiescent(worker: worker) }
            }
            tracker.offline(worker: worker)
            left.subtract(1, ordering: .relaxed)
        }
        let control: @Sendable () -> Void = {
            var rounds = 0
            while left.load(ordering: .relaxed) > 0 {
                let now = clock.load(ordering: .relaxed)
                tracker.upkeep(now: now)
                rounds += 1
                if rounds % 50 == 0 { tracker.flush(zone: 1) }
                if rounds % 20 == 0 { _ = tracker.connections(zone: 0, now: now) }
            }
        }
        run([{ worker(0) }, { worker(1) }, control])
        let now = clock.load(ordering: .relaxed)
        #expect(tracker.count <= 310)
        #expect(tracker.connections(now: now).count <= tracker.count)
        #expect(tracker.flush() >= 0 && tracker.count == 0)
        #expect(tracker.connections(now: now).isEmpty)
    }
}
