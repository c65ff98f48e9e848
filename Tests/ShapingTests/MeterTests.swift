import FrameSupport
import Shaping
import Testing

@Suite struct MeterTests {
    private func table(_ settings: MeterSettings, now: UInt64 = 0) throws -> (MeterTable, UInt32) {
        let table = MeterTable()
        return (table, try #require(table.add(settings, now: now)))
    }

    /// How many of `count` frames of one moment pass.
    private func burst(_ table: MeterTable, _ number: UInt32, _ count: Int, bytes: UInt32 = 100, at now: UInt64) -> Int
    {
        (0..<count).filter { _ in table.lookup.admits(number, bytes: bytes, now: now) }.count
    }

    @Test func packetsPerSecond() throws {
        let (table, meter) = try table(MeterSettings(countsPackets: true, bands: [.init(rate: 5, burst: 2)]))
        #expect(burst(table, meter, 4, at: 0) == 2)
        // A packet is there after 200 ms, and not a millisecond earlier.
        #expect(burst(table, meter, 1, at: 199) == 0)
        #expect(burst(table, meter, 2, at: 200) == 1)
        #expect(burst(table, meter, 9, at: 1_000_000) == 2)
        let seen = table.statistics(meter)
        #expect((seen.packets, seen.bytes, seen.bands[0].packets, seen.bands[0].bytes) == (16, 1600, 11, 1100))
    }

    @Test func kilobitsPerSecond() throws {
        // 100 kilobits are 12,500 bytes; 1,000 kilobits a second are 125 bytes a millisecond.
        let (table, meter) = try table(MeterSettings(countsPackets: false, bands: [.init(rate: 1000, burst: 100)]))
        #expect(burst(table, meter, 200, at: 0) == 125)
        #expect(burst(table, meter, 2, bytes: 125, at: 1) == 1)
        #expect(burst(table, meter, 1, bytes: 1500, at: 12) == 0)
        #expect(burst(table, meter, 1, bytes: 1500, at: 13) == 1)
        #expect(burst(table, meter, 1, bytes: 0, at: 13) == 1)
    }

    @Test func withoutABurstASecondsWorth() throws {
        let (packets, first) = try table(MeterSettings(countsPackets: true, bands: [.init(rate: 5, burst: 0)]))
        #expect(burst(packets, first, 8, at: 0) == 5)
        let (bits, second) = try table(MeterSettings(countsPackets: false, bands: [.init(rate: 8, burst: 0)]))
        #expect(burst(bits, second, 20, at: 0) == 10)
    }

    /// Each bucket pays for itself; of those that cannot, the one with the highest rate has the frame.
    @Test func theHighestExceededBandApplies() throws {
        let settings = MeterSettings(
            countsPackets: true,
            bands: [.init(rate: 10, burst: 1), .init(rate: 30, burst: 3), .init(rate: 20, burst: 2)])
        let (table, meter) = try table(settings)
        #expect(burst(table, meter, 5, at: 0) == 1)
        #expect(table.statistics(meter).bands.map(\.packets) == [1, 2, 1])
    }

    @Test func timeDoesNotGoBack() throws {
        let (table, meter) = try table(
            MeterSettings(countsPackets: true, bands: [.init(rate: 1000, burst: 1)]), now: 100)
        #expect(burst(table, meter, 2, at: 100) == 1)
        #expect(burst(table, meter, 1, at: 50) == 0)
        #expect(burst(table, meter, 2, at: 101) == 1)
        #expect(burst(table, meter, 1, at: UInt64.max) == 1)
    }

    @Test func changesAndDeletions() throws {
        let table = MeterTable()
        let one = MeterSettings(countsPackets: true, bands: [.init(rate: 1, burst: 1)])
        #expect((0..<3).map { _ in table.add(one, now: 0) } == [0, 1, 2])
        #expect(burst(table, 1, 3, at: 0) == 1)
        table.replace(1, with: MeterSettings(countsPackets: true, bands: [.init(rate: 1, burst: 2)]), now: 0)
        #expect(table.statistics(1).packets == 0)
        #expect(burst(table, 1, 3, at: 0) == 2)
        table.remove(1)
        // What is not there takes everything.
        #expect(burst(table, 1, 3, at: 0) == 3)
        #expect(burst(table, UInt32.max, 3, at: 0) == 3)
        table.replace(1, with: one, now: 0)
        #expect(burst(table, 1, 3, at: 0) == 3)
        table.remove(0)
        #expect([table.add(one, now: 0), table.add(one, now: 0), table.add(one, now: 0)] == [0, 1, 3])
        #expect(burst(table, 1, 3, at: 0) == 1)
    }

    /// Blocks are used again, and begin anew.
    @Test func manyChanges() throws {
        let table = MeterTable()
        for round in 0..<5000 {
            let settings = MeterSettings(countsPackets: true, bands: [.init(rate: 7, burst: UInt32(1 + round % 3))])
            if round == 0 { _ = table.add(settings, now: 0) } else { table.replace(0, with: settings, now: 0) }
            #expect(burst(table, 0, 5, at: 0) == 1 + round % 3)
            #expect(table.statistics(0).packets == 5)
        }
    }

    /// The largest numbers: no trap, and the same as the twin, which has twice the bits.
    @Test func equalsItsTwin() throws {
        var random = SeededRandom(seed: 42)
        for _ in 0..<400 {
            func pick(_ values: [UInt32]) -> UInt32 { values[Int(random.next() % UInt64(values.count))] }
            let bands = (0..<1 + Int(random.next() % 8)).map { _ in
                MeterSettings.Band(
                    rate: pick([1, 2, 5, 100, 1000, 999_999, .max]), burst: pick([0, 1, 2, 10, 5000, .max]))
            }
            let settings = MeterSettings(countsPackets: random.next() % 2 == 0, bands: bands)
            var now = UInt64(pick([0, 1, 1_000_000]))
            let (table, meter) = try table(settings, now: now)
            var twin = MeterTwin(settings, now: now)
            for _ in 0..<200 {
                switch random.next() % 8 {
                case 0: now &+= UInt64(pick([1, 10, 1000, 100_000, .max]))
                case 1: now &+= 1
                case 2: now = now > 3 ? now - 3 : now
                default: break
                }
                let bytes = pick([14, 60, 64, 1500, 9000, 65535])
                #expect(table.lookup.admits(meter, bytes: bytes, now: now) == twin.admits(bytes: bytes, now: now))
            }
            #expect(table.statistics(meter) == twin.statistics)
        }
    }
}
