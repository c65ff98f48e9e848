import Actions
import Base
import CLinux
import Conntrack
import Flow
import Memory
import Pipeline

// From the trace of a packet to a session. Runs once for each session, behind the packet.

extension SessionCache {
    /// Remembers the way of a packet, if it can be. `first` and `returning` are the caches that answered it: at the start, and
    /// each time that it came back.
    public mutating func make(
        of trace: UnsafePointer<PacketTrace>, first: inout FlowCache, returning: inout FlowCache, now: UInt64
    ) {
        var path = SessionPath()
        var shape = SessionShape()
        guard isEnabled, gather(trace, &path, &shape, first, returning), guardsAreDistinct(trace) else {
            statistics.unfit &+= 1
            return
        }
        let number = findPath(path, shape) ?? makePath(path, shape, first: &first, returning: &returning)
        guard number != 0 else {
            statistics.unfit &+= 1
            return
        }
        withUnsafePointer(to: trace.pointee.key) { key in
            let words = UnsafeRawPointer(key).assumingMemoryBound(to: UInt64.self)
            guard let session = place(words) else { return }
            fill(session, trace, words, path: number, now: now)
        }
    }

    /// A connection that is met twice in full would have to be renewed, and counted, twice; one that is met again must have
    /// been met before.
    private func guardsAreDistinct(_ trace: UnsafePointer<PacketTrace>) -> Bool {
        for i in 0..<trace.pointee.trackCount {
            let own = trace.pointee.tracks[i]
            var isKnown = false
            for j in 0..<i
            where ConnectionTracker.isSameConnection(trace.pointee.tracks[j].guardWord, own.guardWord) {
                isKnown = true
                // Changed on the way, so that both guards cannot hold.
                if trace.pointee.tracks[j].guardWord != own.guardWord { return false }
            }
            if isKnown != own.passage.traits.contains(.again) { return false }
        }
        return true
    }

    /// Everything of a path and its shape but the program. False if the way is none that a session can take.
    private func gather(
        _ trace: UnsafePointer<PacketTrace>, _ path: inout SessionPath, _ shape: inout SessionShape,
        _ first: borrowing FlowCache, _ returning: borrowing FlowCache
    ) -> Bool {
        let t = trace
        guard !t.pointee.isVoid, t.pointee.trackCount > 0, t.pointee.stageCount > 0 else { return false }
        let type = UInt16(truncatingIfNeeded: t.pointee.key[0] &>> 16)
        let ipProtocol = t.pointee.key[4] &>> 56
        guard type == EtherType.ipv4 || type == EtherType.ipv6, ipProtocol == 6 || ipProtocol == 17,
            t.pointee.key[4] &>> 48 & 0xff == 0
        else { return false }
        shape.isTCP = ipProtocol == 6
        shape.isIPv6 = type == EtherType.ipv6
        path.stageCount = UInt8(truncatingIfNeeded: t.pointee.stageCount)
        path.trackCount = UInt8(truncatingIfNeeded: t.pointee.trackCount)
        shape.trackCount = path.trackCount
        let start = Int(t.pointee.stages[0].length)
        var masks = SessionMasks()
        for i in 0..<t.pointee.stageCount {
            let stage = t.pointee.stages[i]
            guard
                i == 0
                    ? first.addMask(of: stage, to: &masks)
                    : returning.addMask(of: stage, to: &masks)
            else { return false }
            path.stages[i].flow = stage.flow
            path.stages[i].serial = stage.serial
            path.stages[i].growth = Int32(truncatingIfNeeded: Int(stage.length) - start)
            path.stages[i].block =
                i == 0 ? first.records[Int(stage.flow)].block : returning.records[Int(stage.flow)].block
            // Tags that are put on or taken off move what later lookups read.
            if let block = path.stages[i].block, ActionBlock(block).movesHeaders { masks.makeExact() }
        }
        // A packet of TCP or UDP has nothing in words 10 to 16; so they are not compared with the next ones.
        guard !masks.isUnfit, !(masks.readsFurtherWords && t.pointee.hasFurtherWords) else { return false }
        for i in 0..<t.pointee.trackCount {
            shape.tracks[i] = t.pointee.tracks[i].passage
            if !shape.tracks[i].traits.contains(.again) { shape.meetings |= 1 << UInt8(truncatingIfNeeded: i) }
            path.places[i].growth = Int16(truncatingIfNeeded: Int(t.pointee.tracks[i].length) - start)
        }
        (shape.mask0, shape.mask1, shape.mask2, shape.mask5) = (masks.word0, masks.word1, masks.word2, masks.word5)
        shape.value0 = t.pointee.key[0] & masks.word0
        shape.value1 = t.pointee.key[1] & masks.word1
        shape.value2 = t.pointee.key[2] & masks.word2
        shape.value5 = t.pointee.key[5] & masks.word5
        path.hash = Self.hash(path, shape)
        return true
    }

