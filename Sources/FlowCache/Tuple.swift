import CLinux
import Flow
import Memory

/// All megaflows with one mask: a hash table keyed by the masked words.
///
/// Slots come in groups of sixteen. `tags` holds one byte of hash for each slot (0 empty, 1 deleted), so that one compare looks at
/// a whole group: a lookup that finds nothing, the common case among many tuples, reads sixteen bytes and nothing
/// else. `entries` holds for each slot
///
///     word 0     megaflow number 32 | hash 32
///     word 1-5   masked core words of the key
///     word 6-    masked further words, one for each that the mask has
///
/// padded to whole cache lines. Tables grow by doubling on the slow path and shrink when megaflows have gone; the number of
/// megaflows in all tuples together is bounded by configuration.
@usableFromInline
struct Tuple {
    @usableFromInline var core: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    @usableFromInline var tags: UnsafeMutablePointer<UInt8>
    @usableFromInline var entries: UnsafeMutablePointer<UInt64>
    /// Pairs (word number, mask) of the mask's words from `FlowKey.coreWords` on.
    @usableFromInline var further: UnsafeMutablePointer<UInt64>
    @usableFromInline var furtherCount: Int
    /// Words an entry.
    @usableFromInline var stride: Int
    /// Groups of slots less one; their number is a power of two.
    @usableFromInline var groupMask: UInt32
    /// Which `TupleStem` it shares.
    @usableFromInline var stem: UInt32
    @usableFromInline var count = 0
    @usableFromInline var deleted = 0
    /// Hits since the last ranking.
    @usableFromInline var hits: UInt64 = 0
    @usableFromInline var maskHash: UInt64

    @inlinable static var empty: UInt8 { 0 }
    @inlinable static var deletedTag: UInt8 { 1 }
    @inlinable static var groupSize: Int { 16 }

    init?(mask: borrowing FlowMask, maskHash: UInt64, stem: UInt32) {
        let words = mask.bits.words
        core = (words[0], words[1], words[2], words[3], words[4])
        var count = 0
        for i in FlowKey.coreWords..<FlowKey.wordCount where words[i] != 0 { count += 1 }
        furtherCount = count
        stride = (6 + count + 7) & ~7
        self.maskHash = maskHash
        self.stem = stem
        groupMask = 0
        let tags = weft_allocate_lines(Self.groupSize)
        let entries = weft_allocate_lines(Self.groupSize * stride * 8)
        let further = weft_allocate_lines(max(1, count) * 16)
        guard let tags, let entries, let further else {
            free(tags)
            free(entries)
            free(further)
            return nil
        }
        self.tags = tags.assumingMemoryBound(to: UInt8.self)
        self.entries = entries.assumingMemoryBound(to: UInt64.self)
        self.further = further.assumingMemoryBound(to: UInt64.self)
        var at = 0
        for i in FlowKey.coreWords..<FlowKey.wordCount where words[i] != 0 {
            self.further[at] = UInt64(i)
            self.further[at + 1] = words[i]
            at += 2
        }
    }

    func deallocate() {
        free(tags)
        free(entries)
        free(further)
    }

    /// Part of the hash that tuples with the same stem have in common: everything but words 3 and 4.
    @inlinable @inline(__always) func stemHash(_ key: UnsafePointer<UInt64>) -> UInt64 {
        var a = weft_crc32(0x9e37, key[0] & core.0)
        a = weft_crc32(a, key[1] & core.1)
        a = weft_crc32(a, key[2] & core.2)
        return furtherCount == 0 ? a : furtherHash(key, a)
    }

    @inlinable func furtherHash(_ key: UnsafePointer<UInt64>, _ start: UInt64) -> UInt64 {
        var a = start
        var i = 0
        while i < furtherCount {
            a = weft_crc32(a, key[Int(further[2 &* i])] & further[2 &* i &+ 1])
            i &+= 1
        }
        return a
    }

