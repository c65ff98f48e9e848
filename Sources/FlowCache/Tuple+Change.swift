import CLinux
import Flow

// Entering and removing megaflows: slow path.

extension Tuple {
    private var slots: Int { (Int(groupMask) + 1) * Self.groupSize }
    var byteCount: Int { slots * (stride * 8 + 1) }

    /// Enters a megaflow that is not there yet; the slot it got, nil if there is no memory. `moved` tells of slots that
    /// changed because the table was rebuilt.
    mutating func insert(
        _ key: UnsafePointer<UInt64>, hash: UInt32, flow: UInt32, moved: (_ flow: UInt32, _ slot: UInt32) -> Void
    ) -> UInt32? {
        if (count + deleted + 1) * 8 > slots * 7 {
            // Doubled if it is really full, otherwise only cleared of deleted slots.
            guard rebuild(count * 2 >= slots ? slots * 2 : slots, moved) else { return nil }
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
        // No search goes beyond a group that has an empty slot, so a slot there needs no marker.
        let group = Int(slot) & ~(Self.groupSize - 1)
        if weft_match16(tags + group, Self.empty) != 0 {
            tags[Int(slot)] = Self.empty
        } else {
            tags[Int(slot)] = Self.deletedTag
            deleted += 1
        }
        count -= 1
    }

    private func freeSlot(_ hash: UInt32) -> UInt32 {
        var group = hash & groupMask
        while true {
            let base = Int(group) * Self.groupSize
            for slot in base..<base + Self.groupSize where tags[slot] <= Self.deletedTag { return UInt32(slot) }
            group = (group &+ 1) & groupMask
        }
    }

    /// Gives memory back once a table that has grown holds few megaflows. Whether it did; `moved` as for `insert`.
    mutating func shrink(_ moved: (_ flow: UInt32, _ slot: UInt32) -> Void) -> Bool {
        guard slots > Self.smallestShrunk, count * 16 < slots else { return false }
        var wanted = Self.groupSize
        while wanted < count * 4 { wanted *= 2 }
        return rebuild(wanted, moved)
    }

    /// Slots up to which a table stays as large as it became.
    private static var smallestShrunk: Int { 1024 }

    private mutating func rebuild(_ newSlots: Int, _ moved: (UInt32, UInt32) -> Void) -> Bool {
        let oldSlots = slots
        guard let newTags = weft_allocate_lines(newSlots) else { return false }
        guard let newEntries = weft_allocate_lines(newSlots * stride * 8) else {
            free(newTags)
            return false
        }
        let old = (tags: tags, entries: entries)
        tags = newTags.assumingMemoryBound(to: UInt8.self)
        entries = newEntries.assumingMemoryBound(to: UInt64.self)
        groupMask = UInt32(newSlots / Self.groupSize - 1)
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
