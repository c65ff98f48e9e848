import CLinux
import Memory

/// Finds sessions by hash: a linear hash table of buckets of one cache line, which grows and never moves more than one bucket
/// at a time, so that no packet waits for it.
///
/// A bucket has seven entries, tag << 32 | session number, and in word 7 the number of the overflow bucket that continues
/// it. The tag is the upper half of the hash; its low bits choose the bucket.
struct SessionIndex: ~Copyable {
    /// What a lookup needs, as a trivial value.
    struct Lines {
        let buckets: UnsafeMutablePointer<UInt64>
        let overflow: UnsafeMutablePointer<UInt64>
        let count: UInt32
        let mask: UInt32

        @inline(__always) func home(_ tag: UInt32) -> UnsafeMutablePointer<UInt64> {
            let number = tag & mask
            return buckets + Int(number < count ? number : number & mask &>> 1) &* 8
        }

        /// The first session with this tag; 0 if there is none.
        @inline(__always) func first(_ tag: UInt32) -> UInt32 {
            let line = home(tag)
            let hits = weft_match_upper8(line, tag) & 0x7f
            if hits != 0 { return UInt32(truncatingIfNeeded: line[hits.trailingZeroBitCount]) }
            return line[7] == 0 ? 0 : firstBehind(line, tag)
        }

        @inline(never) private func firstBehind(_ first: UnsafeMutablePointer<UInt64>, _ tag: UInt32) -> UInt32 {
            var line = first
            while line[7] != 0 {
                line = overflow + Int(line[7]) &* 8
                let hits = weft_match_upper8(line, tag) & 0x7f
                if hits != 0 { return UInt32(truncatingIfNeeded: line[hits.trailingZeroBitCount]) }
            }
            return 0
        }
    }

    @inline(__always) var lines: Lines { Lines(buckets: buckets, overflow: overflow, count: count, mask: mask) }

    let buckets: UnsafeMutablePointer<UInt64>
    let overflow: UnsafeMutablePointer<UInt64>
    /// Buckets in use, and the mask that numbers are first cut with.
    var count: UInt32 = 16
    var mask: UInt32 = 31
    private let bucketMemory: LineMemory
    private let overflowMemory: LineMemory
    private let bucketLimit: UInt32
    private let overflowLimit: UInt32
    private var nextOverflow: UInt32 = 1
    /// Overflow buckets not in use, linked through word 7.
    private var freeOverflow: UInt32 = 0
    private var entries = 0

    private static var entriesPerBucket: Int { 7 }
    /// Entries that a bucket holds on average.
    private static var load: Int { 4 }

    init(sessions: Int) {
        bucketLimit = UInt32(clamping: max(16, sessions / Self.load))
        overflowLimit = bucketLimit / 4 + 64
        bucketMemory = LineMemory(byteCount: (Int(bucketLimit) + 1) * 64)
        overflowMemory = LineMemory(byteCount: (Int(overflowLimit) + 1) * 64)
        buckets = bucketMemory.start.assumingMemoryBound(to: UInt64.self)
        overflow = overflowMemory.start.assumingMemoryBound(to: UInt64.self)
    }

    /// Bytes in use.
    var usedBytes: Int { (Int(count) + Int(nextOverflow)) * 64 }
    var reservedBytes: Int { bucketMemory.byteCount + overflowMemory.byteCount }

    @inline(__always) static func tag(_ hash: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: hash &>> 32) }

    private func home(_ tag: UInt32) -> UnsafeMutablePointer<UInt64> { lines.home(tag) }

    private static func next(
        _ line: UnsafeMutablePointer<UInt64>, _ overflow: UnsafeMutablePointer<UInt64>
    ) -> UnsafeMutablePointer<UInt64>? {
        line[7] == 0 ? nil : overflow + Int(line[7]) &* 8
    }

    /// Calls `body` with each session of this tag until it returns true.
    func search(_ tag: UInt32, _ body: (UInt32) -> Bool) {
        var line = home(tag)
        while true {
            var hits = weft_match_upper8(line, tag) & 0x7f
            while hits != 0 {
                if body(UInt32(truncatingIfNeeded: line[hits.trailingZeroBitCount])) { return }
                hits &= hits &- 1
            }
            guard let next = Self.next(line, overflow) else { return }
            line = next
        }
    }

    /// False if there is no room for a further overflow bucket.
    mutating func insert(_ tag: UInt32, _ session: UInt32) -> Bool {
        guard place(UInt64(tag) &<< 32 | UInt64(session), in: home(tag)) else { return false }
        entries += 1
        if entries > Int(count) * Self.load, count < bucketLimit { split() }
        return true
    }

    private mutating func place(_ entry: UInt64, in first: UnsafeMutablePointer<UInt64>) -> Bool {
        var line = first
        while true {
            for i in 0..<Self.entriesPerBucket where line[i] == 0 {
                line[i] = entry
                return true
            }
            guard let next = Self.next(line, overflow) else { break }
            line = next
        }
        let number = takeOverflow()
        guard number != 0 else { return false }
        overflow[Int(number) * 8] = entry
        line[7] = UInt64(number)
        return true
    }

    private mutating func takeOverflow() -> UInt32 {
        if freeOverflow != 0 {
            let number = freeOverflow
            freeOverflow = UInt32(truncatingIfNeeded: overflow[Int(number) * 8 + 7])
            overflow[Int(number) * 8 + 7] = 0
            return number
        }
        guard nextOverflow <= overflowLimit else { return 0 }
        nextOverflow += 1
        return nextOverflow - 1
    }

    /// Takes an entry out; overflow buckets that are empty then go.
    mutating func remove(_ tag: UInt32, _ session: UInt32) {
        let entry = UInt64(tag) &<< 32 | UInt64(session)
        var line = home(tag)
        let first = line
        while true {
            for i in 0..<Self.entriesPerBucket where line[i] == entry {
                line[i] = 0
                entries -= 1
                if first[7] != 0 { trim(first) }
                return
            }
            guard let next = Self.next(line, overflow) else { return }
            line = next
        }
    }

    /// Gives back the empty overflow buckets of a chain.
    private mutating func trim(_ first: UnsafeMutablePointer<UInt64>) {
        var line = first
        while let next = Self.next(line, overflow) {
            var isEmpty = true
            for i in 0..<Self.entriesPerBucket where next[i] != 0 { isEmpty = false }
            guard isEmpty else {
                line = next
                continue
            }
            let number = line[7]
            line[7] = next[7]
            next[7] = UInt64(freeOverflow)
            freeOverflow = UInt32(truncatingIfNeeded: number)
        }
    }

    /// Divides the next bucket in turn between itself and a new one at the end.
    private mutating func split() {
        let fresh = count
        // Before the split, numbers run to `count`, a power of two at the start of a round; `mask` covers twice as many.
        let first = buckets + Int(count & mask &>> 1) * 8
        let target = buckets + Int(fresh) * 8
        let newMask = fresh + 1 > mask ? mask &<< 1 | 1 : mask
        var line = first
        while true {
            for i in 0..<Self.entriesPerBucket where line[i] != 0 {
                let tag = UInt32(truncatingIfNeeded: line[i] &>> 32)
                let number = tag & newMask
                guard (number <= fresh ? number : number & newMask &>> 1) == fresh else { continue }
                let entry = line[i]
                line[i] = 0
                // Without room it is forgotten: its session is never found again, and goes when it has been idle.
                if !place(entry, in: target) { entries -= 1 }
            }
            guard let next = Self.next(line, overflow) else { break }
            line = next
        }
        count = fresh + 1
        mask = newMask
        if first[7] != 0 { trim(first) }
    }
}
