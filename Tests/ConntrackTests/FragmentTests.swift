import Base
import Conntrack
import Flow
import FrameSupport
import Memory
import Testing

@Suite struct FragmentTests {
    @Test func framesThatAreNoFragments() {
        let bench = FragmentBench()
        var forge = TupleForge(seed: 1)
        for isIPv6 in [false, true] {
            let tuple = forge.tuple(isIPv6: isIPv6, 17)
            let frame = TupleForge.frame(tuple, TupleForge.message(tuple, [1, 2, 3]), plain: false)
            #expect(bench.submit(frame) == .notFragment)
        }
        #expect(bench.submit(ethernet(type: 0x0806, arp(operation: 1, spa: 1, tpa: 2))) == .notFragment)
        #expect(bench.submit([UInt8](repeating: 0, count: 14)) == .notFragment)
        // A fragment header that cuts nothing off (RFC 6946).
        let atomic = ipv6(1, 2, nextHeader: 44, [17, 0, 0, 0] + be32(7) + udp(.v6(1, 2), 5, 6))
        #expect(bench.submit(ethernet(type: 0x86dd, atomic)) == .notFragment)
    }

    /// Any order of arrival: the whole is the datagram, the fragments go out as they came, in order of offset.
    @Test(arguments: [false, true]) func wholeInAnyOrder(isIPv6: Bool) throws {
        var forge = FragmentForge(seed: isIPv6 ? 41 : 42)
        for _ in 0..<150 {
            let bench = FragmentBench()
            let datagram = forge.datagram(isIPv6: isIPv6, bytes: 1500 + forge.random.below(20000))
            let tagged = forge.random.oneIn(3)
            let frames = forge.ranges(datagram).map {
                FragmentForge.fragment(datagram, $0, tags: tagged ? [FrameSupport.Tag(9)] : [])
            }
            var order = Array(frames.indices)
            order.shuffle(using: &forge.random)
            bench.inspect = { packet in
                #expect(packet.pointee.isTracked)
                #expect(packet.pointee.connection == 77)
                #expect(packet.pointee.tracking[3] == 5)
                #expect(packet.pointee.inPort == PortIndex(1))
            }
            bench.track = { whole in
                whole.pointee.isTracked = true
                whole.pointee.connection = 77
                whole.pointee.tracking = InlineArray(repeating: 5)
            }
            for (n, i) in order.enumerated() {
                let outcome = bench.submit(frames[i])
                #expect(outcome == (n == order.count - 1 ? .complete : .held))
            }
            #expect(bench.sent == frames)
            let whole = try #require(bench.wholes.first)
            #expect(whole == Self.unfragmented(datagram, tagged: tagged))
            #expect(bench.reassembler.held == 0)
        }
    }

    /// What the whole has to be: in IPv6 with a fragment header that says nothing.
    static func unfragmented(_ datagram: FragmentForge.Datagram, tagged: Bool) -> [UInt8] {
        FragmentForge.fragment(
            datagram, 0..<datagram.message.count, more: false, tags: tagged ? [FrameSupport.Tag(9)] : [])
    }

    /// Addresses of all fragments and the transport header of the first are translated, with right checksums.
    @Test(arguments: [false, true]) func translation(isIPv6: Bool) {
        var forge = FragmentForge(seed: 43)
        var tuples = TupleForge(seed: 44)
        for _ in 0..<100 {
            let bench = FragmentBench()
            let datagram = forge.datagram(isIPv6: isIPv6, bytes: 3000 + forge.random.below(3000))
            var translated = datagram
            translated.tuple = tuples.tuple(isIPv6: isIPv6, 17)
            translated.message = TupleForge.message(translated.tuple, Array(datagram.message[8...]))
            bench.track = { $0.translate(to: translated.tuple) }
            let ranges = forge.ranges(datagram)
            for range in ranges.reversed() { bench.submit(FragmentForge.fragment(datagram, range)) }
            #expect(bench.wholes == [Self.unfragmented(translated, tagged: false)])
            #expect(bench.sent == ranges.map { FragmentForge.fragment(translated, $0) })
        }
    }

