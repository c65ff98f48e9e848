import Base
import CLinux
import Synchronization

// For the control and upkeep threads.
extension StationTable {
    /// Looks at up to `limit` records and forgets the stations that were silent for longer than the aging time.
    /// Returns true when it has come around. Ages count in whole seconds, as in Open vSwitch.
    @discardableResult
    public func expire(now: UInt64, limit: Int = 1024) -> Bool {
        var gone: Dependencies = []
        let done = storage.withLock { storage in
            let end = min(storage.sweep + limit, storage.capacity)
            for index in storage.sweep..<end {
                let entry = storage.entries + index
                guard entry.pointee.key != 0, entry.pointee.place & Self.staticBit == 0 else { continue }
                let used = weft_atomic_load(word(index, 2, storage))
                guard now / 1000 >= used / 1000 + UInt64(storage.agingTime) else { continue }
                gone.formUnion(dependency(entry.pointee.key))
                beginChange { remove(index, &storage) }
                storage.statistics.expired += 1
            }
            storage.sweep = end == storage.capacity ? 0 : end
            return end == storage.capacity
        }
        changes.touch(gone)
        return done
    }

    /// Forgets all learned stations, or those behind one port; static entries stay unless `includingStatic`.
    public func flush(port: PortIndex? = nil, includingStatic: Bool = false) {
        var gone: Dependencies = []
        storage.withLock { storage in
            for index in 0..<storage.capacity {
                let entry = storage.entries[index]
                guard entry.key != 0, includingStatic || entry.place & Self.staticBit == 0,
                    port == nil || port?.rawValue == UInt32(truncatingIfNeeded: entry.place &>> 32)
                else { continue }
                gone.formUnion(dependency(entry.key))
                beginChange { remove(index, &storage) }
            }
        }
        changes.touch(gone)
    }

    /// Sets a static entry (`fdb/add`), in place of a learned one if there is one. False if the table is full.
    public func setStatic(vlan: UInt16, mac: UInt64, port: PortIndex, now: UInt64) -> Bool {
        let key = Self.key(vlan: vlan, mac: mac)
        let done = storage.withLock { storage in
            beginChange {
                if let index = find(key, hash(key), storage) { remove(index, &storage) }
                return insert(key, port, isStatic: true, now: now, &storage) != nil
            }
        }
        changes.touch(dependency(key))
        return done
    }

    /// Removes a static entry (`fdb/del`); false if there is none.
    public func removeStatic(vlan: UInt16, mac: UInt64) -> Bool {
        let key = Self.key(vlan: vlan, mac: mac)
        let done = storage.withLock { storage in
            guard let index = find(key, hash(key), storage), storage.entries[index].place & Self.staticBit != 0
            else { return false }
            beginChange { remove(index, &storage) }
            return true
        }
        if done { changes.touch(dependency(key)) }
        return done
    }

    /// All entries, least recently heard first, as `fdb/show` lists them.
    public func list() -> [Station] {
        let stations = storage.withLock { storage in
            (0..<storage.capacity).compactMap { index in
                storage.entries[index].key == 0 ? nil : describe(index, storage)
            }
        }
        return stations.sorted { ($0.used, $0.handle.slot) < ($1.used, $1.handle.slot) }
    }

    public var statistics: Statistics { storage.withLock { $0.statistics } }

    /// Seconds: `mac-aging-time`, brought between 15 and 3600.
    public var agingTime: Int {
        get { storage.withLock { $0.agingTime } }
        set { storage.withLock { $0.agingTime = Self.clampAging(newValue) } }
    }

    /// Moves of one station in one second that are followed; 0 is any number.
    public var moveLimit: Int {
        get { storage.withLock { $0.moveLimit } }
        set { storage.withLock { $0.moveLimit = max(newValue, 0) } }
    }

    /// `mac-table-size`, brought between 10 and 1,000,000. Setting it builds a new table and keeps the entries most
    /// recently heard; all cached answers about stations are looked at again.
    public var maximumEntries: Int {
        get { storage.withLock { $0.capacity } }
        set { resize(Self.clampEntries(newValue)) }
    }

    private func resize(_ capacity: Int) {
        guard capacity != maximumEntries else { return }
        let kept = list().suffix(capacity)
        storage.withLock { storage in
            var fresh = Self.makeStorage(
                capacity: capacity, agingTime: storage.agingTime, moveLimit: storage.moveLimit,
                generation: UInt64(storage.retired.count / 3 + 1) &* 1_000_003)
            fresh.statistics = storage.statistics
            fresh.statistics.entries = 0
            fresh.statistics.staticEntries = 0
            fresh.retired =
                storage.retired + [
                    UnsafeMutableRawPointer(storage.entries), UnsafeMutableRawPointer(storage.heads),
                    UnsafeMutableRawPointer(storage.published),
                ]
            for station in kept {
                _ = insert(
                    Self.key(vlan: station.vlan, mac: station.mac), station.port, isStatic: station.isStatic,
                    now: station.used, &fresh)
            }
            beginChange {
                storage = fresh
                weft_atomic_store_release(shared + 1, UInt64(UInt(bitPattern: fresh.published)))
            }
        }
        changes.touch(.stations)
    }
}
