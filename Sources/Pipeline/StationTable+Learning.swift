import Base
import CLinux
import Synchronization

extension StationTable {
    /// Notes that a frame from `mac` came in through `port` at `now`. Any thread.
    ///
    /// A station is learned, kept fresh, or moved, as Open vSwitch does it. `gratuitousARP` locks the entry against
    /// reflections for five seconds, during which gratuitous ARPs that come in through a bond (`fromBond`) do
    /// not move it.
    public func learn(
        vlan: UInt16, mac: UInt64, port: PortIndex, gratuitousARP: Bool = false, fromBond: Bool = false, now: UInt64
    ) -> Learning {
        // Nearly always the station is where it was.
        if !gratuitousARP, let known = lookup(vlan: vlan, mac: mac), !known.isStatic, known.port == port {
            touch(known.handle, now: now)
            return .unchanged(known.handle)
        }
        let key = Self.key(vlan: vlan, mac: mac)
        let outcome = storage.withLock { storage in
            update(key, port, gratuitousARP: gratuitousARP, fromBond: fromBond, now: now, &storage)
        }
        if let evicted = outcome.evicted { changes.touch(dependency(evicted)) }
        switch outcome.learning {
        case .learned, .moved: changes.touch(dependency(key))
        case .unchanged, .kept, .movedTooOften: break
        }
        return outcome.learning
    }

    func dependency(_ key: UInt64) -> Dependencies {
        .station(bridge: bridge, vlan: UInt16(truncatingIfNeeded: key &>> 48) & 0xfff, mac: key & 0xffff_ffff_ffff)
    }

    private func update(
        _ key: UInt64, _ port: PortIndex, gratuitousARP: Bool, fromBond: Bool, now: UInt64, _ storage: inout Storage
    ) -> (learning: Learning, evicted: UInt64?) {
        guard let index = find(key, hash(key), storage) else {
            return beginChange { () -> (Learning, UInt64?) in
                let evicted = storage.free == 0 ? evict(&storage) : nil
                guard let index = insert(key, port, isStatic: false, now: now, &storage) else {
                    return (.kept, evicted)
                }
                if gratuitousARP, !fromBond {
                    storage.entries[index].lockedUntil = now &+ Self.gratuitousARPLock
                }
                storage.statistics.learned += 1
                return (.learned(handle(index, storage)), evicted)
            }
        }
        let entry = storage.entries + index
        guard entry.pointee.place & Self.staticBit == 0 else { return (.kept, nil) }
        if gratuitousARP {
            if !fromBond {
                entry.pointee.lockedUntil = now &+ Self.gratuitousARPLock
            } else if now < entry.pointee.lockedUntil {
                return (.kept, nil)
            }
        }
        let known = PortIndex(UInt32(truncatingIfNeeded: entry.pointee.place &>> 32))
        if known == port {
            weft_atomic_max(word(index, 2, storage), now)
            return (.unchanged(handle(index, storage)), nil)
        }
        guard mayMove(entry, now: now, limit: storage.moveLimit) else {
            storage.statistics.refusedMoves += 1
            return (.movedTooOften, nil)
        }
        return beginChange {
            weft_atomic_max(word(index, 2, storage), now)
            move(index, to: port, &storage)
            storage.statistics.moved += 1
            return (.moved(handle(index, storage)), nil)
        }
    }

    private func mayMove(_ entry: UnsafeMutablePointer<Entry>, now: UInt64, limit: Int) -> Bool {
        let second = UInt32(truncatingIfNeeded: now / 1000)
        if entry.pointee.moveSecond != second {
            entry.pointee.moveSecond = second
            entry.pointee.moves = 0
        }
        let moves = entry.pointee.moves &+ 1
        entry.pointee.moves = moves
        return limit == 0 || moves <= limit
    }

    /// Makes the least recently heard entry of the port with most entries free again; its key.
    private func evict(_ storage: inout Storage) -> UInt64? {
        var fullest = -1
        for i in storage.ports.indices where storage.ports[i].oldest != 0 {
            if fullest < 0 || storage.ports[i].count > storage.ports[fullest].count { fullest = i }
        }
        guard fullest >= 0 else { return nil }
        // Entries touched since they were listed go to the end; after 16 of them, the least recently heard that was seen.
        var victim = Int(storage.ports[fullest].oldest) - 1
        var best = victim
        for _ in 0..<16 {
            let entry = storage.entries + victim
            if weft_atomic_load(word(victim, 2, storage)) <= weft_atomic_load(word(best, 2, storage)) { best = victim }
            guard weft_atomic_load(word(victim, 2, storage)) > entry.pointee.listed else { break }
            unlist(victim, &storage)
            list(victim, &storage)
            victim = Int(storage.ports[fullest].oldest) - 1
        }
        if weft_atomic_load(word(victim, 2, storage)) < weft_atomic_load(word(best, 2, storage)) { best = victim }
        let key = storage.entries[best].key
        remove(best, &storage)
        storage.statistics.evicted += 1
        return key
    }
}
