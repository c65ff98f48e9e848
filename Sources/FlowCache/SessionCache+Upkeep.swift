import Base
import Conntrack
import Memory
import Pipeline

// What happens beside the packets: looking paths over, crediting, expiry. Each call but `flush` does a bounded piece, on the
// worker's own thread, between bursts.

extension SessionCache {
    /// Before a burst: paths have to be looked at again when the configuration has changed, or a megaflow of one has gone.
    @inline(__always)
    public mutating func begin(_ first: borrowing FlowCache, _ returning: borrowing FlowCache, now: UInt64) {
        lastNow = now
        let deletions = first.deletions &+ returning.deletions
        if deletions != knownDeletions || first.generation != knownGeneration {
            knownDeletions = deletions
            knownGeneration = first.generation
            validity &+= 1
        }
    }

    /// Whether all megaflows of a path hold. One that has gone ends the path; one that has to be translated again makes its
    /// packets take the ordinary way for now.
    @inline(never) @usableFromInline
    mutating func revalidate(_ number: UInt32) -> Bool {
        let count = table.counts + Int(number)
        guard count.pointee.validity != 0 else { return false }
        let path = table.path(number: number)
        for i in 0..<Int(path.pointee.stageCount) {
            let record = (i == 0 ? firstRecords : returningRecords) + Int(path.pointee.stages[i].flow)
            guard record.pointee.serial == path.pointee.stages[i].serial else {
                count.pointee.validity = 0
                return false
            }
            if record.pointee.generation == knownGeneration { continue }
            guard let block = record.pointee.block else { return false }
            let dependencies = ActionBlock(block).dependencies
            let generation = record.pointee.generation
            guard !changeLog._withUnsafeGuaranteedRef({ $0.wasTouched(dependencies, since: generation) }) else {
                return false
            }
            record.pointee.generation = knownGeneration
        }
        count.pointee.validity = validity
        return true
    }

    /// A packet has found out that the path of its session has ended: packets need not look at it any more.
    @inline(never) public mutating func removeIfDead(_ session: UInt32) {
        if table.count(session).pointee.validity == 0 { remove(session) }
    }

    /// Where a packet leaves its session, and what is left of the ordinary way.
    public struct Exit {
        /// Words of the session's program that come before the passage which refused it.
        public let edits: Int
        /// How often it would have come back by then, and whether rules have forgotten what was found out before.
        public let stage: Int
        public let isCleared: Bool
        public let rest: UnsafePointer<UInt64>
        public let restCount: Int
        public let dropReason: UInt8
    }

    /// A packet goes no further than passage `number` (not the first): credits those who have seen it.
    public mutating func leave(
        _ session: UInt32, at number: Int, _ packet: Packet, _ first: inout FlowCache, _ returning: inout FlowCache,
        now: UInt64, _ stations: (Credit, UInt64) -> Void
    ) -> Exit? {
        let path = table.path(session)
        let place = path.pointee.places[number]
        let length = Int(packet.pointee.length)
        for i in 0...Int(place.stage) {
            let stage = path.pointee.stages[i]
            let bytes = UInt64(length + Int(stage.growth))
            if i == 0 {
                first.credit(stage, 1, bytes, used: now, stations)
            } else {
                returning.credit(stage, 1, bytes, used: now, stations)
            }
        }
        let guards = guards(session, path)
        let tracks = table.way(session).tracks
        tracker._withUnsafeGuaranteedRef { tracker in
            for i in 0..<number {
                let bytes = UInt64(length + Int(path.pointee.places[i].growth))
                tracker.credit(guards[i], tracks[i], packets: 1, bytes: bytes)
                tracker.count(tracks[i], packets: 1, worker: worker)
            }
        }
        guard let words = path.pointee.stages[Int(place.stage)].block else { return nil }
        let block = ActionBlock(words)
        let at = Int(place.inStage)
        return Exit(
            edits: Int(place.inProgram), stage: Int(place.stage), isCleared: place.isCleared,
            rest: UnsafePointer(block.program) + at, restCount: block.programCount - at, dropReason: block.dropReason)
    }

