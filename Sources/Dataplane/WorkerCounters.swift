import CLinux

/// What a worker did, in raw memory: the worker writes, any thread reads, word by word.
public final class WorkerCounters: @unchecked Sendable {
    public enum Word: Int, CaseIterable, Sendable {
        case rounds, busyRounds, bursts, packets
        /// Time stamp counter ticks in rounds that moved a packet, in rounds that did not, and in the slow path.
        case busyCycles, idleCycles, slowPathCycles
        case slowPathPackets
        /// Copies made because a frame goes to several places.
        case copies
        /// Frames that did not come from a receive queue.
        case injected
        case sleeps
        /// Time stamp counter ticks of the longest piece of work between two rounds: housekeeping, what other threads asked for.
        case longestPause
        // Mirrors of the cache's statistics, refreshed each round that moved a packet.
        case exactHits, signatureHits, megaflowHits, misses, tupleProbes, revalidated, invalidated, evicted, expired
        case megaflows, masks
        case sessionHits, sessionsRefused, sessionsMade, sessionsUnfit, sessionsEvicted, sessions, sessionPaths
    }

    /// Latency classes: eight to each power of two of time stamp counter ticks.
    static let latencyClasses = 64 * 8

    let words: UnsafeMutablePointer<UInt64>
    public let drops = DropCounters()
    /// Bursts' time from receipt to transmission, weighted by packets.
    let latencies: UnsafeMutablePointer<UInt64>

    init() {
        words = .allocate(capacity: Word.allCases.count)
        words.initialize(repeating: 0, count: Word.allCases.count)
        latencies = .allocate(capacity: Self.latencyClasses)
        latencies.initialize(repeating: 0, count: Self.latencyClasses)
    }

    deinit {
        words.deallocate()
        latencies.deallocate()
    }

    @inline(__always) func add(_ word: Word, _ value: UInt64) {
        let at = words + word.rawValue
        weft_atomic_store(at, weft_atomic_load(at) &+ value)
    }

    @inline(__always) func set(_ word: Word, _ value: UInt64) { weft_atomic_store(words + word.rawValue, value) }

    public subscript(_ word: Word) -> UInt64 { weft_atomic_load(words + word.rawValue) }

    @inline(__always) static func latencyClass(_ ticks: UInt64) -> Int {
        guard ticks >= 8 else { return Int(ticks) }
        let exponent = 63 - ticks.leadingZeroBitCount
        return (exponent - 2) * 8 + Int(ticks >> (UInt64(exponent) - 3) & 7)
    }

    /// Lowest tick count of a class.
    static func latencyFloor(_ latencyClass: Int) -> UInt64 {
        guard latencyClass >= 8 else { return UInt64(latencyClass) }
        let exponent = latencyClass / 8 + 2
        return (8 + UInt64(latencyClass % 8)) << UInt64(exponent - 3)
    }

    /// `pmd/clear`. Called on the worker. What the balance of all frames needs stays.
    func clear() {
        for word in Word.allCases where word != .copies && word != .injected { set(word, 0) }
        for i in 0..<Self.latencyClasses { weft_atomic_store(latencies + i, 0) }
    }
}
