import Base
import Memory

/// What a reassembler holds: datagrams that are not whole yet, in a hash table and in order of age, and their fragments
/// in order of offset. All records are reserved at start and named by index.
struct FragmentStore: ~Copyable {
    /// A held fragment.
    struct Fragment {
        var packet: Packet
        var start: Int32
        var end: Int32
        /// Offset in the frame of the byte that `start` names.
        var payload: Int32
        /// Next by offset; next of the free ones.
        var next: Int32
    }

    /// A datagram of which something came.
    struct Datagram {
        var src: UInt128
        var dst: UInt128
        var origin: FragmentOrigin
        var identification: UInt32
        var zone: UInt16
        var ipProtocol: UInt8
        var isIPv6: Bool
        var bucket: UInt32
        /// First fragment by offset.
        var first: Int32
        var count: Int32
        /// Bytes of payload that are there, and the greatest end of them.
        var received: Int32
        var highest: Int32
        /// Bytes of payload in all; -1 until the last fragment came.
        var total: Int32
        /// Next in its bucket; next of the free ones.
        var next: Int32
        var older: Int32
        var newer: Int32
        /// Milliseconds.
        var deadline: UInt64
    }

    var limits: FragmentLimits
    private(set) var statistics = FragmentStatistics()
    private(set) var heldCount = 0
    private let capacity: Int
    private let seed: UInt64
    private var pool: PacketPool
    private let fragments: UnsafeMutablePointer<Fragment>
    private let datagrams: UnsafeMutablePointer<Datagram>
    private let buckets: UnsafeMutablePointer<Int32>
    private let bucketCount: Int
    // Records are taken off the free list, or, as long as it is empty, from those never used.
    private var freeFragment: Int32 = -1
    private var freeDatagram: Int32 = -1
    private var usedFragments = 0
    private var usedDatagrams = 0
    private var oldest: Int32 = -1
    private var newest: Int32 = -1

    init(limits: FragmentLimits, capacity: Int, seed: UInt64) {
        self.limits = limits
        self.capacity = max(1, capacity)
        self.seed = seed
        pool = PacketPool(small: self.capacity, large: min(256, self.capacity))
        fragments = .allocate(capacity: self.capacity)
        datagrams = .allocate(capacity: self.capacity)
        var count = 16
        while count < self.capacity { count *= 2 }
        bucketCount = count
        buckets = .allocate(capacity: count)
        buckets.initialize(repeating: -1, count: count)
    }

    deinit {
        fragments.deallocate()
        datagrams.deallocate()
        buckets.deallocate()
    }

    // MARK: - Coming in

    mutating func add(
        _ packet: Packet, _ info: FragmentInfo, zone: UInt16, now: UInt64, pool: inout PacketPool,
        datagram: FragmentedDatagram
    ) -> FragmentOutcome {
        guard info.isIPv6 ? limits.isIPv6Enabled : limits.isIPv4Enabled else { return .invalid }
        guard info.isLast || info.size >= (info.isIPv6 ? limits.minimumIPv6 : limits.minimumIPv4) else {
            statistics.tooSmall.add(1, isIPv6: info.isIPv6)
            return .invalid
        }
        if let fault = info.fault { return .dropped(fault, others: 0) }
        let bucket = self.bucket(info, zone: zone)
        let found = find(info, zone: zone, bucket: bucket)
        let index: Int32
        if found >= 0 {
            index = found
            if let outcome = refuse(packet, info, index) { return outcome }
            if datagrams[Int(index)].received &+ Int32(info.end &- info.start) == total(index, with: info) {
                return complete(index, packet, info, &pool, datagram)
            }
            guard Int(datagrams[Int(index)].count) < limits.maximumPerDatagram &- 1 else {
                statistics.refused.add(1, isIPv6: info.isIPv6)
                return .invalid
            }
        } else {
            index = -1
        }
        guard heldCount < min(limits.maximumFragments, capacity), let copy = self.pool.copy(packet) else {
            statistics.refused.add(1, isIPv6: info.isIPv6)
            return .invalid
        }
        hold(copy, info, in: index >= 0 ? index : begin(info, zone: zone, bucket: bucket, now: now))
        statistics.accepted.add(1, isIPv6: info.isIPv6)
        return .held
    }

    /// Bytes of the datagram's payload, if it is known once `info` is there; else -1.
    private func total(_ index: Int32, with info: FragmentInfo) -> Int32 {
        info.isLast ? Int32(info.end) : datagrams[Int(index)].total
    }