    /// Credits the connections of a session.
    mutating func creditConnections(_ session: UInt32) {
        let record = table.record(session)
        let path = table.path(session)
        let packets = record[3] >> 44
        guard packets > 0 else { return }
        let bytes = record[3] & (1 << 44 - 1)
        record[3] = 0
        let guards = guards(session, path)
        let tracks = table.way(session).tracks
        tracker._withUnsafeGuaranteedRef { tracker in
            for i in 0..<Int(path.pointee.trackCount) {
                let growth = Int64(path.pointee.places[i].growth) * Int64(packets)
                tracker.credit(
                    guards[i], tracks[i], packets: packets, bytes: bytes &+ UInt64(bitPattern: growth))
            }
        }
    }

    /// Called for a session whose count of packets is about to run over.
    @inline(never) public mutating func creditEarly(_ session: UInt32) { creditConnections(session) }

    mutating func remove(_ session: UInt32) {
        creditConnections(session)
        let record = table.record(session)
        index.remove(SessionIndex.tag(hashOf(session)), session)
        table.path(session).pointee.references -= 1
        record[2] = 0
        record[0] = UInt64(firstFree)
        firstFree = session
        count -= 1
        changes &+= 1
    }

    /// The hash of a session's key, from what is left of the key. Ingress port and EtherType are in every mask.
    private func hashOf(_ session: UInt32) -> UInt64 {
        let shape = table.shape(number: table.shapeNumber(session))
        var key = InlineArray<10, UInt64>(repeating: 0)
        key[0] = shape.pointee.value0
        key[4] = table.record(session)[1]
        if shape.pointee.isIPv6 {
            for i in 0..<4 { key[6 + i] = table.furtherRecord(session)[i] }
        } else {
            key[3] = table.record(session)[0]
        }
        return withUnsafePointer(to: key) {
            SessionTable.hash(UnsafeRawPointer($0).assumingMemoryBound(to: UInt64.self))
        }
    }

    /// Credits the megaflows of a path, or what they named if they have gone.
    func credit(
        path number: UInt32, _ first: borrowing FlowCache, _ returning: borrowing FlowCache,
        _ stations: (Credit, UInt64) -> Void
    ) {
        let count = table.counts + Int(number)
        let packets = count.pointee.packets
        guard packets > 0 else { return }
        let bytes = count.pointee.bytes
        let used = count.pointee.used
        count.pointee.packets = 0
        count.pointee.bytes = 0
        let path = table.path(number: number)
        path.pointee.creditedPackets &+= packets
        path.pointee.creditedBytes &+= bytes
        for i in 0..<Int(path.pointee.stageCount) {
            let stage = path.pointee.stages[i]
            let growth = UInt64(bitPattern: Int64(stage.growth) * Int64(packets))
            if i == 0 {
                first.credit(stage, packets, bytes &+ growth, used: used, stations)
            } else {
                returning.credit(stage, packets, bytes &+ growth, used: used, stations)
            }
        }
        let tracks = table.shape(number: path.pointee.shape)
        tracker._withUnsafeGuaranteedRef { tracker in
            for i in 0..<Int(path.pointee.trackCount) {
                tracker.count(tracks.pointee.tracks[i], packets: packets, worker: worker)
            }
        }
    }

    /// Numbers of paths and of sessions end here.
    public var pathEnd: Int { Int(pathTop) }
    public var sessionEnd: Int { Int(top) }

    /// Credits the paths `range`.
    public func creditPaths(
        _ range: Range<Int>, _ first: borrowing FlowCache, _ returning: borrowing FlowCache,
        _ stations: (Credit, UInt64) -> Void
    ) {
        for number in range.clamped(to: 1..<Int(pathTop)) {
            credit(path: UInt32(number), first, returning, stations)
        }
    }

    /// Credits the connections of the sessions `range`.
    public mutating func creditConnections(_ range: Range<Int>) {
        for number in range.clamped(to: 1..<Int(top)) where table.pathNumber(UInt32(number)) != 0 {
            creditConnections(UInt32(number))
        }
    }

