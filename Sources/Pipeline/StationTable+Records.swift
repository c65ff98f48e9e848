import Base
import CLinux

// The slab, its chains and the lists by port. Everything here runs under the lock; what lookups can see
// changes only inside `beginChange`.
extension StationTable {
    /// Makes the sequence number odd while `body` changes what lookups see.
    func beginChange<R>(_ body: () -> R) -> R {
        let sequence = weft_atomic_load(shared)
        weft_atomic_store(shared, sequence &+ 1)
        weft_fence_release()
        let result = body()
        weft_atomic_store_release(shared, sequence &+ 2)
        return result
    }

    func word(_ index: Int, _ number: Int, _ storage: borrowing Storage) -> UnsafeMutablePointer<UInt64> {
        UnsafeMutableRawPointer(storage.entries + index).assumingMemoryBound(to: UInt64.self) + number
    }

    func find(_ key: UInt64, _ hash: UInt64, _ storage: borrowing Storage) -> Int? {
        var next = storage.heads[Int(hash & storage.bucketMask)]
        while next != 0 {
            let index = Int(next) - 1
            if storage.entries[index].key == key { return index }
            next = storage.entries[index].next
        }
        return nil
    }

    func handle(_ index: Int, _ storage: borrowing Storage) -> CounterHandle {
        CounterHandle(
            slot: UInt32(index),
            generation: UInt32(truncatingIfNeeded: storage.entries[index].place & Self.generationMask))
    }

    func describe(_ index: Int, _ storage: borrowing Storage) -> Station {
        Self.station(
            storage.entries[index].key, place: storage.entries[index].place,
            used: weft_atomic_load(word(index, 2, storage)), UInt64(index) + 1)
    }

    /// Takes a free record; nil if there is none.
    func insert(_ key: UInt64, _ port: PortIndex, isStatic: Bool, now: UInt64, _ storage: inout Storage) -> Int? {
        guard storage.free != 0 else { return nil }
        let index = Int(storage.free) - 1
        let entry = storage.entries + index
        storage.free = entry.pointee.next
        let generation = (entry.pointee.place &+ 1) & Self.generationMask
        let bucket = Int(hash(key) & storage.bucketMask)
        entry.pointee.lockedUntil = 0
        entry.pointee.moves = 0
        weft_atomic_store(
            word(index, 1, storage), UInt64(port.rawValue) &<< 32 | (isStatic ? Self.staticBit : 0) | generation)
        weft_atomic_store(word(index, 2, storage), now)
        weft_atomic_store(word(index, 3, storage), storage.heads[bucket])
        weft_atomic_store(word(index, 0, storage), key)
        weft_atomic_store(storage.heads + bucket, UInt64(index) + 1)
        list(index, &storage)
        storage.statistics.entries += 1
        if isStatic { storage.statistics.staticEntries += 1 }
        return index
    }

    /// Gives a record back; its handle is void from now on.
    func remove(_ index: Int, _ storage: inout Storage) {
        let entry = storage.entries + index
        let isStatic = entry.pointee.place & Self.staticBit != 0
        unlist(index, &storage)
        let bucket = Int(hash(entry.pointee.key) & storage.bucketMask)
        var link = storage.heads + bucket
        while link.pointee != UInt64(index) + 1, link.pointee != 0 {
            link = word(Int(link.pointee) - 1, 3, storage)
        }
        weft_atomic_store(link, entry.pointee.next)
        weft_atomic_store(word(index, 0, storage), 0)
        weft_atomic_store(word(index, 1, storage), (entry.pointee.place &+ 1) & Self.generationMask)
        weft_atomic_store(word(index, 3, storage), storage.free)
        storage.free = UInt64(index) + 1
        storage.statistics.entries -= 1
        if isStatic { storage.statistics.staticEntries -= 1 }
    }

    func move(_ index: Int, to port: PortIndex, _ storage: inout Storage) {
        unlist(index, &storage)
        let place = storage.entries[index].place
        weft_atomic_store(word(index, 1, storage), UInt64(port.rawValue) &<< 32 | place & 0xffff_ffff)
        list(index, &storage)
    }

    // MARK: Lists by port. Static entries are in none: they are not evicted.

    private func portList(_ index: Int, _ storage: inout Storage) -> Int {
        let port = UInt32(truncatingIfNeeded: storage.entries[index].place &>> 32)
        for i in storage.ports.indices where storage.ports[i].port == port { return i }
        // A list without entries belongs to a port that may be gone.
        for i in storage.ports.indices where storage.ports[i].oldest == 0 {
            storage.ports[i] = PortList(port: port)
            return i
        }
        storage.ports.append(PortList(port: port))
        return storage.ports.count - 1
    }

    /// Puts an entry at the young end of its port's list.
    func list(_ index: Int, _ storage: inout Storage) {
        let entry = storage.entries + index
        guard entry.pointee.place & Self.staticBit == 0 else { return }
        let number = portList(index, &storage)
        let newest = storage.ports[number].newest
        entry.pointee.older = newest
        entry.pointee.newer = 0
        entry.pointee.listed = weft_atomic_load(word(index, 2, storage))
        if newest == 0 {
            storage.ports[number].oldest = UInt32(index + 1)
        } else {
            storage.entries[Int(newest) - 1].newer = UInt32(index + 1)
        }
        storage.ports[number].newest = UInt32(index + 1)
        storage.ports[number].count += 1
    }

    func unlist(_ index: Int, _ storage: inout Storage) {
        let entry = storage.entries + index
        guard entry.pointee.place & Self.staticBit == 0 else { return }
        let number = portList(index, &storage)
        let (older, newer) = (entry.pointee.older, entry.pointee.newer)
        if older == 0 {
            storage.ports[number].oldest = newer
        } else {
            storage.entries[Int(older) - 1].newer = newer
        }
        if newer == 0 {
            storage.ports[number].newest = older
        } else {
            storage.entries[Int(newer) - 1].older = older
        }
        storage.ports[number].count -= 1
    }
}
