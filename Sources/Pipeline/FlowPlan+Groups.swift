import Base
import Flow

extension FlowPlan {
    /// Carries out one group mod.
    mutating func run(_ mod: GroupMod) throws(StateError) {
        if mod.command == .delete {
            deleteGroups(mod.id)
            return
        }
        guard let id = mod.id, id < GroupMod.idLimit else {
            throw StateError(.invalidGroup, "a group needs a number from 0 to 4294967040")
        }
        let old = bridge.groups[id]
        switch mod.command {
        case .add:
            guard old == nil else { throw StateError(.groupExists, "group \(id) exists already") }
            try build(mod, id, old: nil, mod.buckets.map { $0 })
        case .modify:
            guard let old else { throw StateError(.unknownGroup, "group \(id) does not exist") }
            try build(mod, id, old: old, mod.buckets)
        case .addOrModify: try build(mod, id, old: old, mod.buckets)
        case .insertBuckets(let position):
            guard let old else { throw StateError(.unknownGroup, "group \(id) does not exist") }
            try build(mod.like(old), id, old: old, inserted(mod.buckets, into: old, at: position))
        case .removeBuckets(let position):
            guard let old else { throw StateError(.unknownGroup, "group \(id) does not exist") }
            guard mod.buckets.isEmpty else { throw StateError(.badBucket, "remove-buckets takes no buckets") }
            try build(mod.like(old), id, old: old, remaining(of: old, without: position))
        case .delete: break
        }
    }

    /// Deletes one or all groups, and with each the flows that refer to it.
    private mutating func deleteGroups(_ id: UInt32?) {
        let doomed = id.map { [$0] } ?? bridge.groups.keys.sorted()
        for id in doomed {
            guard let group = bridge.groups[id] else { continue }
            for place in (book.groupUsers[id] ?? []).sorted() {
                if let rule = bridge.slab.rule(at: place) { remove(rule, at: place) }
            }
            removeOrphans()
            setGroup(id, from: group, to: nil)
        }
    }

    private func inserted(_ new: [GroupMod.Bucket], into old: Group, at position: GroupMod.Position)
        throws(StateError) -> [GroupMod.Bucket]
    {
        var buckets = old.buckets.map { GroupMod.Bucket($0) }
        switch position {
        case .first: buckets.insert(contentsOf: new, at: 0)
        case .last: buckets.append(contentsOf: new)
        case .all: throw StateError(.badBucket, "buckets are inserted first, last or behind a bucket, not at all")
        case .bucket(let id):
            guard let at = buckets.firstIndex(where: { $0.id == id }) else {
                throw StateError(.unknownBucket, "group \(old.id) has no bucket \(id)")
            }
            buckets.insert(contentsOf: new, at: at + 1)
        }
        return buckets
    }

    private func remaining(of old: Group, without position: GroupMod.Position) throws(StateError)
        -> [GroupMod.Bucket]
    {
        var buckets = old.buckets.map { GroupMod.Bucket($0) }
        switch position {
        case .first: buckets = Array(buckets.dropFirst())
        case .last: buckets = Array(buckets.dropLast())
        case .all: buckets = []
        case .bucket(let id):
            guard let at = buckets.firstIndex(where: { $0.id == id }) else {
                throw StateError(.unknownBucket, "group \(old.id) has no bucket \(id)")
            }
            buckets.remove(at: at)
        }
        return buckets
    }

    /// Checks and makes the group. Its counters begin at zero; its duration goes on.
    private mutating func build(_ mod: GroupMod, _ id: UInt32, old: Group?, _ buckets: [GroupMod.Bucket])
        throws(StateError)
    {
        try mod.check(buckets)
        for bucket in buckets { try check(bucket.actions, in: id) }
        var used = Set(buckets.compactMap(\.id))
        var next: UInt32 = 0
        var handles: [CounterHandle] = []
        for _ in 0...buckets.count {
            guard let handle = counters.allocate(now: now) else {
                for handle in handles { counters.release(handle) }
                throw StateError(.exhausted, "no counters left: the switch takes 16,777,216 flows, groups and buckets")
            }
            handles.append(handle)
        }
        var built: [Group.Bucket] = []
        for (bucket, counter) in zip(buckets, handles.dropFirst()) {
            while bucket.id == nil, used.contains(next) { next += 1 }
            let number = bucket.id ?? next
            used.insert(number)
            built.append(
                Group.Bucket(
                    id: number, weight: bucket.weight ?? (mod.kind == .select ? 1 : 0), watchPort: bucket.watchPort,
                    watchGroup: bucket.watchGroup, actions: bucket.actions, counter: counter))
        }
        let group = Group(
            id: id, kind: mod.kind, selection: mod.selection, buckets: built, counter: handles[0],
            created: old?.created ?? now)
        setGroup(id, from: old, to: group)
    }

    /// Actions of a bucket. A group that is named must not be this one; whether it exists, and whether groups refer to each
    /// other in a circle, is found out by packets, as in Open vSwitch: translation stops at its depth limit.
    private func check(_ actions: [Action], in id: UInt32) throws(StateError) {
        let traits = RuleTraits(actions)
        if traits.contains(.usesGroups), actions.groups.contains(id) {
            throw StateError(.invalidGroup, "group \(id) refers to itself")
        }
        if traits.contains(.goesToTable) {
            throw StateError(.badBucket, "a bucket cannot contain goto_table")
        }
        if traits.contains(.usesMeters) {
            throw StateError(.badMeter, "a bucket cannot contain meter")
        }
    }
}

extension GroupMod {
    /// The same request for a group with the kind and the selection of `group`, which buckets commands leave as they are.
    fileprivate func like(_ group: Group) -> GroupMod {
        var mod = self
        mod.kind = group.kind
        mod.selection = group.writtenSelection
        return mod
    }

    /// What OpenFlow 1.5.1, 5.6.1 "Group Types", and Open vSwitch ask of the buckets of a group.
    fileprivate func check(_ buckets: [Bucket]) throws(StateError) {
        if kind == .indirect, buckets.count != 1 {
            throw StateError(.invalidGroup, "an indirect group has exactly one bucket, not \(buckets.count)")
        }
        var seen: Set<UInt32> = []
        for bucket in buckets {
            if let id = bucket.id {
                guard id < GroupMod.idLimit else { throw StateError(.badBucket, "bucket_id \(id) is out of range") }
                guard seen.insert(id).inserted else { throw StateError(.bucketExists, "two buckets have the id \(id)") }
            }
            if kind != .select, let weight = bucket.weight, weight != 0 {
                throw StateError(.invalidGroup, "only buckets of select groups have a weight")
            }
            let watches = bucket.watchPort != nil || bucket.watchGroup != nil
            switch kind {
            case .all, .indirect:
                if watches {
                    throw StateError(
                        .watchUnsupported, "only buckets of ff and select groups have a watch_port or watch_group")
                }
            case .fastFailover:
                if !watches {
                    throw StateError(.invalidGroup, "each bucket of an ff group needs a watch_port or watch_group")
                }
            case .select: break
            }
        }
    }
}

extension GroupMod.Bucket {
    init(_ bucket: Group.Bucket) {
        self.init(
            id: bucket.id, weight: bucket.weight, watchPort: bucket.watchPort, watchGroup: bucket.watchGroup,
            actions: bucket.actions)
    }
}