    /// Nil if the fragment fits the datagram.
    private mutating func refuse(_ packet: Packet, _ info: FragmentInfo, _ index: Int32) -> FragmentOutcome? {
        let datagram = datagrams[Int(index)]
        let (start, end) = (Int32(info.start), Int32(info.end))
        var at = datagram.first
        while at >= 0 {
            let fragment = fragments[Int(at)]
            at = fragment.next
            guard fragment.start < end, start < fragment.end else { continue }
            if repeats(packet, info, fragment, datagram) {
                statistics.duplicate.add(1, isIPv6: info.isIPv6)
                return .invalid
            }
            statistics.overlapping.add(1, isIPv6: info.isIPv6)
            // RFC 8200, section 4.5 (RFC 5722): nothing of the datagram is to be trusted.
            return info.isIPv6 ? .dropped(.fragmentOverlap, others: abandon(index)) : .invalid
        }
        // Two ends, or something behind the end: nothing of it can be trusted.
        let contradicts =
            info.isLast ? datagram.total >= 0 || datagram.highest > end : datagram.total >= 0 && end > datagram.total
        return contradicts ? .dropped(.fragmentMalformed, others: abandon(index)) : nil
    }

    /// Whether it says the very same as one that is held.
    private func repeats(_ packet: Packet, _ info: FragmentInfo, _ held: Fragment, _ datagram: Datagram) -> Bool {
        guard held.start == Int32(info.start), held.end == Int32(info.end), info.isLast == (datagram.total == held.end)
        else { return false }
        let count = info.end &- info.start
        return UnsafeRawBufferPointer(start: packet.pointee.data + info.payload, count: count).elementsEqual(
            UnsafeRawBufferPointer(start: held.packet.pointee.data + Int(held.payload), count: count))
    }

    private mutating func begin(
        _ info: FragmentInfo, zone: UInt16, bucket: UInt32, now: UInt64
    ) -> Int32 {
        let index: Int32
        if freeDatagram >= 0 {
            index = freeDatagram
            freeDatagram = datagrams[Int(index)].next
        } else {
            index = Int32(usedDatagrams)
            usedDatagrams &+= 1
        }
        (datagrams + Int(index)).initialize(
            to: Datagram(
                src: info.src, dst: info.dst, origin: info.origin, identification: info.identification, zone: zone,
                ipProtocol: info.ipProtocol, isIPv6: info.isIPv6, bucket: bucket, first: -1, count: 0, received: 0,
                highest: 0, total: -1, next: buckets[Int(bucket)], older: newest, newer: -1,
                deadline: now &+ limits.timeout))
        buckets[Int(bucket)] = index
        if newest >= 0 { datagrams[Int(newest)].newer = index } else { oldest = index }
        newest = index
        return index
    }

    private mutating func hold(_ packet: Packet, _ info: FragmentInfo, in index: Int32) {
        let node: Int32
        if freeFragment >= 0 {
            node = freeFragment
            freeFragment = fragments[Int(node)].next
        } else {
            node = Int32(usedFragments)
            usedFragments &+= 1
        }
        let record = datagrams + Int(index)
        var before: Int32 = -1
        var after = record.pointee.first
        while after >= 0, fragments[Int(after)].start < Int32(info.start) {
            before = after
            after = fragments[Int(after)].next
        }
        (fragments + Int(node)).initialize(
            to: Fragment(
                packet: packet, start: Int32(info.start), end: Int32(info.end), payload: Int32(info.payload),
                next: after))
        if before >= 0 { fragments[Int(before)].next = node } else { record.pointee.first = node }
        record.pointee.count &+= 1
        record.pointee.received &+= Int32(info.end &- info.start)
        record.pointee.highest = max(record.pointee.highest, Int32(info.end))
        if info.isLast { record.pointee.total = Int32(info.end) }
        heldCount &+= 1
    }

    // MARK: - Going out

    /// All of the datagram is there, with `packet`: hands it over in buffers of the worker's pool.
    private mutating func complete(
        _ index: Int32, _ packet: Packet, _ info: FragmentInfo, _ pool: inout PacketPool, _ datagram: FragmentedDatagram
    ) -> FragmentOutcome {
        let lacking = handOver(index, packet, info, &pool, datagram)
        let count = abandon(index)
        if lacking {
            giveBack(datagram, except: packet, &pool)
            return .dropped(.noBuffer, others: count)
        }
        guard datagram.assemble(isIPv6: info.isIPv6) else {
            giveBack(datagram, except: packet, &pool)
            return .dropped(.fragmentTooLong, others: count)
        }
        statistics.accepted.add(1, isIPv6: info.isIPv6)
        statistics.completed.add(datagram.count, isIPv6: info.isIPv6)
        statistics.datagrams &+= 1
        return .complete
    }

