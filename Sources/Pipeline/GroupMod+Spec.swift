import Flow

extension GroupMod {
    /// The group mod that a group as written stands for.
    public init(_ spec: GroupSpec) {
        let position: Position =
            switch spec.position {
            case .first: .first
            case .last: .last
            case .all: .all
            case .bucket(let id): .bucket(id)
            }
        let command: Command =
            switch spec.command {
            case .add: .add
            case .modify: .modify
            case .addOrModify: .addOrModify
            case .delete: .delete
            case .insertBuckets: .insertBuckets(position)
            case .removeBuckets: .removeBuckets(position)
            }
        let kind: Group.Kind =
            switch spec.kind {
            case .all, nil: .all
            case .select: .select
            case .indirect: .indirect
            case .fastFailover: .fastFailover
            }
        self.init(
            command, id: spec.id, kind: kind, selection: spec.selection,
            buckets: spec.buckets.map { bucket in
                Bucket(
                    id: bucket.id, weight: bucket.weight, watchPort: bucket.watchPort, watchGroup: bucket.watchGroup,
                    actions: bucket.actions)
            })
    }
}

extension Group {
    /// The group as one would write it to add it: what `dump-groups` prints.
    public var spec: GroupSpec {
        var spec = GroupSpec()
        spec.id = id
        spec.kind =
            switch kind {
            case .all: .all
            case .select: .select
            case .indirect: .indirect
            case .fastFailover: .fastFailover
            }
        spec.selection = writtenSelection
        spec.buckets = buckets.map { bucket in
            var written = BucketSpec()
            written.id = bucket.id
            written.weight = bucket.weight
            written.watchPort = bucket.watchPort
            written.watchGroup = bucket.watchGroup
            written.actions = bucket.actions
            return written
        }
        return spec
    }
}

extension Group.Selection {
    /// Hashes take the lower 32 bits of `selection_method_param`. Without a method, it is `dp_hash`.
    init(_ written: GroupSpec.Selection) {
        switch written {
        case .unspecified: self = .datapathHash(basis: 0)
        case .datapathHash(let basis): self = .datapathHash(basis: UInt32(truncatingIfNeeded: basis))
        case .hash(let basis, let fields):
            var masks: [MatchField: UInt128] = [:]
            for hashed in fields { masks[hashed.field] = hashed.mask }
            self = .fields(basis: UInt32(truncatingIfNeeded: basis), masks)
        }
    }
}
