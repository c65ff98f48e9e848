import Foundation
import Shaping
import Synchronization
import Testing

/// Several threads at one meter: together they get what one would have got, whatever the order.
@Suite struct ThreadTests {
    /// Runs `body` on so many threads; returns when all have ended.
    private func run(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let done = DispatchGroup()
        for number in 0..<count {
            done.enter()
            Thread {
                body(number)
                done.leave()
            }.start()
        }
        done.wait()
    }

    @Test(arguments: [1, 2, 4])
    func noTokenTwiceAndNoneLost(_ threadCount: Int) throws {
        let table = MeterTable()
        // Never full while the test runs, and not empty for most of it: what is taken in all is the burst and what time
        // brings.
        let settings = MeterSettings(countsPackets: true, bands: [.init(rate: 3000, burst: 600_000)])
        let meter = try #require(table.add(settings, now: 0))
        #expect((0..<100_000).allSatisfy { _ in table.lookup.admits(meter, bytes: 60, now: 0) })
        let admitted = Atomic<Int>(0)
        let clock = Atomic<UInt64>(0)
        run(threadCount) { _ in
            var own = 0
            for _ in 0..<200_000 {
                // Now and then a millisecond passes; threads learn of it at different times.
                let (_, now) = clock.add(1, ordering: .relaxed)
                if table.lookup.admits(meter, bytes: 60, now: now / 64) { own += 1 }
            }
            admitted.add(own, ordering: .relaxed)
        }
        let last = clock.load(ordering: .relaxed) / 64
        // What is left is there still.
        var rest = 0
        while table.lookup.admits(meter, bytes: 60, now: last) { rest += 1 }
        #expect(admitted.load(ordering: .relaxed) + rest == 500_000 + 3 * Int(last))
        let seen = table.statistics(meter)
        #expect(seen.packets == UInt64(100_000 + threadCount * 200_000 + rest + 1))
        #expect(seen.packets - seen.bands[0].packets == UInt64(600_000 + 3 * Int(last)))
    }

    /// While it is changed and deleted, a meter is the old one, the new one or none; nothing traps.
    @Test func changesUnderLoad() throws {
        let table = MeterTable()
        let settings = (1...8).map { count in
            MeterSettings(countsPackets: true, bands: (0..<count).map { .init(rate: UInt32($0 + 1), burst: 1) })
        }
        _ = table.add(settings[0], now: 0)
        let isDone = Atomic<Bool>(false)
        run(3) { thread in
            if thread == 0 {
                for round in 0..<20_000 {
                    if round % 5 == 4 {
                        table.remove(0)
                        _ = table.add(settings[round % 8], now: 0)
                    } else {
                        table.replace(0, with: settings[round % 8], now: 0)
                    }
                }
                isDone.store(true, ordering: .releasing)
            } else {
                var now: UInt64 = 0
                while !isDone.load(ordering: .acquiring) {
                    now += 1
                    _ = table.lookup.admits(0, bytes: 60, now: now)
                }
            }
        }
        #expect(table.statistics(0).bands.count == settings[19_999 % 8].bands.count)
    }
}