    /// The whole hash: what tells tuples of one stem apart is mostly prefixes of addresses and bits of ports.
    @inlinable @inline(__always)
    static func hash(_ stemHash: UInt64, _ word3: UInt64, _ word4: UInt64) -> UInt32 {
        let a = weft_crc32(stemHash, word3)
        let b = weft_crc32(0x79b9, word4)
        return UInt32(truncatingIfNeeded: ((a &+ b &<< 32) &* 0x9e37_79b9_7f4a_7c15) &>> 32)
    }

    @inlinable func hash(_ key: UnsafePointer<UInt64>) -> UInt32 {
        Self.hash(stemHash(key), key[3] & core.3, key[4] & core.4)
    }

    /// Eight bits of hash that are not the ones the group number is made of.
    @inlinable @inline(__always) static func tag(_ hash: UInt32) -> UInt8 {
        let tag = UInt8(truncatingIfNeeded: hash &>> 24)
        return tag < 2 ? tag &+ 2 : tag
    }

    /// Whether the entry at `slot` is `key` under the mask.
    @inlinable @inline(__always) func matches(_ slot: UInt32, _ key: UnsafePointer<UInt64>) -> Bool {
        let e = entries + Int(slot) &* stride
        let difference =
            (key[0] & core.0 ^ e[1]) | (key[1] & core.1 ^ e[2]) | (key[2] & core.2 ^ e[3]) | (key[3] & core.3 ^ e[4])
            | (key[4] & core.4 ^ e[5])
        guard difference == 0 else { return false }
        return furtherCount == 0 || furtherMatches(e, key)
    }

    @inlinable func furtherMatches(_ e: UnsafePointer<UInt64>, _ key: UnsafePointer<UInt64>) -> Bool {
        var i = 0
        while i < furtherCount {
            guard key[Int(further[2 &* i])] & further[2 &* i &+ 1] == e[6 &+ i] else { return false }
            i &+= 1
        }
        return true
    }

    /// The megaflow that matches, `UInt32.max` if none does.
    @inlinable @inline(__always) func find(_ key: UnsafePointer<UInt64>, _ hash: UInt32) -> UInt32 {
        let tag = Self.tag(hash)
        var group = hash & groupMask
        while true {
            let base = group &* UInt32(Self.groupSize)
            var candidates = weft_match16(tags + Int(base), tag)
            while candidates != 0 {
                let slot = base &+ UInt32(truncatingIfNeeded: candidates.trailingZeroBitCount)
                if matches(slot, key) { return UInt32(truncatingIfNeeded: entries[Int(slot) &* stride] &>> 32) }
                candidates &= candidates &- 1
            }
            if weft_match16(tags + Int(base), Self.empty) != 0 { return UInt32.max }
            group = (group &+ 1) & groupMask
        }
    }

    /// The mask that the tuple stands for.
    func mask() -> FlowMask {
        var mask = FlowMask()
        mask.bits.words[0] = core.0
        mask.bits.words[1] = core.1
        mask.bits.words[2] = core.2
        mask.bits.words[3] = core.3
        mask.bits.words[4] = core.4
        for i in 0..<furtherCount { mask.bits.words[Int(further[2 * i])] = further[2 * i + 1] }
        return mask
    }

    /// Whether this is the tuple of a mask, given as its 80 words.
    func hasMask(_ mask: UnsafePointer<UInt64>) -> Bool {
        guard core.0 == mask[0], core.1 == mask[1], core.2 == mask[2], core.3 == mask[3], core.4 == mask[4] else {
            return false
        }
        var seen = 0
        for i in FlowKey.coreWords..<FlowKey.wordCount where mask[i] != 0 {
            guard seen < furtherCount, further[2 * seen] == UInt64(i), further[2 * seen + 1] == mask[i]
            else { return false }
            seen += 1
        }
        return seen == furtherCount
    }

    /// The masked key at a slot.
    func key(_ slot: UInt32) -> FlowKey {
        var key = FlowKey()
        let e = entries + Int(slot) * stride
        for i in 0..<FlowKey.coreWords { key.words[i] = e[1 + i] }
        for i in 0..<furtherCount { key.words[Int(further[2 * i])] = e[6 + i] }
        return key
    }
}