    /// Looks at the next `sessions` sessions and `paths` paths: credits what they have counted, and lets go of those that had no
    /// packet for long, or whose path has gone.
    public mutating func sweep(
        sessions: Int, paths: Int, first: inout FlowCache, returning: inout FlowCache, now: UInt64,
        _ stations: (Credit, UInt64) -> Void
    ) {
        lastNow = now
        for _ in 0..<min(sessions, Int(top) - 1) {
            if sweepAt >= top { sweepAt = 1 }
            let session = sweepAt
            sweepAt += 1
            guard table.pathNumber(session) != 0 else { continue }
            let idle = UInt32(truncatingIfNeeded: now) &- UInt32(truncatingIfNeeded: table.record(session)[2])
            if UInt64(idle) >= maximumIdle || table.count(session).pointee.validity == 0 {
                remove(session)
            } else {
                creditConnections(session)
            }
        }
        for _ in 0..<min(paths, Int(pathTop) - 1) {
            if sweepPathAt >= pathTop { sweepPathAt = 1 }
            let number = sweepPathAt
            sweepPathAt += 1
            let path = table.path(number: number)
            guard path.pointee.shape != 0 else { continue }
            credit(path: number, first, returning, stations)
            if path.pointee.references == 0 { free(number, first: &first, returning: &returning) }
        }
    }

    private mutating func free(_ number: UInt32, first: inout FlowCache, returning: inout FlowCache) {
        let path = table.path(number: number)
        for i in 0..<Int(path.pointee.stageCount) {
            i == 0 ? first.release(path.pointee.stages[i]) : returning.release(path.pointee.stages[i])
        }
        release(shape: path.pointee.shape)
        var link = pathBuckets + (Int(path.pointee.hash) & (Self.bucketCount - 1))
        while link.pointee != number, link.pointee != 0 { link = nextLink(link.pointee) }
        link.pointee = path.pointee.next
        path.pointee = SessionPath()
        table.counts[Int(number)] = PathCount()
        path.pointee.next = firstFreePath
        firstFreePath = number
        pathCount -= 1
        changes &+= 1
    }

    private func nextLink(_ number: UInt32) -> UnsafeMutablePointer<UInt32> {
        (UnsafeMutableRawPointer(table.path(number: number)) + SessionPath.nextOffset).assumingMemoryBound(
            to: UInt32.self)
    }

    /// One path less has the shape.
    private mutating func release(shape number: UInt32) {
        let shape = table.shape(number: number)
        shape.pointee.references -= 1
        guard shape.pointee.references == 0 else { return }
        shape.pointee.program?.deallocate()
        var link = shapeBuckets + (Int(shape.pointee.hash) & (Self.bucketCount - 1))
        while link.pointee != number, link.pointee != 0 {
            link = (UnsafeMutableRawPointer(table.shape(number: link.pointee)) + SessionShape.nextOffset)
                .assumingMemoryBound(to: UInt32.self)
        }
        link.pointee = shape.pointee.next
        shape.pointee = SessionShape()
        shape.pointee.next = firstFreeShape
        firstFreeShape = number
        shapeCount -= 1
    }

    /// Forgets all sessions and paths, everything credited (`dp/flush`). Packets wait meanwhile.
    public mutating func flush(
        first: inout FlowCache, returning: inout FlowCache, _ stations: (Credit, UInt64) -> Void
    ) {
        for session in 1..<max(1, top) where table.pathNumber(session) != 0 { remove(session) }
        for number in 1..<max(1, pathTop) where table.path(number: number).pointee.shape != 0 {
            credit(path: number, first, returning, stations)
            free(number, first: &first, returning: &returning)
        }
    }
}

extension FlowCache {
    /// Packets that sessions served count as the megaflow's; if that has gone, they are paid to whom its block names.
    func credit(
        _ stage: SessionPath.Stage, _ packets: UInt64, _ bytes: UInt64, used: UInt64,
        _ stations: (Credit, UInt64) -> Void
    ) {
        let record = records + Int(stage.flow)
        if record.pointee.serial == stage.serial {
            record.pointee.packets &+= packets
            record.pointee.bytes &+= bytes
            record.pointee.used = max(record.pointee.used, used)
        } else if let words = stage.block {
            let block = ActionBlock(words)
            for i in 0..<block.creditCount {
                pay(block.credit(i), packets: packets, bytes: bytes, used: used, stations)
            }
        }
    }
}
