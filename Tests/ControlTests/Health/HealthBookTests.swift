import Control
import FrameSupport
import Testing

/// Who is checked when, in virtual time.
@Suite struct HealthBookTests {
    private func target(_ id: UInt64, interval: UInt64 = 1000, port: UInt16 = 80) -> HealthTarget {
        var check = HealthCheck()
        check.kind = .tcp
        check.interval = interval
        check.timeout = min(500, interval)
        return HealthTarget(id: id, address: .ipv4(UInt32(id)), port: port, check: check)
    }

    /// A book as an object, since what is expected of it changes it.
    private final class Book {
        private var book: HealthBook

        init(sockets: Int) {
            var limits = HealthLimits()
            limits.sockets = sockets
            book = HealthBook(limits: limits)
        }

        var load: HealthLoad { book.load }
        func set(_ targets: [HealthTarget], now: UInt64) -> [UInt64] { book.set(targets, now: now) }
        func insert(_ targets: [HealthTarget], now: UInt64) -> [UInt64] { book.insert(targets, now: now) }
        func remove(_ ids: [UInt64]) -> [UInt64] { book.remove(ids) }
        func next(now: UInt64) -> HealthBook.Start? { book.next(now: now) }
        func wake() -> UInt64? { book.wake() }
        func statistics(of id: UInt64, now: UInt64) -> HealthStatistics? { book.statistics(of: id, now: now) }
        func statistics(now: UInt64) -> [HealthStatistics] { book.statistics(now: now) }
        func finish(
            _ start: HealthBook.Start, _ result: HealthResult, duration: UInt64 = 0, now: UInt64
        ) -> HealthChange? {
            book.finish(start, result, duration: duration, now: now)
        }
    }

    @Test func aSingleTargetIsCheckedAtOnceAndThenInItsInterval() throws {
        let book = Book(sockets: 4)
        #expect(book.set([target(1)], now: 5000).isEmpty)
        let first = try #require(book.next(now: 5000))
        #expect(book.next(now: 5000) == nil && book.wake() == nil)
        let change = book.finish(first, .success("connected"), duration: 3, now: 5200)
        #expect(change?.target == target(1) && change?.old == .unknown && change?.new == .up)
        #expect(change?.reason == "connected")
        // From beginning to beginning.
        #expect(book.wake() == 6000)
        #expect(book.next(now: 5999) == nil)
        let second = try #require(book.next(now: 6000))
        #expect(book.finish(second, .failure("refused"), duration: 3, now: 6001) == nil)
        let known = try #require(book.statistics(of: 1, now: 6101))
        #expect(known.state.status == .up && known.age == 901 && known.lastCheckAge == 100)
        #expect(known.lastResult == .failure("refused") && known.lastDuration == 3)
        #expect(known.state.successes == 1 && known.state.failures == 1)
        // A clock that stood still for long: one check is made up for, not all.
        let late = try #require(book.next(now: 20_000))
        _ = book.finish(late, .success(""), now: 20_000)
        #expect(book.load.late == 1)
        let next = try #require(book.next(now: 20_000))
        _ = book.finish(next, .success(""), now: 20_001)
        #expect(book.next(now: 20_001) == nil)
        #expect(book.wake() == 21_000)
    }

    @Test func newTargetsAreSpread() {
        let book = Book(sockets: 100_000)
        _ = book.set((0..<10_000).map { target($0, interval: 2000) }, now: 0)
        var perTick: [Int] = []
        for now in UInt64(0)..<4000 {
            var count = 0
            while let start = book.next(now: now) {
                count += 1
                _ = book.finish(start, .success(""), now: now)
            }
            perTick.append(count)
        }
        #expect(perTick.allSatisfy { $0 == 5 })
        // A few are not held back for it.
        _ = book.set((0..<10).map { target($0 + 20_000) }, now: 10_000)
        var early = 0
        for now in UInt64(10_000)..<10_010 { while book.next(now: now) != nil { early += 1 } }
        #expect(early == 10)
    }

