import Base
import CLinux
import Synchronization

extension StationTable {
    static var staticBit: UInt64 { 1 &<< 31 }
    static var generationMask: UInt64 { (1 &<< 31) &- 1 }

    /// Where frames for a station go; nil floods. Any thread; no lock unless changes keep coming.
    public func lookup(vlan: UInt16, mac: UInt64) -> Station? {
        let key = Self.key(vlan: vlan, mac: mac)
        let hash = hash(key)
        for _ in 0..<8 {
            let sequence = weft_atomic_load_acquire(shared)
            if sequence & 1 == 0 {
                let (settled, station) = walk(key, hash)
                weft_fence_acquire()
                if settled, weft_atomic_load(shared) == sequence { return station }
            }
            weft_pause()
        }
        return storage.withLock { storage in
            find(key, hash, storage).map { describe($0, storage) }
        }
    }

    /// One unlocked walk along a chain; not settled if it went on for too long to be true.
    private func walk(_ key: UInt64, _ hash: UInt64) -> (settled: Bool, station: Station?) {
        guard let published = UnsafePointer<UInt64>(bitPattern: UInt(weft_atomic_load_acquire(shared + 1))),
            let heads = UnsafePointer<UInt64>(bitPattern: UInt(published[0])),
            let entries = UnsafeRawPointer(bitPattern: UInt(published[1]))
        else { return (false, nil) }
        var index = weft_atomic_load(heads + Int(hash & published[2]))
        var steps = 0
        while index != 0 {
            let words = (entries + (Int(index) - 1) * MemoryLayout<Entry>.stride)
                .assumingMemoryBound(to: UInt64.self)
            if weft_atomic_load(words) == key {
                return (
                    true,
                    Self.station(key, place: weft_atomic_load(words + 1), used: weft_atomic_load(words + 2), index)
                )
            }
            index = weft_atomic_load(words + 3)
            steps += 1
            if steps > 1000 { return (false, nil) }
        }
        return (true, nil)
    }

    static func station(_ key: UInt64, place: UInt64, used: UInt64, _ index: UInt64) -> Station {
        Station(
            vlan: UInt16(truncatingIfNeeded: key &>> 48) & 0xfff, mac: key & 0xffff_ffff_ffff,
            port: PortIndex(UInt32(truncatingIfNeeded: place &>> 32)), isStatic: place & staticBit != 0, used: used,
            handle: CounterHandle(
                slot: UInt32(truncatingIfNeeded: index &- 1),
                generation: UInt32(truncatingIfNeeded: place & generationMask)))
    }

    /// Marks a station as heard at `now`, as `Credit.stationSeen` asks. Any thread, no lock. A handle whose entry was
    /// given to another station does nothing.
    public func touch(_ handle: CounterHandle, now: UInt64) {
        guard let published = UnsafePointer<UInt64>(bitPattern: UInt(weft_atomic_load_acquire(shared + 1))),
            let entries = UnsafeMutableRawPointer(bitPattern: UInt(published[1])), handle.slot < published[3]
        else { return }
        let words = (entries + Int(handle.slot) * MemoryLayout<Entry>.stride).assumingMemoryBound(to: UInt64.self)
        guard weft_atomic_load(words + 1) & Self.generationMask == UInt64(handle.generation) else { return }
        weft_atomic_max(words + 2, now)
    }
}
