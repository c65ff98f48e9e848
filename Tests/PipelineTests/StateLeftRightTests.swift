import Base
import Dispatch
import Pipeline
import Synchronization
import Testing

@Suite("Left-right") struct StateLeftRightTests {
    /// Two numbers that a change always keeps equal, one step apart.
    final class Pair {
        var first = 0
        var second = 0
    }

    @Test("readers never see half a change, and always see one that was finished before they entered")
    func concurrentReaders() throws {
        let copies = LeftRight(Pair(), Pair())
        let published = Atomic<Int>(0)
        let torn = Atomic<Int>(0)
        let stale = Atomic<Int>(0)
        let backward = Atomic<Int>(0)
        let rounds = 20_000
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            if thread == 0 {
                for round in 1...rounds {
                    copies.change({ pair in
                        pair.first += 1
                        pair.second += 1
                    })
                    published.store(round, ordering: .sequentiallyConsistent)
                }
            } else if let reader = copies.makeReader() {
                var last = 0
                for _ in 0..<rounds {
                    let atLeast = published.load(ordering: .sequentiallyConsistent)
                    let pair = reader.enter().takeUnretainedValue()
                    let (first, second) = (pair.first, pair.second)
                    let again = pair.first
                    reader.leave()
                    if first != second || first != again { torn.add(1, ordering: .relaxed) }
                    if first < atLeast { stale.add(1, ordering: .relaxed) }
                    if first < last { backward.add(1, ordering: .relaxed) }
                    last = first
                }
                copies.remove(reader)
            }
        }
        #expect(torn.load(ordering: .relaxed) == 0)
        #expect(stale.load(ordering: .relaxed) == 0)
        #expect(backward.load(ordering: .relaxed) == 0)
        #expect(copies.front.first == rounds)
    }

    @Test("a refused change runs once and leaves both copies alone")
    func refusal() {
        struct Refused: Error {}
        let copies = LeftRight(Pair(), Pair())
        #expect(throws: Refused.self) {
            try copies.change(first: { (_: Pair) throws(Refused) in throw Refused() }, again: { $0.first = 99 })
        }
        var seen: [Int] = []
        copies.change({ seen.append($0.first) })
        #expect(seen == [0, 0])
    }

    @Test("places of readers run out, and come back")
    func readerPlaces() throws {
        let copies = LeftRight(Pair(), Pair())
        var readers = (0..<LeftRight<Pair>.maximumReaders).compactMap { _ in copies.makeReader() }
        #expect(readers.count == LeftRight<Pair>.maximumReaders)
        #expect(copies.makeReader() == nil)
        let last = readers.popLast()
        copies.remove(try #require(last))
        #expect(copies.makeReader() != nil)
    }
}

@Suite("Change log") struct StateChangeLogTests {
    @Test("what was touched after a generation, and nothing else")
    func touches() {
        let log = ChangeLog()
        let start = log.generation
        #expect(log.touchedSince(start).isEmpty)
        log.touch(.ports)
        let middle = log.generation
        log.touch(.table(bridge: 0, 3))
        #expect(log.touchedSince(start) == [.ports, .table(bridge: 0, 3)])
        #expect(log.touchedSince(middle) == .table(bridge: 0, 3))
        #expect(log.wasTouched([.ports, .groups], since: start))
        #expect(!log.wasTouched([.ports, .groups], since: middle))
        log.touch([])
        #expect(log.generation == middle + 1)
    }

    @Test("threads that touch at once lose nothing: whoever reads a generation finds the bits behind it")
    func concurrentTouches() {
        let log = ChangeLog()
        let missed = Atomic<Int>(0)
        let rounds = 20_000
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            let own = Dependencies(rawValue: 1 << UInt64(thread))
            for _ in 0..<rounds {
                let before = log.generation
                log.touch(own)
                // An answer stamped before the touch is suspect at every later look.
                if !log.wasTouched(own, since: before) { missed.add(1, ordering: .relaxed) }
            }
        }
        #expect(missed.load(ordering: .relaxed) == 0)
        #expect(log.generation == UInt64(4 * rounds) + 1)
    }
}