    @Test func neverMoreThanTheLimitAndAllGetTheirTurn() {
        let book = Book(sockets: 8)
        _ = book.set((0..<100).map { target($0) }, now: 0)
        var running: [(HealthBook.Start, UInt64)] = []
        var checks = [Int](repeating: 0, count: 100)
        var now: UInt64 = 0
        // 8 sockets, 100 ms a check: 80 checks a second, where 100 are wanted.
        while now < 60_000 {
            for (start, end) in running where end <= now { _ = book.finish(start, .success(""), now: now) }
            running.removeAll { $0.1 <= now }
            while let start = book.next(now: now) {
                running.append((start, now + 100))
                checks[Int(start.target.id)] += 1
            }
            #expect(running.count <= 8 && running.count == book.load.running)
            now += 10
        }
        #expect(checks.min()! >= 45 && checks.max()! <= 49)
    }

    /// 1,000 dead hosts and 16 sockets: those that answer are checked in time.
    @Test func deadHostsDoNotHoldUpOthers() {
        let book = Book(sockets: 16)
        _ = book.set((0..<1100).map { target($0) }, now: 0)
        var running: [(HealthBook.Start, UInt64)] = []
        var last = [UInt64](repeating: 0, count: 1100)
        var longest: UInt64 = 0
        for now in stride(from: UInt64(0), to: 200_000, by: 5) {
            for (start, end) in running where end <= now {
                let isDead = start.target.id < 1000
                _ = book.finish(start, isDead ? .timeout("") : .success(""), now: now)
            }
            running.removeAll { $0.1 <= now }
            while let start = book.next(now: now) {
                let id = Int(start.target.id)
                running.append((start, now + (id < 1000 ? 500 : 5)))
                // Once all dead ones are known.
                if id >= 1000, now > 100_000 { longest = max(longest, now - last[id]) }
                last[id] = now
            }
            #expect(book.load.slowRunning <= 8)
        }
        #expect(longest > 0 && longest <= 1100)
        #expect(last[..<1000].allSatisfy { $0 > 100_000 })
    }

    @Test func changedTargetsKeepWhatIsStillTrue() throws {
        let book = Book(sockets: 4)
        _ = book.set([target(1), target(2), target(3)], now: 0)
        for _ in 0..<3 {
            let start = try #require(book.next(now: 10))
            #expect(book.finish(start, .success(""), now: 10) != nil)
        }
        let running = try #require(book.next(now: 1000))
        #expect(running.target.id == 1)
        // 1 stays, 2 is checked more often, 3 moves to another port, and 4 is new.
        let cut = book.set([target(4), target(1), target(2, interval: 200), target(3, port: 81)], now: 1000)
        #expect(cut.isEmpty)
        func status(_ id: UInt64) -> HealthStatus? { book.statistics(of: id, now: 1000)?.state.status }
        #expect(status(1) == .up && status(2) == .up && status(3) == .unknown && status(4) == .unknown)
        #expect(book.load.targets == 4 && book.load.running == 1 && book.load.started == 4)
        #expect(book.finish(running, .success(""), now: 1001) == nil)
        #expect(book.statistics(of: 1, now: 1001)?.state.successes == 2)
    }

    @Test func whatIsCutOffCountsUntilItsSocketIsClosed() throws {
        let book = Book(sockets: 2)
        _ = book.set([target(1), target(2), target(3)], now: 0)
        let one = try #require(book.next(now: 2))
        let two = try #require(book.next(now: 2))
        #expect(book.remove([one.target.id, 77]) == [one.turn])
        // The same id again: a target of its own.
        _ = book.insert([target(one.target.id)], now: 2)
        #expect(book.next(now: 100) == nil)
        #expect(book.finish(one, .failure("cut off"), now: 100) == nil)
        #expect(book.statistics(of: one.target.id, now: 100)?.lastResult == nil)
        #expect(book.next(now: 100) != nil)
        // Told twice, counted once.
        #expect(book.finish(one, .failure(""), now: 100) == nil)
        #expect(book.load.running == 2)
        #expect(book.set([], now: 100).contains(two.turn))
        #expect(book.statistics(now: 100).isEmpty && book.load.targets == 0)
    }