    /// Nobody but who sent the first fragment can send the last one.
    @Test(arguments: [false, true]) func whatIsApart(isIPv6: Bool) {
        var forge = FragmentForge(seed: 45)
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: 2000)
        let first = FragmentForge.fragment(datagram, 0..<1400)
        let last = FragmentForge.fragment(datagram, 1400..<2000)
        let tagged = FragmentForge.fragment(datagram, 1400..<2000, tags: [FrameSupport.Tag(9)])
        let twice = FragmentForge.fragment(
            datagram, 1400..<2000, tags: [FrameSupport.Tag(9, tpid: 0x88a8), FrameSupport.Tag(1)])
        let bench = FragmentBench()
        #expect(bench.submit(first) == .held)
        #expect(bench.submit(last, zone: 2) == .held)
        #expect(bench.submit(last, frozen: 8) == .held)
        #expect(bench.submit(last, port: 2) == .held)
        #expect(bench.submit(tagged) == .held)
        #expect(bench.submit(twice) == .held)
        var other = datagram
        other.identification ^= 1
        #expect(bench.submit(FragmentForge.fragment(other, 1400..<2000)) == .held)
        other = datagram
        other.tuple.dst ^= 1
        #expect(bench.submit(FragmentForge.fragment(other, 1400..<2000)) == .held)
        #expect(bench.reassembler.held == 8)
        #expect(
            bench.submit(
                FragmentForge.fragment(
                    datagram, 0..<1400, tags: [FrameSupport.Tag(9, tpid: 0x88a8), FrameSupport.Tag(2)])) == .held)
        #expect(bench.submit(last) == .complete)
        #expect(bench.submit(first, zone: 2) == .complete)
        #expect(bench.submit(first, frozen: 8) == .complete)
        #expect(bench.submit(first, port: 2) == .complete)
        #expect(bench.submit(FragmentForge.fragment(datagram, 0..<1400, tags: [FrameSupport.Tag(9)])) == .complete)
        #expect(
            bench.submit(
                FragmentForge.fragment(
                    datagram, 0..<1400, tags: [FrameSupport.Tag(9, tpid: 0x88a8), FrameSupport.Tag(1)])) == .complete)
        #expect(bench.reassembler.held == 3)
    }

    @Test(arguments: [false, true]) func tooSmall(isIPv6: Bool) {
        var forge = FragmentForge(seed: 46)
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: 4000)
        // Bytes of payload of a fragment that is just long enough.
        let enough = isIPv6 ? 1280 - 48 : 1200 - 20 + 4
        let bench = FragmentBench()
        #expect(bench.submit(FragmentForge.fragment(datagram, 0..<(enough & ~7) - 8)) == .invalid)
        #expect(bench.submit(FragmentForge.fragment(datagram, 0..<(enough + 7) & ~7)) == .held)
        #expect(bench.submit(FragmentForge.fragment(datagram, 3992..<4000)) == .held)
        let statistics = bench.reassembler.statistics
        #expect((isIPv6 ? statistics.tooSmall.ipv6 : statistics.tooSmall.ipv4) == 1)
        #expect((isIPv6 ? statistics.accepted.ipv6 : statistics.accepted.ipv4) == 2)
    }

    @Test func damagedIPv4HeaderIsInvalid() {
        var forge = FragmentForge(seed: 47)
        let datagram = forge.datagram(isIPv6: false, bytes: 4000)
        var frame = FragmentForge.fragment(datagram, 0..<1400)
        frame[24] ^= 1
        #expect(FragmentBench().submit(frame) == .invalid)
    }

    @Test(arguments: [false, true]) func duplicates(isIPv6: Bool) {
        var forge = FragmentForge(seed: 48)
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: 2600)
        let bench = FragmentBench()
        let first = FragmentForge.fragment(datagram, 0..<1304)
        #expect(bench.submit(first) == .held)
        #expect(bench.submit(first) == .invalid)
        #expect(bench.submit(FragmentForge.fragment(datagram, 1304..<2600)) == .complete)
        let statistics = bench.reassembler.statistics
        #expect((isIPv6 ? statistics.duplicate.ipv6 : statistics.duplicate.ipv4) == 1)
        #expect(statistics.overlapping == FragmentCount())
    }

    /// What overlaps goes on as invalid, and the datagram waits on; in IPv6 all of it is given up.
    @Test(
        arguments: [0..<1312, 8..<1312, 1296..<2600, 1304..<2608, 0..<2608, 8..<1296, 1312..<2592] as [Range<Int>],
        [false, true])
    func overlaps(range: Range<Int>, isIPv6: Bool) {
        var forge = FragmentForge(seed: 49)
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: 4000)
        let bench = FragmentBench()
        #expect(bench.submit(FragmentForge.fragment(datagram, 0..<1304)) == .held)
        #expect(bench.submit(FragmentForge.fragment(datagram, 1304..<2600)) == .held)
        let outcome = bench.submit(FragmentForge.fragment(datagram, range))
        #expect(outcome == (isIPv6 ? .dropped(.fragmentOverlap, others: 2) : .invalid))
        #expect(bench.reassembler.held == (isIPv6 ? 0 : 2))
        #expect(bench.submit(FragmentForge.fragment(datagram, 2600..<4000)) == (isIPv6 ? .held : .complete))
        let statistics = bench.reassembler.statistics
        #expect((isIPv6 ? statistics.overlapping.ipv6 : statistics.overlapping.ipv4) == 1)
        #expect(statistics.duplicate == FragmentCount())
    }

    /// The same place with other bytes, or with another idea of whether more is to come, is an overlap.
    @Test func whatOnlyLooksLikeADuplicate() {
        var forge = FragmentForge(seed: 59)
        let datagram = forge.datagram(isIPv6: true, bytes: 4000)
        var other = Array(datagram.message[1304..<2600])
        other[700] ^= 1
        for frame in [
            FragmentForge.fragment(datagram, 1304..<2600, payload: other),
            FragmentForge.fragment(datagram, 1304..<2600, more: false),
        ] {
            let bench = FragmentBench()
            #expect(bench.submit(FragmentForge.fragment(datagram, 1304..<2600)) == .held)
            #expect(bench.submit(frame) == .dropped(.fragmentOverlap, others: 1))
        }
    }

    @Test func contradictingEnds() {
        var forge = FragmentForge(seed: 50)
        let datagram = forge.datagram(isIPv6: false, bytes: 6000)
        func pair(_ a: [UInt8], _ b: [UInt8]) -> FragmentOutcome {
            let bench = FragmentBench()
            #expect(bench.submit(a) == .held)
            return bench.submit(b)
        }
        let end = FragmentForge.fragment(datagram, 2000..<3000, more: false)
        let gone = FragmentOutcome.dropped(.fragmentMalformed, others: 1)
        #expect(pair(end, FragmentForge.fragment(datagram, 4000..<5000, more: false)) == gone)
        #expect(pair(end, FragmentForge.fragment(datagram, 800..<1800, more: false)) == gone)
        #expect(pair(end, FragmentForge.fragment(datagram, 4000..<5600)) == gone)
        #expect(pair(FragmentForge.fragment(datagram, 4000..<5600), end) == gone)
    }

    @Test(arguments: [false, true]) func impossibleOnes(isIPv6: Bool) {
        var forge = FragmentForge(seed: 51)
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: 6000)
        let bench = FragmentBench()
        func outcome(_ frame: [UInt8]) -> FragmentOutcome { bench.submit(frame) }
        // Empty; not a multiple of 8; beyond what a length field can say.
        #expect(
            outcome(FragmentForge.fragment(datagram, 800..<800, more: false)) == .dropped(.fragmentMalformed, others: 0)
        )
        #expect(outcome(FragmentForge.fragment(datagram, 0..<1401)) == .dropped(.fragmentMalformed, others: 0))
        #expect(
            outcome(FragmentForge.fragment(datagram, 0..<1400, more: false, offset: 65528))
                == .dropped(.fragmentTooLong, others: 0))
        #expect(bench.reassembler.held == 0)
    }

    /// The greatest datagram goes through; 8 bytes more do not.
    @Test(arguments: [false, true]) func theGreatestDatagram(isIPv6: Bool) {
        var forge = FragmentForge(seed: 52)
        let greatest = isIPv6 ? 65535 - 8 : 65535 - 20
        let datagram = forge.datagram(isIPv6: isIPv6, bytes: greatest)
        let bench = FragmentBench()
        for range in forge.ranges(datagram) { bench.submit(FragmentForge.fragment(datagram, range)) }
        #expect(bench.wholes.count == 1)
        #expect(bench.dropped.isEmpty)
    }

    @Test func limits() {
        var forge = FragmentForge(seed: 53)
        var limits = FragmentLimits()
        limits.maximumFragments = 10
        let bench = FragmentBench(limits: limits)
        var frames: [[UInt8]] = []
        for _ in 0..<12 {
            frames.append(FragmentForge.fragment(forge.datagram(isIPv6: false, bytes: 3000), 0..<1400))
        }
        for frame in frames[..<10] { #expect(bench.submit(frame) == .held) }
        for frame in frames[10...] { #expect(bench.submit(frame) == .invalid) }
        #expect(bench.reassembler.held == 10)
        // Of one datagram.
        limits.maximumFragments = 1000
        limits.maximumPerDatagram = 4
        limits.minimumIPv4 = 400
        let second = FragmentBench(limits: limits)
        let datagram = forge.datagram(isIPv6: false, bytes: 4000)
        for i in 0..<3 { #expect(second.submit(FragmentForge.fragment(datagram, i * 800..<i * 800 + 800)) == .held) }
        #expect(second.submit(FragmentForge.fragment(datagram, 2400..<3200)) == .invalid)
        #expect(FragmentBench(limits: limits, capacity: 2).submit(frames[0]) == .held)
    }

    @Test func switchedOff() {
        var forge = FragmentForge(seed: 54)
        var limits = FragmentLimits()
        limits.isIPv4Enabled = false
        let bench = FragmentBench(limits: limits)
        #expect(
            bench.submit(FragmentForge.fragment(forge.datagram(isIPv6: false, bytes: 3000), 0..<1400)) == .invalid)
        #expect(bench.submit(FragmentForge.fragment(forge.datagram(isIPv6: true, bytes: 3000), 0..<1400)) == .held)
    }

    @Test func expiry() {
        var forge = FragmentForge(seed: 55)
        var limits = FragmentLimits()
        limits.timeout = 15_000
        let bench = FragmentBench(limits: limits)
        for i in 0..<10 as Range<UInt64> {
            let datagram = forge.datagram(isIPv6: i % 2 == 0, bytes: 4000)
            bench.submit(FragmentForge.fragment(datagram, 0..<1400), now: i * 1000)
            bench.submit(FragmentForge.fragment(datagram, 2400..<4000), now: i * 1000 + 500)
        }
        bench.expire(now: 15000)
        #expect(bench.reassembler.held == 20)
        bench.expire(now: 15001)
        #expect(bench.reassembler.held == 18)
        bench.expire(now: 20000)
        #expect(bench.reassembler.held == 10)
        #expect(bench.reassembler.expire(now: 50000, limit: 2) == 4)
        bench.dropped[.fragmentExpired, default: 0] += 4
        #expect(bench.reassembler.expire(now: 50000) == 6)
        #expect(bench.reassembler.held == 0)
        #expect(bench.reassembler.statistics.expired.ipv4 == 10)
    }

    @Test func aWorkerWithoutBuffersLosesTheDatagram() {
        var forge = FragmentForge(seed: 56)
        let bench = FragmentBench(pool: 3)
        let datagram = forge.datagram(isIPv6: false, bytes: 6000)
        let ranges = forge.ranges(datagram)
        for range in ranges.dropLast() { #expect(bench.submit(FragmentForge.fragment(datagram, range)) == .held) }
        #expect(ranges.count > 3)
        let last = bench.submit(FragmentForge.fragment(datagram, ranges[ranges.count - 1]))
        #expect(last == .dropped(.noBuffer, others: ranges.count - 1))
    }

    /// Jumbo fragments take large buffers.
    @Test func jumboFragments() {
        var forge = FragmentForge(seed: 57)
        let datagram = forge.datagram(isIPv6: false, bytes: 30000)
        let bench = FragmentBench()
        let ranges = forge.ranges(datagram, least: 8000, most: 8900)
        for range in ranges { bench.submit(FragmentForge.fragment(datagram, range)) }
        #expect(bench.sent == ranges.map { FragmentForge.fragment(datagram, $0) })
    }

    /// Many datagrams at once, in random order, with duplicates, losses and time passing: what comes out is what went in,
    /// and at the end nothing is left.
    @Test func manyAtOnce() {
        var forge = FragmentForge(seed: 58)
        var limits = FragmentLimits()
        limits.maximumFragments = 60
        let bench = FragmentBench(limits: limits)
        var frames: [[UInt8]] = []
        for i in 0..<600 {
            let datagram = forge.datagram(isIPv6: i % 2 == 0, bytes: 1500 + forge.random.below(6000))
            for range in forge.ranges(datagram) {
                if forge.random.oneIn(20) { continue }
                let frame = FragmentForge.fragment(datagram, range)
                frames.append(frame)
                if forge.random.oneIn(15) { frames.append(frame) }
            }
        }
        for i in frames.indices { frames.swapAt(i, min(frames.count - 1, i + forge.random.below(30))) }
        var now: UInt64 = 0
        for frame in frames {
            now += UInt64(forge.random.below(400))
            bench.expire(now: now)
            bench.submit(frame, now: now)
        }
        bench.expire(now: now + 40000)
        #expect(bench.reassembler.held == 0)
        #expect(bench.reassembler.statistics.datagrams > 300)
        #expect(bench.dropped[.fragmentExpired, default: 0] > 0)
        #expect(bench.sent.allSatisfy(Set(frames).contains))
        #expect(bench.reassembler.statistics.datagrams == UInt64(bench.wholes.count))
    }

    /// Damage anywhere, every length: nothing traps, everything balances.
    @Test func anyFragmentAtAnyLength() {
        var forge = FragmentForge(seed: 59)
        let bench = FragmentBench()
        for round in 0..<60 {
            let isIPv6 = forge.random.oneIn(2)
            let datagram = forge.datagram(isIPv6: isIPv6, bytes: 2700)
            let ranges = forge.ranges(datagram)
            let front = isIPv6 ? 14 + 48 : 14 + 20
            for length in (0..<front + 24).map({ $0 }) + [1400] {
                for range in ranges {
                    var frame = FragmentForge.fragment(datagram, range)
                    if forge.random.oneIn(2) { frame = Array(frame.prefix(length)) }
                    for _ in 0..<forge.random.below(4) where !frame.isEmpty {
                        let at = forge.random.below(min(frame.count, front + 8))
                        frame[at] = UInt8(truncatingIfNeeded: forge.random.next())
                    }
                    if !isIPv6, frame.count >= 34, forge.random.oneIn(2) {
                        frame.replaceSubrange(16..<18, with: be16(UInt16(frame.count - 14)))
                        frame.replaceSubrange(24..<26, with: [0, 0])
                        frame.replaceSubrange(24..<26, with: be16(checksum(Array(frame[14..<34]))))
                    } else if isIPv6, frame.count >= 54, forge.random.oneIn(2) {
                        frame.replaceSubrange(18..<20, with: be16(UInt16(frame.count - 54)))
                    }
                    bench.submit(frame, now: UInt64(round * 300))
                }
            }
            bench.expire(now: UInt64(round * 300))
        }
        // In steps, as workers do.
        for _ in 0..<100 where bench.reassembler.held > 0 { bench.expire(now: 1_000_000) }
        #expect(bench.reassembler.held == 0)
    }

    /// Fragments of one datagram by different workers at once: nothing is lost, nothing comes twice.
    @Test func severalWorkers() async {
        let workers = 4
        let reassembler = FragmentReassembler(seed: 3)
        var forge = FragmentForge(seed: 60)
        var queues = [[[UInt8]]](repeating: [], count: workers)
        var all: Set<[UInt8]> = []
        for i in 0..<200 {
            let datagram = forge.datagram(isIPv6: i % 2 == 0, bytes: 1500 + forge.random.below(6000))
            for range in forge.ranges(datagram) {
                let frame = FragmentForge.fragment(datagram, range)
                all.insert(frame)
                queues[forge.random.below(workers)].append(frame)
            }
        }
        let sent = await withTaskGroup(of: [[UInt8]].self) { group in
            for queue in queues {
                group.addTask {
                    let bench = FragmentBench(sharing: reassembler)
                    for frame in queue { bench.submit(frame) }
                    #expect(bench.dropped.isEmpty)
                    #expect(bench.pool.inUse == 0)
                    return bench.sent
                }
            }
            return await group.reduce(into: [[UInt8]]()) { $0 += $1 }
        }
        #expect(sent.count == all.count)
        #expect(Set(sent) == all)
        #expect(reassembler.held == 0)
    }
}