    /// Whether there were too few buffers.
    private func handOver(
        _ index: Int32, _ packet: Packet, _ info: FragmentInfo, _ pool: inout PacketPool, _ datagram: FragmentedDatagram
    ) -> Bool {
        var isPlaced = false
        var at = datagrams[Int(index)].first
        while at >= 0 {
            let fragment = fragments[Int(at)]
            if !isPlaced, fragment.start > Int32(info.start) {
                datagram.append(packet, payload: info.payload, length: info.end &- info.start)
                isPlaced = true
            }
            guard !datagram.isFull, let copy = pool.copy(fragment.packet) else { return true }
            datagram.append(copy, payload: Int(fragment.payload), length: Int(fragment.end &- fragment.start))
            at = fragment.next
        }
        guard !isPlaced else { return false }
        guard !datagram.isFull else { return true }
        datagram.append(packet, payload: info.payload, length: info.end &- info.start)
        return false
    }

    private func giveBack(_ datagram: FragmentedDatagram, except packet: Packet, _ pool: inout PacketPool) {
        for i in 0..<datagram.count where datagram.fragments[i] != packet { pool.free(datagram.fragments[i]) }
        datagram.reset()
    }

    /// Forgets a datagram and frees its frames; how many there were.
    private mutating func abandon(_ index: Int32) -> Int {
        let datagram = datagrams[Int(index)]
        var at = datagram.first
        while at >= 0 {
            let fragment = fragments[Int(at)]
            pool.free(fragment.packet)
            fragments[Int(at)].next = freeFragment
            freeFragment = at
            at = fragment.next
        }
        heldCount &-= Int(datagram.count)
        unlink(index)
        datagrams[Int(index)].next = freeDatagram
        freeDatagram = index
        return Int(datagram.count)
    }

    private mutating func unlink(_ index: Int32) {
        let datagram = datagrams[Int(index)]
        if datagram.older >= 0 {
            datagrams[Int(datagram.older)].newer = datagram.newer
        } else {
            oldest = datagram.newer
        }
        if datagram.newer >= 0 {
            datagrams[Int(datagram.newer)].older = datagram.older
        } else {
            newest = datagram.older
        }
        let bucket = Int(datagram.bucket)
        if buckets[bucket] == index {
            buckets[bucket] = datagram.next
            return
        }
        var at = buckets[bucket]
        while at >= 0 {
            if datagrams[Int(at)].next == index {
                datagrams[Int(at)].next = datagram.next
                return
            }
            at = datagrams[Int(at)].next
        }
    }

    mutating func expire(now: UInt64, limit: Int) -> Int {
        var frames = 0
        var done = 0
        while oldest >= 0, done < limit, now > datagrams[Int(oldest)].deadline {
            let isIPv6 = datagrams[Int(oldest)].isIPv6
            let count = abandon(oldest)
            statistics.expired.add(count, isIPv6: isIPv6)
            frames &+= count
            done &+= 1
        }
        return frames
    }

    // MARK: - Finding

    private func bucket(_ info: FragmentInfo, zone: UInt16) -> UInt32 {
        var h = seed
        func add(_ word: UInt64) {
            h = (h ^ word) &* 0xbf58_476d_1ce4_e5b9
            h ^= h &>> 29
        }
        add(UInt64(truncatingIfNeeded: info.src))
        add(UInt64(truncatingIfNeeded: info.src &>> 64))
        add(UInt64(truncatingIfNeeded: info.dst))
        add(UInt64(truncatingIfNeeded: info.dst &>> 64))
        add(info.origin.place)
        add(info.origin.vlans)
        add(
            UInt64(info.identification) &<< 32 | UInt64(zone) &<< 16 | UInt64(info.ipProtocol) &<< 8
                | (info.isIPv6 ? 1 : 0))
        return UInt32(truncatingIfNeeded: (h &>> 32) & UInt64(bucketCount &- 1))
    }

    private func find(_ info: FragmentInfo, zone: UInt16, bucket: UInt32) -> Int32 {
        var at = buckets[Int(bucket)]
        while at >= 0 {
            let datagram = datagrams + Int(at)
            if datagram.pointee.identification == info.identification, datagram.pointee.src == info.src,
                datagram.pointee.dst == info.dst, datagram.pointee.zone == zone, datagram.pointee.origin == info.origin,
                datagram.pointee.ipProtocol == info.ipProtocol, datagram.pointee.isIPv6 == info.isIPv6
            {
                return at
            }
            at = datagram.pointee.next
        }
        return -1
    }
}
