import CLinux
import Flow
import Memory

/// All megaflows with one mask: an open-addressing table keyed by the masked words.
///
/// Two arrays side by side. `tags` holds 16 bits of hash for each slot (0 empty, 1 deleted): a lookup that finds nothing,
/// the common case among many tuples, reads one or two of them and nothing else. `entries` holds for each slot
///
///     word 0     megaflow number 32 | hash 32
///     word 1-5   masked core words of the key
///     word 6-    masked further words, one for each that the mask has
///
/// padded to whole cache lines. Tables grow by doubling on the slow path; the number of megaflows in all tuples together
/// is bounded by configuration.
@usableFromInline
struct Tuple {
    @usableFromInline var core: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    @usableFromInline var tags: UnsafeMutablePointer<UInt16>
    @usableFromInline var entries: UnsafeMutablePointer<UInt64>
    /// Pairs (word number, mask) of the mask's words from `FlowKey.coreWords` on.
    @usableFromInline var further: UnsafeMutablePointer<UInt64>
    @usableFromInline var furtherCount: Int
    /// Words an entry.
    @usableFromInline var stride: Int
    @usableFromInline var slotMask: UInt32
    @usableFromInline var count = 0
    @usableFromInline var deleted = 0
    /// Hits since the last ranking.
    @usableFromInline var hits: UInt64 = 0
    @usableFromInline var maskHash: UInt64

    @inlinable static var empty: UInt16 { 0 }
    @inlinable static var deletedTag: UInt16 { 1 }
    static let firstSlots = 16

    init?(mask: borrowing FlowMask, maskHash: UInt64) {
        let m = mask.bits.words
        core = (m[0], m[1], m[2], m[3], m[4])
        var count = 0
        for i in FlowKey.coreWords..<FlowKey.wordCount where m[i] != 0 { count += 1 }
        furtherCount = count
        stride = (6 + count + 7) & ~7
        self.maskHash = maskHash
        slotMask = UInt32(Self.firstSlots - 1)
        guard let tags = weft_allocate_lines(Self.firstSlots * 2),
            let entries = weft_allocate_lines(Self.firstSlots * stride * 8),
            let further = weft_allocate_lines(max(1, count) * 16)
        else { return nil }
        self.tags = tags.assumingMemoryBound(to: UInt16.self)
        self.entries = entries.assumingMemoryBound(to: UInt64.self)
        self.further = further.assumingMemoryBound(to: UInt64.self)
        var at = 0
        for i in FlowKey.coreWords..<FlowKey.wordCount where m[i] != 0 {
            self.further[at] = UInt64(i)
            self.further[at + 1] = m[i]
            at += 2
        }
    }

    func deallocate() {
        free(tags)
        free(entries)
        free(further)
    }

    /// Hash of a key under the mask.
    @inlinable @inline(__always) func hash(_ key: UnsafePointer<UInt64>) -> UInt32 {
        var a = weft_crc32(0x9e37, key[0] & core.0)
        var b = weft_crc32(0x79b9, key[1] & core.1)
        a = weft_crc32(a, key[3] & core.3)
        b = weft_crc32(b, key[4] & core.4)
        a = weft_crc32(a, key[2] & core.2)
        if furtherCount != 0 { b = furtherHash(key, b) }
        let h = (a &+ b &<< 32) &* 0x9e37_79b9_7f4a_7c15
        return UInt32(truncatingIfNeeded: h &>> 32)
    }

    @inlinable func furtherHash(_ key: UnsafePointer<UInt64>, _ start: UInt64) -> UInt64 {
        var b = start
        var i = 0
        while i < furtherCount {
            b = weft_crc32(b, key[Int(further[2 &* i])] & further[2 &* i &+ 1])
            i &+= 1
        }
        return b
    }