    private static func hash(_ path: SessionPath, _ shape: SessionShape) -> UInt32 {
        var h = weft_crc32(0x7a74, shape.value0 ^ UInt64(shape.isTCP ? 1 : 0))
        h = weft_crc32(h, shape.value1)
        h = weft_crc32(h, shape.value2)
        for i in 0..<Int(shape.trackCount) {
            h = weft_crc32(h, UInt64(shape.tracks[i].state) &<< 8 | UInt64(shape.tracks[i].traits.rawValue))
        }
        for i in 0..<Int(path.stageCount) { h = weft_crc32(h, path.stages[i].serial) }
        return UInt32(truncatingIfNeeded: h)
    }

    private func findPath(_ path: SessionPath, _ shape: SessionShape) -> UInt32? {
        var number = pathBuckets[Int(path.hash) & (Self.bucketCount - 1)]
        while number != 0 {
            let known = table.path(number: number)
            if known.pointee.hash == path.hash, table.counts[Int(number)].validity != 0,
                known.pointee.passesLike(path),
                table.shape(number: known.pointee.shape).pointee.comparesLike(shape)
            {
                return number
            }
            number = known.pointee.next
        }
        return nil
    }

    /// 0 if there is no room, or a program says something that a session cannot.
    private mutating func makePath(
        _ wanted: SessionPath, _ wantedShape: SessionShape, first: inout FlowCache, returning: inout FlowCache
    ) -> UInt32 {
        var path = wanted
        var shape = wantedShape
        guard SessionProgram.compile(&path, &shape) else { return 0 }
        let number: UInt32
        if firstFreePath != 0 {
            number = firstFreePath
            firstFreePath = table.path(number: number).pointee.next
        } else if Int(pathTop) <= Self.pathLimit {
            number = pathTop
            pathTop += 1
        } else {
            shape.program?.deallocate()
            return 0
        }
        for i in 0..<Int(path.stageCount) {
            i == 0 ? first.retain(path.stages[i]) : returning.retain(path.stages[i])
        }
        path.shape = share(shape)
        table.counts[Int(number)] = PathCount(validity: validity)
        let bucket = Int(path.hash) & (Self.bucketCount - 1)
        path.next = pathBuckets[bucket]
        pathBuckets[bucket] = number
        table.path(number: number).initialize(to: path)
        pathCount += 1
        return number
    }

    private static func hash(_ shape: SessionShape) -> UInt32 {
        var h = weft_crc32(0x7a74, shape.value0 ^ UInt64(shape.isTCP ? 1 : 0))
        h = weft_crc32(h, shape.value1)
        h = weft_crc32(h, shape.value2)
        for word in UnsafeBufferPointer(start: shape.program, count: Int(shape.programCount)) {
            h = weft_crc32(h, word)
        }
        return UInt32(truncatingIfNeeded: h)
    }

    /// The shape that is like this one, or this one. Its program is taken over.
    private mutating func share(_ wanted: SessionShape) -> UInt32 {
        var wanted = wanted
        wanted.hash = Self.hash(wanted)
        let bucket = Int(wanted.hash) & (Self.bucketCount - 1)
        var number = shapeBuckets[bucket]
        while number != 0 {
            let known = table.shape(number: number)
            if known.pointee.hash == wanted.hash, known.pointee.equals(wanted) {
                wanted.program?.deallocate()
                known.pointee.references += 1
                return number
            }
            number = known.pointee.next
        }
        if firstFreeShape != 0 {
            number = firstFreeShape
            firstFreeShape = table.shape(number: number).pointee.next
        } else {
            // A shape has a path at least, so there is always room.
            number = shapeTop
            shapeTop += 1
        }
        wanted.references = 1
        wanted.next = shapeBuckets[bucket]
        shapeBuckets[bucket] = number
        table.shape(number: number).initialize(to: wanted)
        shapeCount += 1
        return number
    }

