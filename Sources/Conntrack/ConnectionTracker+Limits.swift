import CLinux
import Synchronization

// Settings, from any thread.
extension ConnectionTracker {
    /// Most connections over all zones; at most what the tracker was made for.
    public var limit: UInt32 {
        get { UInt32(truncatingIfNeeded: weft_atomic_load(table.shared(.limit))) }
        set { weft_atomic_store(table.shared(.limit), UInt64(min(newValue, capacity))) }
    }

    public var capacity: UInt32 { UInt32(clamping: memoryCapacity) }

    /// Of zones that have none of their own; 0 is no limit.
    public var defaultZoneLimit: UInt32 {
        get { UInt32(truncatingIfNeeded: weft_atomic_load(table.shared(.defaultZoneLimit))) }
        set { weft_atomic_store(table.shared(.defaultZoneLimit), UInt64(newValue)) }
    }

    /// The limit that counts for a zone; 0 is none.
    public func zoneLimit(_ zone: UInt16) -> UInt32 {
        let own = weft_atomic_load(table.zoneLimit(zone))
        let limit = own == 0 ? weft_atomic_load(table.shared(.defaultZoneLimit)) : own &- 1
        return UInt32(truncatingIfNeeded: limit)
    }

    /// A zone's own limit; 0 is no limit, nil that of all others.
    public func setLimit(_ limit: UInt32?, zone: UInt16) {
        weft_atomic_store(table.zoneLimit(zone), limit.map { UInt64($0) &+ 1 } ?? 0)
    }

    /// Nil if the zone has none of its own.
    public func ownLimit(zone: UInt16) -> UInt32? {
        let own = weft_atomic_load(table.zoneLimit(zone))
        return own == 0 ? nil : UInt32(truncatingIfNeeded: own &- 1)
    }

    /// Connections over all zones, expired ones that upkeep has not come to included.
    public var count: Int { Int(truncatingIfNeeded: weft_atomic_load(table.shared(.total))) }
    public func count(zone: UInt16) -> Int { Int(truncatingIfNeeded: weft_atomic_load(table.zoneCount(zone))) }
    /// Connections refused by the zone's limit.
    public func refused(zone: UInt16) -> UInt64 { weft_atomic_load(table.zoneRefused(zone)) }

    public var checksSequenceNumbers: Bool {
        get { weft_atomic_load(table.shared(.checksSequenceNumbers)) != 0 }
        set { weft_atomic_store(table.shared(.checksSequenceNumbers), newValue ? 1 : 0) }
    }
    public var isLiberal: Bool {
        get { weft_atomic_load(table.shared(.isLiberal)) != 0 }
        set { weft_atomic_store(table.shared(.isLiberal), newValue ? 1 : 0) }
    }
    public var picksUpMidstream: Bool {
        get { weft_atomic_load(table.shared(.picksUpMidstream)) != 0 }
        set { weft_atomic_store(table.shared(.picksUpMidstream), newValue ? 1 : 0) }
    }
    /// Milliseconds; `UInt64.max` never drops early.
    public var earlyDropAge: UInt64 {
        get { weft_atomic_load(table.shared(.earlyDropAge)) }
        set { weft_atomic_store(table.shared(.earlyDropAge), newValue) }
    }

    /// The timeouts of a zone; nil: the default ones. A change counts for connections from their next packet on, and one
    /// that had the default keeps it.
    public func timeouts(zone: UInt16?) -> TimeoutPolicy {
        guard let zone else { return table.timeoutPolicy(0) }
        return table.timeoutPolicy(UInt32(truncatingIfNeeded: weft_atomic_load(table.zonePolicy(zone))))
    }

    public func setTimeouts(_ timeouts: TimeoutPolicy, zone: UInt16?) {
        formerPolicies.withLock { former in
            guard let zone else {
                table.write(timeouts, policy: 0)
                for policy in former { table.write(timeouts, policy: policy) }
                return
            }
            let policy = UInt32(zone) &+ 1
            former.remove(policy)
            table.write(timeouts, policy: policy)
            weft_atomic_store_release(table.zonePolicy(zone), UInt64(policy))
        }
    }

    /// The zone has the default timeouts again, and so have the connections that were begun under its own.
    public func removeTimeouts(zone: UInt16) {
        formerPolicies.withLock { former in
            guard hasOwnTimeouts(zone: zone) else { return }
            weft_atomic_store(table.zonePolicy(zone), 0)
            table.write(table.timeoutPolicy(0), policy: UInt32(zone) &+ 1)
            former.insert(UInt32(zone) &+ 1)
        }
    }

    /// The timeouts that `TrackRequest.policy` names by number, from 1; nil: connections that have them get the default ones.
    public func setTimeouts(_ timeouts: TimeoutPolicy?, named number: UInt8) {
        guard let policy = ConnectionTable.policy(named: number) else { return }
        formerPolicies.withLock { former in
            if timeouts == nil { former.insert(policy) } else { former.remove(policy) }
            table.write(timeouts ?? table.timeoutPolicy(0), policy: policy)
        }
    }

    public func hasOwnTimeouts(zone: UInt16) -> Bool { weft_atomic_load(table.zonePolicy(zone)) != 0 }

    /// Over all workers.
    public func total(_ counter: TrackCounter) -> UInt64 {
        var sum = sharedCounters[counter.rawValue]
        for worker in 0..<workers { sum &+= weft_atomic_load(counters(worker) + counter.rawValue) }
        return sum
    }
}
