import Base
import Dispatch
import Pipeline
import Synchronization
import Testing

@Suite("MAC learning") struct StateStationTests {
    let changes = ChangeLog()
    let a: UInt64 = 0x0200_0000_0001
    let b: UInt64 = 0x0200_0000_0002

    func table(_ maximum: Int = 10, moveLimit: Int = 100) -> StationTable {
        StationTable(bridge: 0, changes: changes, maximumEntries: maximum, moveLimit: moveLimit, secret: 7)
    }

    @Test("a station is learned, refreshed, moved, per VLAN") func basics() throws {
        let table = table()
        #expect(table.lookup(vlan: 0, mac: a) == nil)
        guard case .learned(let handle) = table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 1000) else {
            Issue.record("not learned")
            return
        }
        #expect(table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 2000) == .unchanged(handle))
        #expect(table.lookup(vlan: 0, mac: a)?.used == 2000)
        #expect(table.lookup(vlan: 5, mac: a) == nil)
        #expect(table.learn(vlan: 0, mac: a, port: PortIndex(2), now: 3000) == .moved(handle))
        #expect(table.lookup(vlan: 0, mac: a)?.port == PortIndex(2))
        #expect(table.statistics.moved == 1)
    }

    @Test("learning and moving are told to the change log; being heard again is not") func dependencies() {
        let table = table()
        let start = changes.generation
        _ = table.learn(vlan: 3, mac: a, port: PortIndex(1), now: 0)
        #expect(changes.wasTouched(.station(bridge: 0, vlan: 3, mac: a), since: start))
        let learned = changes.generation
        _ = table.learn(vlan: 3, mac: a, port: PortIndex(1), now: 10)
        #expect(changes.generation == learned)
        _ = table.learn(vlan: 3, mac: a, port: PortIndex(2), now: 20)
        #expect(changes.wasTouched(.station(bridge: 0, vlan: 3, mac: a), since: learned))
        let moved = changes.generation
        table.flush()
        #expect(changes.wasTouched(.station(bridge: 0, vlan: 3, mac: a), since: moved))
    }

    @Test("ages in whole seconds; a touch through the handle counts") func aging() throws {
        let table = table()
        table.agingTime = 15
        _ = table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 500)
        guard case .learned(let handle) = table.learn(vlan: 0, mac: b, port: PortIndex(1), now: 500) else {
            Issue.record("not learned")
            return
        }
        table.touch(handle, now: 9_000)
        table.expire(now: 14_999)
        #expect(table.list().count == 2)
        table.expire(now: 15_000)
        #expect(table.list().map(\.mac) == [b])
        table.expire(now: 24_000)
        #expect(table.list().isEmpty)
        // The handle's entry is gone, or another's: nothing happens.
        table.touch(handle, now: 50_000)
        _ = table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 60_000)
        table.touch(handle, now: 70_000)
        #expect(table.lookup(vlan: 0, mac: a)?.used == 60_000)
        #expect(table.statistics.expired == 2)
    }

    @Test("expiry goes through the whole table", arguments: [10, 255, 256, 257, 3000]) func expiry(size: Int) {
        let table = table(size)
        for i in 0..<size { _ = table.learn(vlan: 0, mac: UInt64(i) << 1, port: PortIndex(1), now: 0) }
        _ = table.learn(vlan: 0, mac: 0, port: PortIndex(1), now: 900_000)
        table.expire(now: 1_000_000)
        #expect(table.list().map(\.mac) == [0])
        #expect(table.statistics.expired == UInt64(size - 1))
    }

    /// A worker that learns waits for one holding of the lock.
    @Test("the lock is held for a few entries at a time") func smallSteps() {
        let table = table(5000)
        for i in 0..<1000 { _ = table.learn(vlan: 0, mac: UInt64(i) << 1, port: PortIndex(1), now: 0) }
        var at: Int? = 0
        var entries = table.statistics.entries
        var steps = 0
        while let start = at {
            var gone: Dependencies = []
            at = table.removeStep(from: start, &gone) { _ in true }
            let left = table.statistics.entries
            #expect(entries - left <= StationTable.removalsPerStep)
            #expect(gone.isEmpty == (entries == left))
            #expect(at.map { $0 - start <= StationTable.recordsPerStep } ?? true)
            // What is learned between two steps is as good as any other entry.
            _ = table.learn(vlan: 1, mac: 2, port: PortIndex(2), now: 1)
            entries = table.statistics.entries
            steps += 1
        }
        #expect(steps >= 1000 / StationTable.removalsPerStep)
        #expect(table.list().allSatisfy { $0.vlan == 1 })
    }

    @Test("a flush beside learning takes all of its port and nothing of others") func flushBesideLearning() {
        let table = table(4096)
        for i in 0..<2000 { _ = table.learn(vlan: 0, mac: UInt64(i) << 1, port: PortIndex(1), now: 0) }
        DispatchQueue.concurrentPerform(iterations: 3) { thread in
            if thread == 0 { return table.flush(port: PortIndex(1)) }
            for i in 0..<1000 {
                _ = table.learn(vlan: UInt16(thread), mac: UInt64(i) << 1, port: PortIndex(2), now: 1)
            }
        }
        let ports = table.list().map(\.port)
        #expect(ports == Array(repeating: PortIndex(2), count: 2000))
    }

    /// Lookups walk a table without a lock; it is kept until they have left, and no longer.
    @Test("tables from before a resize go when readers have left") func resizedTablesGo() throws {
        let model = SwitchModel()
        try model.addBridge("br0", now: 1)
        let table = try #require(model.state.bridges[0]?.stations)
        let reader = try #require(model.makeReader())
        let isDone = Atomic<Bool>(false)
        let wrong = Atomic<Int>(0)
        _ = table.setStatic(vlan: 0, mac: 0xffe, port: PortIndex(99), now: 0)
        DispatchQueue.concurrentPerform(iterations: 2) { thread in
            if thread == 0 {
                for round in 0..<200 {
                    try? model.setBridge("br0", now: 1) { $0.macTableSize = round % 2 == 0 ? 100 : 5000 }
                    if table.retiredTables != 0 { wrong.add(1, ordering: .relaxed) }
                }
                isDone.store(true, ordering: .releasing)
                return
            }
            var number: UInt64 = 0
            while !isDone.load(ordering: .acquiring) {
                _ = reader.enter()
                for _ in 0..<20 {
                    number += 2
                    _ = table.learn(vlan: 1, mac: number & 0xff, port: PortIndex(1), now: number)
                    if table.lookup(vlan: 0, mac: 0xffe)?.port != PortIndex(99) { wrong.add(1, ordering: .relaxed) }
                }
                reader.leave()
            }
        }
        #expect(wrong.load(ordering: .relaxed) == 0)
        table.maximumEntries = 50
        #expect(table.retiredTables == 1)
    }

    @Test("a full table gives up the oldest entry of the port with most") func eviction() {
        let table = table(10)
        for i in 0..<7 { _ = table.learn(vlan: 0, mac: UInt64(0x10 + i), port: PortIndex(1), now: UInt64(i)) }
        for i in 0..<3 { _ = table.learn(vlan: 0, mac: UInt64(0x20 + i), port: PortIndex(2), now: UInt64(10 + i)) }
        // The first of port 1 was heard again, so the second goes.
        if let first = table.lookup(vlan: 0, mac: 0x10) { table.touch(first.handle, now: 20) }
        let before = changes.generation
        _ = table.learn(vlan: 0, mac: 0x30, port: PortIndex(3), now: 21)
        #expect(table.lookup(vlan: 0, mac: 0x11) == nil)
        #expect(table.lookup(vlan: 0, mac: 0x10) != nil)
        #expect(changes.wasTouched(.station(bridge: 0, vlan: 0, mac: 0x11), since: before))
        #expect(table.statistics.entries == 10)
        #expect(table.statistics.evicted == 1)
    }

    @Test("a station that moves too often stays for the rest of the second") func moveLimit() {
        let table = table(moveLimit: 3)
        _ = table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 1000)
        var outcomes: [StationTable.Learning] = []
        for i in 0..<5 {
            outcomes.append(table.learn(vlan: 0, mac: a, port: PortIndex(UInt32(2 + i)), now: 1500))
        }
        #expect(outcomes[3] == .movedTooOften && outcomes[4] == .movedTooOften)
        #expect(table.lookup(vlan: 0, mac: a)?.port == PortIndex(4))
        #expect(table.statistics.refusedMoves == 2)
        guard case .moved = table.learn(vlan: 0, mac: a, port: PortIndex(9), now: 2000) else {
            Issue.record("not moved in the next second")
            return
        }
    }

    @Test("gratuitous ARP locks an entry against bonds for five seconds") func gratuitousARP() {
        let table = table()
        _ = table.learn(vlan: 0, mac: a, port: PortIndex(1), gratuitousARP: true, now: 1000)
        #expect(
            table.learn(vlan: 0, mac: a, port: PortIndex(2), gratuitousARP: true, fromBond: true, now: 5999) == .kept)
        #expect(table.lookup(vlan: 0, mac: a)?.port == PortIndex(1))
        guard
            case .moved = table.learn(
                vlan: 0, mac: a, port: PortIndex(2), gratuitousARP: true, fromBond: true, now: 6000)
        else {
            Issue.record("still locked")
            return
        }
    }

    @Test("static entries stay where they are, whatever is heard, ages or is flushed") func staticEntries() {
        let table = table()
        _ = table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 0)
        #expect(table.setStatic(vlan: 0, mac: a, port: PortIndex(2), now: 0))
        #expect(table.learn(vlan: 0, mac: a, port: PortIndex(1), now: 10) == .kept)
        table.expire(now: 10_000_000)
        table.flush()
        #expect(table.lookup(vlan: 0, mac: a)?.isStatic == true)
        for i in 0..<30 { _ = table.learn(vlan: 0, mac: UInt64(0x40 + 2 * i), port: PortIndex(3), now: 20) }
        #expect(table.lookup(vlan: 0, mac: a)?.port == PortIndex(2))
        #expect(table.removeStatic(vlan: 0, mac: a))
        #expect(!table.removeStatic(vlan: 0, mac: a))
        #expect(table.lookup(vlan: 0, mac: a) == nil)
    }

    @Test("flush of one port, and a change of size, keep the rest") func flushAndResize() {
        let table = table(20)
        for i in 0..<20 {
            _ = table.learn(vlan: 0, mac: UInt64(0x10 + 2 * i), port: PortIndex(UInt32(i % 2 + 1)), now: UInt64(i))
        }
        table.flush(port: PortIndex(1))
        #expect(table.list().map(\.port) == Array(repeating: PortIndex(2), count: 10))
        table.maximumEntries = 1000
        #expect(table.list().count == 10)
        #expect(table.lookup(vlan: 0, mac: 0x12)?.port == PortIndex(2))
        for i in 0..<900 { _ = table.learn(vlan: 1, mac: UInt64(2 * i), port: PortIndex(3), now: 100) }
        table.maximumEntries = 1
        #expect(table.maximumEntries == 10)
        #expect(table.list().count == 10)
    }

    @Test("agrees with a dictionary", arguments: 0..<20 as Range<UInt64>) func differential(seed: UInt64) {
        struct Key: Hashable {
            let vlan: UInt16
            let mac: UInt64
        }
        var random = Random(seed: seed)
        let table = StationTable(
            bridge: 0, changes: changes, maximumEntries: 64, agingTime: 20, moveLimit: 0, secret: seed)
        var twin: [Key: (port: UInt32, used: UInt64, order: Int)] = [:]
        var now: UInt64 = 1000
        for step in 0..<5000 {
            now += UInt64(random.below(100))
            let key = Key(vlan: UInt16(random.below(3)), mac: UInt64(random.below(40)) << 1)
            switch random.below(20) {
            case 0:
                table.expire(now: now)
                twin = twin.filter { now / 1000 < $0.value.used / 1000 + 20 }
            case 1:
                let port = UInt32(random.below(5) + 1)
                table.flush(port: PortIndex(port))
                twin = twin.filter { $0.value.port != port }
            default:
                let port = UInt32(random.below(5) + 1)
                _ = table.learn(vlan: key.vlan, mac: key.mac, port: PortIndex(port), now: now)
                if twin[key] == nil, twin.count == 64 {
                    // The victim is one of a port with most entries: whichever the table chose.
                    var counts: [UInt32: Int] = [:]
                    for entry in twin.values { counts[entry.port, default: 0] += 1 }
                    let gone = twin.filter { table.lookup(vlan: $0.key.vlan, mac: $0.key.mac) == nil }
                    #expect(gone.count == 1)
                    for (key, entry) in gone {
                        #expect(counts[entry.port] == counts.values.max())
                        twin[key] = nil
                    }
                }
                twin[key] = (port, now, step)
            }
            let known = table.lookup(vlan: key.vlan, mac: key.mac)
            #expect(known?.port.rawValue == twin[key]?.port && known?.used == twin[key]?.used)
        }
        #expect(Set(table.list().map { Key(vlan: $0.vlan, mac: $0.mac) }) == Set(twin.keys))
        #expect(table.statistics.entries == twin.count)
    }

    @Test("lookups beside learning on other threads find a station where it was put") func concurrency() {
        let table = StationTable(bridge: 0, changes: changes, maximumEntries: 256, moveLimit: 0, secret: 1)
        let wrong = Atomic<Int>(0)
        // A fixed station, and each thread's own ones, whose port says who put them there.
        _ = table.setStatic(vlan: 0, mac: 0xffe, port: PortIndex(99), now: 0)
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            var random = Random(seed: UInt64(thread))
            for step in 0..<20_000 {
                let number = random.below(200)
                let mac = UInt64(thread) << 16 | UInt64(number) << 1
                if thread < 2 {
                    let port = UInt32(thread * 100 + 1 + random.below(3))
                    _ = table.learn(vlan: 0, mac: mac, port: PortIndex(port), now: UInt64(step))
                } else {
                    let owner = UInt32(thread - 2)
                    let target = UInt64(owner) << 16 | UInt64(number) << 1
                    if let found = table.lookup(vlan: 0, mac: target), found.port.rawValue / 100 != owner {
                        wrong.add(1, ordering: .relaxed)
                    }
                    if table.lookup(vlan: 0, mac: 0xffe)?.port != PortIndex(99) { wrong.add(1, ordering: .relaxed) }
                }
            }
        }
        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(table.statistics.entries == table.list().count)
    }
}