    /// A record for this key: that of the session which did not hold for it, a free one, or one that is of no more use.
    private mutating func place(_ key: UnsafePointer<UInt64>) -> UInt32? {
        let tag = SessionIndex.tag(SessionTable.hash(key))
        var own: UInt32 = 0
        var variants = 0
        var oldest: UInt32 = 0
        index.search(tag) { session in
            if table.matches(session, key) {
                own = session
                return true
            }
            if table.record(session)[0] == SessionTable.addresses(key), table.record(session)[1] == key[4] {
                variants += 1
                if oldest == 0 || table.record(session)[2] & 0xffff_ffff < table.record(oldest)[2] & 0xffff_ffff {
                    oldest = session
                }
            }
            return false
        }
        if own == 0, variants >= Self.maximumVariants { own = oldest }
        if own != 0 {
            creditConnections(own)
            changes &+= 1
            return own
        }
        guard let session = allocate() else { return nil }
        guard index.insert(tag, session) else {
            table.record(session)[0] = UInt64(firstFree)
            firstFree = session
            return nil
        }
        count += 1
        return session
    }

    /// Sessions of one five-tuple that differ in other bits (TOS, flags of TCP, port of entry).
    private static var maximumVariants: Int { 4 }

    private mutating func allocate() -> UInt32? {
        if firstFree != 0 {
            let session = firstFree
            firstFree = UInt32(truncatingIfNeeded: table.record(session)[0])
            return session
        }
        if Int(top) <= limit {
            top += 1
            return top - 1
        }
        return evict()
    }

    /// Of eight at random, one whose path or connection has gone, or else the one longest idle. One that had a packet in the
    /// last second is given up for one of sixteen newcomers only.
    private mutating func evict() -> UInt32? {
        var victim: UInt32 = 0
        var longest: UInt32 = 0
        let now = UInt32(truncatingIfNeeded: lastNow)
        for _ in 0..<8 {
            let session = UInt32(truncatingIfNeeded: random.next() >> 32) % (top - 1) + 1
            guard table.pathNumber(session) != 0 else { continue }
            let path = table.path(session)
            let isUseless = table.count(session).pointee.validity == 0 || !holds(session, path)
            let idle = isUseless ? .max : now &- UInt32(truncatingIfNeeded: table.record(session)[2])
            if victim == 0 || idle > longest { (victim, longest) = (session, idle) }
        }
        guard victim != 0, longest > 1000 || random.next() & 15 == 0 else { return nil }
        statistics.evicted &+= 1
        remove(victim)
        let session = firstFree
        firstFree = UInt32(truncatingIfNeeded: table.record(session)[0])
        return session
    }

    private func holds(_ session: UInt32, _ path: UnsafeMutablePointer<SessionPath>) -> Bool {
        let guards = guards(session, path)
        return tracker._withUnsafeGuaranteedRef { tracker in
            (0..<Int(path.pointee.trackCount)).allSatisfy { tracker.holds(guards[$0]) }
        }
    }

    private mutating func fill(
        _ session: UInt32, _ trace: UnsafePointer<PacketTrace>, _ key: UnsafePointer<UInt64>, path number: UInt32,
        now: UInt64
    ) {
        let record = table.record(session)
        let before = table.pathNumber(session)
        table.path(number: number).pointee.references += 1
        if before != 0 { table.path(number: before).pointee.references -= 1 }
        record[0] = SessionTable.addresses(key)
        record[1] = key[4]
        let path = table.path(number: number)
        record[2] =
            UInt64(number) << 48 | UInt64(path.pointee.shape) << 32 | UInt64(UInt32(truncatingIfNeeded: now))
        record[3] = 0
        let way = table.way(session)
        if way.isIPv6 {
            for i in 0..<4 { table.furtherRecord(session)[i] = key[6 + i] }
        }
        let guards = guards(session, path)
        for i in 0..<Int(path.pointee.trackCount) { guards[i] = trace.pointee.tracks[i].guardWord }
        if way.edit.remembersTranslation, let passage = way.edit.translation {
            table.translation(session).pointee = tracker._withUnsafeGuaranteedRef {
                $0.translation(guards[passage], isReply: way.edit.translatesReply)
            }
        }
        statistics.made &+= 1
    }
}
