import Base
import CLinux
import Synchronization

// For the control and upkeep threads.
extension StationTable {
    /// Records that are looked at, and entries that are removed, at the most while the lock is held: a worker that learns
    /// waits for no more than that.
    package static var recordsPerStep: Int { 256 }
    package static var removalsPerStep: Int { 16 }

    /// One holding of the lock: looks at up to `limit` records from `start` on and removes those for which `condition` holds.
    /// Returns where to go on, or nil at the end of the table, and adds to `gone` what was removed.
    package func removeStep(
        from start: Int, limit: Int = .max, _ gone: inout Dependencies, where condition: (borrowing Candidate) -> Bool
    ) -> Int? {
        storage.withLock { storage in
            let end = min(start + min(limit, Self.recordsPerStep), storage.capacity)
            var index = start
            var removed = 0
            while index < end, removed < Self.removalsPerStep {
                // Not the entry as a whole: workers write when it was used, without the lock.
                let key = storage.entries[index].key
                let place = storage.entries[index].place
                if key != 0 {
                    let candidate = Candidate(
                        port: PortIndex(UInt32(truncatingIfNeeded: place &>> 32)),
                        isStatic: place & Self.staticBit != 0, used: weft_atomic_load(word(index, 2, storage)),
                        agingTime: storage.agingTime)
                    if condition(candidate) {
                        gone.formUnion(dependency(key))
                        beginChange { remove(index, &storage) }
                        removed += 1
                    }
                }
                index += 1
            }
            return index < storage.capacity ? index : nil
        }
    }

    /// An entry that may have to go.
    package struct Candidate {
        package let port: PortIndex
        package let isStatic: Bool
        /// Milliseconds when last heard.
        package let used: UInt64
        /// Seconds, of the table.
        package let agingTime: Int
    }

    /// Between two steps: whoever waits for the lock spins for about as long, and gets it.
    private func letOthersIn() {
        for _ in 0..<64 { weft_pause() }
    }

    /// Forgets the stations that were silent for longer than the aging time. Ages count in whole seconds, as in Open vSwitch.
    public func expire(now: UInt64) {
        // Most of the time most bridges have nothing to forget, and looking at every record to find that out takes long.
        guard storage.withLock({ $0.statistics.entries > $0.statistics.staticEntries }) else { return }
        var expired: UInt64 = 0
        removeAll { candidate in
            guard !candidate.isStatic, now / 1000 >= candidate.used / 1000 + UInt64(candidate.agingTime) else {
                return false
            }
            expired += 1
            return true
        }
        if expired > 0 { storage.withLock { $0.statistics.expired += expired } }
    }

    /// Forgets all learned stations, or those behind one port; static entries stay unless `includingStatic`. What workers
    /// learn meanwhile may stay or go.
    public func flush(port: PortIndex? = nil, includingStatic: Bool = false) {
        removeAll { (includingStatic || !$0.isStatic) && (port == nil || port == $0.port) }
    }

    private func removeAll(where condition: (borrowing Candidate) -> Bool) {
        var gone: Dependencies = []
        var at = removeStep(from: 0, &gone, where: condition)
        while let start = at {
            letOthersIn()
            at = removeStep(from: start, &gone, where: condition)
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

    /// All entries, least recently heard first, as `fdb/show` lists them. Workers learn meanwhile: a station that was
    /// forgotten and learned again while the table was walked may be missing.
    public func list() -> [Station] {
        var stations: [Station] = []
        var start = 0
        while true {
            let found = storage.withLock { storage -> [Station]? in
                guard start < storage.capacity else { return nil }
                return (start..<min(start + Self.recordsPerStep, storage.capacity)).compactMap { index in
                    storage.entries[index].key == 0 ? nil : describe(index, storage)
                }
            }
            guard let found else { break }
            stations += found
            start += Self.recordsPerStep
            letOthersIn()
        }
        stations.sort { ($0.used, $0.handle.slot) < ($1.used, $1.handle.slot) }
        // Learned again in another record: the later one counts.
        var seen: Set<UInt64> = []
        let latest = stations.reversed().filter { seen.insert(Self.key(vlan: $0.vlan, mac: $0.mac)).inserted }
        return latest.reversed()
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

    /// `mac-table-size`, brought between 10 and 1,000,000. Setting it builds a new table and keeps static entries
    /// and those most recently heard; all cached answers about stations are looked at again. `reclaim` must follow.
    public var maximumEntries: Int {
        get { storage.withLock { $0.capacity } }
        set { resize(Self.clampEntries(newValue)) }
    }

    /// The new table is made beside the old one. What workers learn before it takes the old one's place, they learn again with
    /// the next packet, since all answers are looked at again.
    private func resize(_ capacity: Int) {
        guard capacity != maximumEntries else { return }
        let stations = list()
        let kept = (stations.filter { !$0.isStatic } + stations.filter(\.isStatic)).suffix(capacity)
        let (agingTime, moveLimit, resizes) = storage.withLock { ($0.agingTime, $0.moveLimit, $0.resizes + 1) }
        var fresh = Self.makeStorage(
            capacity: capacity, agingTime: agingTime, moveLimit: moveLimit, generation: UInt64(resizes) &* 1_000_003)
        fresh.resizes = resizes
        for station in kept {
            _ = insert(
                Self.key(vlan: station.vlan, mac: station.mac), station.port, isStatic: station.isStatic,
                now: station.used, &fresh)
        }
        let ready = fresh
        storage.withLock { storage in
            var next = ready
            next.statistics = storage.statistics
            next.statistics.entries = ready.statistics.entries
            next.statistics.staticEntries = ready.statistics.staticEntries
            next.retired = storage.retired
            for memory in storage.memory { next.retired.append(memory) }
            beginChange {
                storage = next
                weft_atomic_store_release(shared + 1, UInt64(UInt(bitPattern: next.published)))
            }
        }
        changes.touch(.stations)
    }

    /// Tables from before a resize that are still kept.
    package var retiredTables: Int { storage.withLock { $0.retired.count / 3 } }

    /// Frees the tables from before a resize. Every reader of the configuration that was inside at the last resize must have
    /// left since: a lookup takes no lock, and walks the table that it found.
    public func reclaim() {
        let retired = storage.withLock { storage in
            let retired = storage.retired
            storage.retired = []
            return retired
        }
        for address in retired { UnsafeMutableRawPointer(bitPattern: address)?.deallocate() }
    }
}