    /// Whatever comes and goes, the counts are right in the end.
    @Test func randomChurn() {
        var random = SeededRandom(seed: 5)
        let book = Book(sockets: 20)
        var running: [HealthBook.Start] = []
        var present: Set<UInt64> = []
        for step in 0..<20_000 {
            let now = UInt64(step) * 7
            switch random.below(4) {
            case 0:
                let ids = (0..<random.below(4)).map { _ in UInt64(random.below(200)) }
                _ = book.insert(ids.map { target($0, interval: 100 + UInt64(random.below(900))) }, now: now)
                present.formUnion(ids)
            case 1:
                let ids = (0..<random.below(4)).map { _ in UInt64(random.below(200)) }
                _ = book.remove(ids)
                present.subtract(ids)
            case 2: while let start = book.next(now: now) { running.append(start) }
            default:
                for _ in 0..<random.below(20) where !running.isEmpty {
                    let start = running.remove(at: random.below(running.count))
                    _ = book.finish(
                        start, random.pick([.success(""), .failure(""), .timeout("")]), now: now)
                }
            }
            #expect(book.load.running == running.count && running.count <= 20)
            #expect(book.load.targets == present.count)
        }
        for start in running { _ = book.finish(start, .success(""), now: 200_000) }
        #expect(book.load.running == 0 && book.load.slowRunning == 0)
        #expect(Set(book.statistics(now: 200_000).map(\.target.id)) == present)
        // Everybody who is left is still checked.
        var seen: Set<UInt64> = []
        for now in stride(from: UInt64(300_000), to: 310_000, by: 100) {
            while let start = book.next(now: now) {
                seen.insert(start.target.id)
                _ = book.finish(start, .success(""), now: now)
            }
        }
        #expect(seen == present)
    }
}

@Suite struct HTTPStatusReaderTests {
    private func read(_ text: String) -> HTTPStatusReader.Outcome? {
        var reader = HTTPStatusReader()
        return reader.read(Array(text.utf8))
    }

    @Test func statusLines() {
        for (text, status) in [
            ("HTTP/1.1 200 OK\r\n", 200), ("HTTP/1.0 503 \r\nX: y\r\n", 503), ("HTTP/1.1 404\n", 404),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n", 204),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n<html>", 200),
            ("HTTP/1.1 101 Switching Protocols\r\n", 101),
        ] as [(String, UInt16)] {
            #expect(read(text) == .status(status))
            // However it is cut into pieces.
            var reader = HTTPStatusReader()
            #expect(Array(text.utf8).compactMap { reader.read([$0]) }.first == .status(status))
        }
    }

    @Test func whatIsNoHTTP() {
        for text in [
            "SSH-2.0-OpenSSH_9.2\r\n", "220 mail ESMTP\r\n", "HTTP/2 200\r\n", "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 2000\r\n",
            "HTTP/1.1  200 OK\r\n", "HTTP/1.x 200 OK\r\n", "HTTP/1.1 099 No\r\n", "\r\n", "HTTP/1.1 -20 x\r\n",
            "\0\0\0\0\0\n",
        ] {
            guard case .malformed(let reason)? = read(text) else {
                Issue.record("\(text)")
                continue
            }
            #expect(reason.hasPrefix("not an HTTP answer: \"") && !reason.contains("\r"))
        }
    }

    @Test func endlessAnswersEnd() {
        let long = String(repeating: "a", count: 100_000)
        #expect(read("HTTP/1.1 200 \(long)") == .malformed("status line of more than 1024 bytes"))
        #expect(read("HTTP/1.1 100 x\r\nX: \(long)") == .malformed("no status within 16384 bytes"))
        let interim = String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 10_000)
        #expect(read(interim) == .malformed("no status within 16384 bytes"))
        let headers = String(repeating: "A: b\r\n", count: 10_000)
        #expect(read("HTTP/1.1 100 x\r\n\(headers)") == .malformed("no status within 16384 bytes"))
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 9)
        for _ in 0..<5000 {
            var text = Array("HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n".utf8)
            for _ in 0..<(1 + random.below(5)) {
                text[random.below(text.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            var reader = HTTPStatusReader()
            _ = reader.read(text)
        }
    }
}