    /// Sixteen bits of hash that are not the ones the slot number is made of.
    @inlinable @inline(__always) static func tag(_ hash: UInt32) -> UInt16 {
        let tag = UInt16(truncatingIfNeeded: hash &>> 16)
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
    @inlinable @inline(__always) func find(_ key: UnsafePointer<UInt64>) -> UInt32 { find(key, hash(key)) }

    @inlinable @inline(__always) func find(_ key: UnsafePointer<UInt64>, _ hash: UInt32) -> UInt32 {
        let tag = Self.tag(hash)
        var slot = hash & slotMask
        while true {
            let seen = tags[Int(slot)]
            if seen == tag, matches(slot, key) {
                return UInt32(truncatingIfNeeded: entries[Int(slot) &* stride] &>> 32)
            }
            if seen == Self.empty { return UInt32.max }
            slot = (slot &+ 1) & slotMask
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

    /// The masked key at a slot.
    func key(_ slot: UInt32) -> FlowKey {
        var key = FlowKey()
        let e = entries + Int(slot) * stride
        for i in 0..<FlowKey.coreWords { key.words[i] = e[1 + i] }
        for i in 0..<furtherCount { key.words[Int(further[2 * i])] = e[6 + i] }
        return key
    }

    /// Enters a megaflow that is not there yet; the slot it got. `moved` tells of slots that changed when the table grew.
    mutating func insert(
        _ key: UnsafePointer<UInt64>, hash: UInt32, flow: UInt32, moved: (_ flow: UInt32, _ slot: UInt32) -> Void
    ) -> UInt32? {
        if (count + deleted + 1) * 8 > Int(slotMask + 1) * 5 {
            guard rebuild(moved) else { return nil }
        }
        let slot = freeSlot(hash)
        let e = entries + Int(slot) * stride
        e[0] = UInt64(flow) << 32 | UInt64(hash)
        e[1] = key[0] & core.0
        e[2] = key[1] & core.1
        e[3] = key[2] & core.2
        e[4] = key[3] & core.3
        e[5] = key[4] & core.4
        for i in 0..<furtherCount { e[6 + i] = key[Int(further[2 * i])] & further[2 * i + 1] }
        if tags[Int(slot)] == Self.deletedTag { deleted -= 1 }
        tags[Int(slot)] = Self.tag(hash)
        count += 1
        return slot
    }

    mutating func remove(_ slot: UInt32) {
        // A chain that ends right behind needs no marker.
        if tags[Int((slot + 1) & slotMask)] == Self.empty {
            tags[Int(slot)] = Self.empty
        } else {
            tags[Int(slot)] = Self.deletedTag
            deleted += 1
        }
        count -= 1
    }

    private func freeSlot(_ hash: UInt32) -> UInt32 {
        var slot = hash & slotMask
        while tags[Int(slot)] > Self.deletedTag { slot = (slot &+ 1) & slotMask }
        return slot
    }

    /// Doubles the table if it is really full, otherwise only clears deleted slots away.
    private mutating func rebuild(_ moved: (UInt32, UInt32) -> Void) -> Bool {
        let oldSlots = Int(slotMask) + 1
        let slots = count * 2 >= oldSlots ? oldSlots * 2 : oldSlots
        guard let newTags = weft_allocate_lines(slots * 2), let newEntries = weft_allocate_lines(slots * stride * 8)
        else { return false }
        let old = (tags: tags, entries: entries)
        tags = newTags.assumingMemoryBound(to: UInt16.self)
        entries = newEntries.assumingMemoryBound(to: UInt64.self)
        slotMask = UInt32(slots - 1)
        deleted = 0
        for i in 0..<oldSlots where old.tags[i] > Self.deletedTag {
            let from = old.entries + i * stride
            let slot = freeSlot(UInt32(truncatingIfNeeded: from[0]))
            tags[Int(slot)] = old.tags[i]
            (entries + Int(slot) * stride).update(from: from, count: stride)
            moved(UInt32(truncatingIfNeeded: from[0] >> 32), slot)
        }
        free(old.tags)
        free(old.entries)
        return true
    }
}
