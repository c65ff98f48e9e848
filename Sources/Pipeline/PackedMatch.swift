import CLinux
import Flow

/// A match without its empty words. A `Match` has 1,280 bytes, of which most rules use less than a tenth; a hundred
/// thousand rules are kept in this form.
struct PackedMatch: Sendable {
    /// One bit for each of the words 0 to 63 of the mask that is not zero, then words 64 to 79.
    let low: UInt64
    let high: UInt64
    /// Key and mask of each word that is there.
    let words: [UInt64]

    init(_ match: Match) {
        // Through a pointer: subscripts of arrays this long inside a struct are copied too easily.
        self = withUnsafePointer(to: match) { PackedMatch(UnsafeRawPointer($0).assumingMemoryBound(to: UInt64.self)) }
    }

    /// From the words of the key, and those of the mask behind them.
    private init(_ match: UnsafePointer<UInt64>) {
        let mask = match + FlowKey.wordCount
        var (low, high) = (UInt64(0), UInt64(0))
        for i in 0..<64 where mask[i] != 0 { low |= 1 &<< UInt64(i) }
        for i in 64..<FlowKey.wordCount where mask[i] != 0 { high |= 1 &<< UInt64(i &- 64) }
        self.low = low
        self.high = high
        let count = low.nonzeroBitCount + high.nonzeroBitCount
        words = [UInt64](unsafeUninitializedCapacity: 2 * count) { buffer, initialized in
            var at = 0
            Self.forEachWord(low, high) { i in
                buffer[at] = match[i] & mask[i]
                buffer[at + 1] = mask[i]
                at += 2
            }
            initialized = 2 * count
        }
    }

    var unpacked: Match {
        var match = Match()
        withUnsafeMutablePointer(to: &match) { pointer in
            let key = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: UInt64.self)
            let mask = key + FlowKey.wordCount
            words.withUnsafeBufferPointer { words in
                var at = 0
                Self.forEachWord(low, high) { i in
                    key[i] = words[at]
                    mask[i] = words[at + 1]
                    at += 2
                }
            }
        }
        return match
    }

    /// Whether every packet that this matches is also matched by `other`, field by field.
    func isWithin(_ other: PackedMatch) -> Bool {
        if other.low & ~low != 0 || other.high & ~high != 0 { return false }
        var (at, otherAt) = (0, 0)
        var isWithin = true
        Self.forEachWord(low, high) { i in
            let isShared = i < 64 ? other.low &>> UInt64(i) & 1 == 1 : other.high &>> UInt64(i &- 64) & 1 == 1
            if isShared {
                let mask = other.words[otherAt + 1]
                if mask & ~words[at + 1] != 0 || (words[at] ^ other.words[otherAt]) & mask != 0 { isWithin = false }
                otherAt += 2
            }
            at += 2
        }
        return isWithin
    }

    @inline(__always) private static func forEachWord(_ low: UInt64, _ high: UInt64, _ body: (Int) -> Void) {
        var bits = low
        while bits != 0 {
            body(bits.trailingZeroBitCount)
            bits &= bits &- 1
        }
        bits = high
        while bits != 0 {
            body(64 &+ bits.trailingZeroBitCount)
            bits &= bits &- 1
        }
    }
}

extension PackedMatch: Hashable {
    // The words tell nearly all; two masks rarely have the same ones in other places.
    func hash(into hasher: inout Hasher) {
        hasher.combine(low)
        words.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
