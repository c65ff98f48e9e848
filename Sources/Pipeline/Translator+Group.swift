import Actions
import Base
import Flow

// Groups: buckets are action sets, each run on a copy of the packet.

extension Translator {
    /// False if there is no such group; the list of actions then ends.
    func visitGroup(_ id: UInt32) -> Bool {
        guard mayVisit() else { return true }
        dependencies.formUnion(.groups)
        guard let group = group(id) else {
            note(.noOutput)
            trace { $0.warning("output to nonexistent group \(id)") }
            return false
        }
        let buckets = group._withUnsafeGuaranteedRef { $0.buckets.count }
        switch group._withUnsafeGuaranteedRef({ $0.kind }) {
        case .all, .indirect:
            if buckets == 0 { note(.groupWithoutLiveBucket) }
            let ownIsLast = isLast
            for i in 0..<buckets {
                isLast = ownIsLast && i + 1 == buckets
                runBucket(group, i)
            }
            isLast = ownIsLast
            credit(group, bucket: nil)
        case .select: runChosen(group, choose(group))
        case .fastFailover: runChosen(group, (0..<buckets).first { isLive(group, $0, 0) })
        }
        return true
    }

    private func group(_ id: UInt32) -> Unmanaged<Group>? {
        bridge._withUnsafeGuaranteedRef { bridge in bridge.groups[id].map { .passUnretained($0) } }
    }

    private func runChosen(_ group: Unmanaged<Group>, _ bucket: Int?) {
        guard let bucket else {
            note(.groupWithoutLiveBucket)
            return trace { $0.detail("no live bucket") }
        }
        trace { $0.detail("using bucket \(group.takeUnretainedValue().buckets[bucket].id)") }
        runBucket(group, bucket)
        credit(group, bucket: bucket)
    }

    private func credit(_ group: Unmanaged<Group>, bucket: Int?) {
        group._withUnsafeGuaranteedRef { group in
            translation.credits.append(Credit(.counter, group.counter))
            for i in group.buckets.indices where bucket == nil || bucket == i {
                translation.credits.append(Credit(.counter, group.buckets[i].counter))
            }
        }
    }

    private func runBucket(_ group: Unmanaged<Group>, _ i: Int) {
        trace { $0.beginBucket(group.takeUnretainedValue().buckets[i].id) }
        let code = group._withUnsafeGuaranteedRef { Unmanaged.passUnretained($0.buckets[i].code) }
        save()
        depth += 1
        runAsSet(code)
        depth -= 1
        restore()
        hasExited = false
        // Limits hold for the packet as a whole; what is wrong with one copy is forgotten.
        if failure == .mplsDepth { failure = nil }
        trace { $0.endRule() }
    }
}

// MARK: - Liveness

extension Translator {
    /// Chains of groups that watch groups are followed so far.
    private static var maximumLivenessDepth: Int { 128 }

    private func isLive(_ group: Unmanaged<Group>, _ i: Int, _ depth: Int) -> Bool {
        guard depth < Self.maximumLivenessDepth else { return false }
        let (kind, weight, port, other) = group._withUnsafeGuaranteedRef { group in
            (group.kind, group.buckets[i].weight, group.buckets[i].watchPort, group.buckets[i].watchGroup)
        }
        if kind == .select, weight == 0 { return false }
        if port == nil, other == nil { return true }
        if let port, port != .controller, isLive(port) { return true }
        if let other, let watched = self.group(other) {
            let count = watched._withUnsafeGuaranteedRef { $0.buckets.count }
            return (0..<count).contains { isLive(watched, $0, depth + 1) }
        }
        return false
    }
}

// MARK: - Select

extension Translator {
    private func choose(_ group: Unmanaged<Group>) -> Int? {
        if innerIsUnknown { revealInner() }
        let group = group.takeUnretainedValue()
        let hash: UInt32
        switch group.selection {
        case .datapathHash(let basis): hash = self.hash(.symmetricL4, basis: basis)
        case .fields(let basis, let fields): hash = hashFields(fields, basis: basis)
        }
        var best: Int?
        var bestScore: UInt64 = 0
        for i in group.buckets.indices where isLive(.passUnretained(group), i, 0) {
            // Each bucket draws a number that only this flow and its own id decide; weights stretch it.
            let score = UInt64(FieldHash.pair(group.buckets[i].id, hash) & 0xffff) * UInt64(group.buckets[i].weight)
            trace { $0.detail("bucket \(group.buckets[i].id): score \(score)") }
            if best == nil || score >= bestScore {
                best = i
                bestScore = score
            }
        }
        return best
    }

    private func hashFields(_ fields: [MatchField: UInt128], basis: UInt32) -> UInt32 {
        var hash = FieldHash(basis: basis)
        // In the order of their places in the key: a dictionary has none.
        let runs = fields.map { (FieldRun($0.key), $0.value) }
            .sorted { ($0.0.word, $0.0.shift) < ($1.0.word, $1.0.shift) }
        for (run, fieldMask) in runs where has(run.requirement) {
            hash.add(readMasked(run, fieldMask))
        }
        return hash.value
    }

    /// The bits of a run that `fieldMask` selects; only they count.
    private func readMasked(_ run: FieldRun, _ fieldMask: UInt128) -> UInt128 {
        guard run.kind != .absent else { return 0 }
        let word = Int(run.word)
        let placed = fieldMask << UInt128(run.shift)
        let low = UInt64(truncatingIfNeeded: placed)
        guard run.isWide else { return UInt128(see(word, low)) >> UInt128(run.shift) }
        let high = see(word, UInt64(truncatingIfNeeded: placed >> 64))
        return UInt128(high) << 64 | UInt128(see(word + 1, low))
    }
}
