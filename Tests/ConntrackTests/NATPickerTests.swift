import Conntrack
import FrameSupport
import Synchronization
import Testing

/// A set of tuples in use.
struct TakenTuples: TupleProbe {
    var tuples: [ConnectionTuple] = []
    /// Everything but these counts as taken, if not empty.
    var onlyFree: [ConnectionTuple] = []
    var takesAll = false
    var probes = 0

    mutating func isTaken(_ tuple: ConnectionTuple) -> Bool {
        probes += 1
        if !onlyFree.isEmpty { return !onlyFree.contains(tuple) }
        return takesAll || tuples.contains(tuple)
    }
}

@Suite struct NATPickerTests {
    let counters = NATCounters()
    let udp = ConnectionTuple(
        src: 0x0a00_0001, dst: 0x0a00_0002, isIPv6: false, ipProtocol: 17, sourcePort: 3000, destinationPort: 53,
        zone: 7)

    func picker(_ basis: UInt64 = 1) -> NATPicker { NATPicker(basis: basis, seed: 99, counters: counters) }

    func request(
        _ kind: NATKind, _ addresses: ClosedRange<UInt128>? = nil, _ ports: ClosedRange<UInt16>? = nil,
        isIPv6: Bool = false, _ selection: NATSelection = .automatic, persistent: Bool = false
    ) -> TrackRequest {
        var request = TrackRequest()
        request.commits = true
        request.translates = true
        request.kind = kind
        request.isIPv6 = isIPv6
        if let addresses {
            request.hasAddresses = true
            request.firstAddress = addresses.lowerBound
            request.lastAddress = addresses.upperBound
        }
        request.firstPort = ports?.lowerBound ?? 0
        request.lastPort = ports?.upperBound ?? 0
        request.selection = selection
        request.isPersistent = persistent
        return request
    }

    func reply(_ original: ConnectionTuple, _ request: TrackRequest, _ taken: [ConnectionTuple] = [])
        -> ConnectionTuple?
    {
        var picker = picker()
        var probe = TakenTuples(tuples: taken)
        return picker.reply(to: original, request, probe: &probe)
    }

    @Test func withoutNATItIsTheReverse() {
        #expect(reply(udp, request(.none)) == udp.reversed)
        #expect(reply(udp, request(.none), [udp.reversed]) == nil)
    }

    @Test func sourceKeepsItsPortIfItIsFree() throws {
        let found = try #require(reply(udp, request(.source, 0x0505_0505...0x0505_0505)))
        var expected = udp.reversed
        expected.dst = 0x0505_0505
        #expect(found == expected)
    }

    @Test(
        arguments: [
            (3000, 3001), (65535, 1024), (1, 2), (511, 1), (512, 600), (599, 600), (1023, 600), (1024, 1025),
        ] as [(UInt16, UInt16)])
    func aTakenPortGivesWayToTheNextOfItsClass(port: UInt16, next: UInt16) throws {
        var original = udp
        original.sourcePort = port
        var taken = original.reversed
        taken.dst = 5
        let found = try #require(reply(original, request(.source, 5...5), [taken]))
        #expect(found.destinationPort == next)
        #expect(found.dst == 5)
    }

    @Test func aGivenPortIsTheOnlyOne() {
        let one = request(.source, 5...5, 7000...7000)
        var taken = udp.reversed
        taken.dst = 5
        taken.destinationPort = 7000
        #expect(reply(udp, one) == taken)
        #expect(reply(udp, one, [taken]) == nil)
        #expect(counters.exhausted.load(ordering: .relaxed) == 1)
        #expect(counters.collisions.load(ordering: .relaxed) == 1)
    }

    @Test func aRangeOfPortsIsUsedUpAndNoOther() {
        let range = request(.source, 5...5, 7000...7009)
        var taken: [ConnectionTuple] = []
        for _ in 0..<10 {
            guard let next = reply(udp, range, taken) else { break }
            #expect((7000...7009).contains(next.destinationPort))
            taken.append(next)
        }
        #expect(Set(taken.map(\.destinationPort)).count == 10)
        #expect(reply(udp, range, taken) == nil)
    }

    @Test func destinationFallsBackToTheSendersPort() throws {
        let range = request(.destination, 9...9, 8080...8081)
        var taken: [ConnectionTuple] = []
        for port: UInt16 in [8080, 8081] {
            var tuple = udp.reversed
            tuple.src = 9
            tuple.sourcePort = port
            taken.append(tuple)
        }
        let found = try #require(reply(udp, range, taken))
        #expect(found.src == 9)
        #expect((8080...8081).contains(found.sourcePort))
        #expect(found.destinationPort == 3001)
    }

    @Test func anAddressOfZeroChangesThePortOnlyIfItIsTaken() throws {
        #expect(reply(udp, request(.source, 0...0)) == udp.reversed)
        let found = try #require(reply(udp, request(.source, 0...0), [udp.reversed]))
        #expect(found.dst == udp.src)
        #expect(found.destinationPort == 3001)
    }

    @Test func addressesSpreadOverTheirRange() throws {
        var random = SeededRandom(seed: 4)
        var counts: [UInt128: Int] = [:]
        let range: ClosedRange<UInt128> = 0x6440_0000...0x6440_0009
        for _ in 0..<2000 {
            var original = udp
            original.src = UInt128(random.bits32())
            original.sourcePort = random.bits16() | 1
            let found = try #require(reply(original, request(.source, range)))
            counts[found.dst, default: 0] += 1
        }
        #expect(counts.count == 10)
        #expect(counts.values.allSatisfy { $0 > 130 && $0 < 280 })
        #expect(counts.keys.allSatisfy(range.contains))
    }

    @Test func wholeIPv6SpaceIsARange() throws {
        var random = SeededRandom(seed: 5)
        let full = request(.source, 1...UInt128.max, isIPv6: true)
        for _ in 0..<1000 {
            let original = ConnectionTuple(
                src: random.bits128(), dst: random.bits128(), isIPv6: true, ipProtocol: 6, sourcePort: 5,
                destinationPort: 6)
            let found = try #require(reply(original, full))
            #expect(found.dst >= 1 && found.dst <= 0xffff_ffff)
        }
    }

    @Test func persistentPairsASenderWithOneAddress() throws {
        let range = request(.source, 100...163, persistent: true)
        var seen: Set<UInt128> = []
        for sender in 0..<64 as Range<UInt128> {
            var addresses: Set<UInt128> = []
            for connection in 1...20 as ClosedRange<UInt16> {
                var original = udp
                original.src = 0x0a00_0000 + sender
                original.sourcePort = connection
                original.dst = UInt128(connection)
                // Another salt, as after a restart.
                var picker = picker(UInt64(connection))
                var probe = TakenTuples()
                addresses.insert(try #require(picker.reply(to: original, range, probe: &probe)).dst)
            }
            #expect(addresses.count == 1)
            seen.formUnion(addresses)
        }
        #expect(seen.count > 30)
    }

    @Test func hashSelectionIgnoresTheMappedPort() throws {
        let range = request(.source, 5...5, 1000...60000, .hash)
        var other = udp
        other.sourcePort = 4000
        #expect(try #require(reply(udp, range)).destinationPort == #require(reply(other, range)).destinationPort)
    }

    @Test func randomSelectionDiffers() throws {
        var picker = picker()
        var probe = TakenTuples()
        let range = request(.source, 5...5, 1000...60000, .random)
        let ports = (0..<20).compactMap { _ in picker.reply(to: udp, range, probe: &probe)?.destinationPort }
        #expect(Set(ports).count > 15)
        #expect(ports.allSatisfy { (1000...60000).contains($0) })
    }

    /// Behind the ports next to their own, senders find others all over their class.
    @Test(arguments: [10_000, 53] as [UInt16]) func manySendersOfOnePortShareAnAddress(port: UInt16) {
        struct TakenPorts: TupleProbe {
            var ports = Set<UInt16>()
            mutating func isTaken(_ tuple: ConnectionTuple) -> Bool { ports.contains(tuple.destinationPort) }
        }
        var picker = picker()
        var probe = TakenPorts()
        let wanted = port < 512 ? 400 : 2_000
        for sender in 0..<wanted {
            var original = udp
            original.src += UInt128(sender)
            original.sourcePort = port
            guard let reply = picker.reply(to: original, request(.source, 0x0a00_00c8...0x0a00_00c8), probe: &probe)
            else {
                continue
            }
            probe.ports.insert(reply.destinationPort)
        }
        #expect(probe.ports.count > wanted * 98 / 100)
        #expect(counters.exhausted.load(ordering: .relaxed) == UInt64(wanted - probe.ports.count))
    }

    /// What is fetched ahead for a new connection is what will be looked up first.
    @Test func theLikelyReplyIsTriedFirst() throws {
        struct First: TupleProbe {
            var tuple: ConnectionTuple?
            mutating func isTaken(_ tuple: ConnectionTuple) -> Bool {
                self.tuple = self.tuple ?? tuple
                return false
            }
        }
        let requests = [
            request(.source, 7...90), request(.source, 5...5, 7000...7100), request(.source, 0...0),
            request(.destination, 9...40, 80...89), request(.destination, 6...6),
            request(.source, 7...90, persistent: true),
            request(.destination, 6...6, 80...99, .hash),
        ]
        for (i, request) in requests.enumerated() {
            for ipProtocol in [17, 6, 1, 132] as [UInt8] {
                var original = udp
                original.ipProtocol = ipProtocol
                if ipProtocol == 1 { original.destinationPort = 8 << 8 }
                var picker = picker()
                let likely = picker.likelyReply(to: original, request)
                var probe = First()
                _ = picker.reply(to: original, request, probe: &probe)
                #expect(likely != nil && likely == probe.tuple, "request \(i), protocol \(ipProtocol)")
            }
        }
        let random = request(.source, 5...5, 7000...7100, .random)
        #expect(picker().likelyReply(to: udp, random) == nil)
    }

    @Test func aReplyIsNeverItsOwnOriginal() throws {
        var own = udp
        own.src = udp.dst
        own.sourcePort = 53
        var base = own.reversed
        base.src = own.src
        var picker = picker()
        var probe = TakenTuples()
        let reply = try #require(
            picker.reply(to: own, base: base, request(.source, own.dst...own.dst), probe: &probe))
        #expect(reply != own)
        #expect(reply.dst == own.dst)
    }

    @Test func anotherAddressIsTriedWhenOneIsFull() throws {
        var picker = picker()
        var free = udp.reversed
        free.dst = 0
        var found: [UInt128] = []
        for address: UInt128 in 50...51 {
            free.dst = address
            var probe = TakenTuples(onlyFree: [free])
            found.append(try #require(picker.reply(to: udp, request(.source, 50...51), probe: &probe)).dst)
        }
        #expect(found == [50, 51])
    }

    @Test func theSearchIsBounded() {
        for request in [
            request(.source, 5...5), request(.destination, 5...900, 1...65535), request(.source, 0...0),
            request(.source, 5...900, 1...65535, .random), request(.source, 5...900, persistent: true),
        ] {
            var picker = picker()
            var probe = TakenTuples(takesAll: true)
            #expect(picker.reply(to: udp, request, probe: &probe) == nil)
            #expect(probe.probes <= 600)
            #expect(probe.probes >= 248)
        }
    }

    @Test func identifiersOfQueriesAreTranslated() throws {
        let echo = ConnectionTuple(
            src: 1, dst: 2, isIPv6: false, ipProtocol: 1, sourcePort: 0xffff, destinationPort: 0x0800)
        var expected = echo.reversed
        expected.dst = 5
        #expect(reply(echo, request(.source, 5...5)) == expected)
        #expect(expected.destinationPort == 0)
        let second = try #require(reply(echo, request(.source, 5...5), [expected]))
        #expect(second.sourcePort == 0)
        // With ports given, there is no falling back: as in Open vSwitch.
        #expect(reply(echo, request(.source, 5...5, 7000...7000)) == expected)
        #expect(reply(echo, request(.source, 5...5, 7000...7000), [expected]) == nil)
    }

    @Test(arguments: [132, 47, 58] as [UInt8]) func otherProtocolsHaveAddressesOnly(ipProtocol: UInt8) {
        let original = ConnectionTuple(src: 1, dst: 2, isIPv6: false, ipProtocol: ipProtocol)
        var expected = original.reversed
        expected.dst = 5
        #expect(reply(original, request(.source, 5...5, 7000...7001)) == expected)
        #expect(reply(original, request(.source, 5...5, 7000...7001), [expected]) == nil)
    }

    @Test func bothEndsInOnePass() throws {
        var picker = picker()
        var probe = TakenTuples()
        let first = try #require(picker.reply(to: udp, request(.destination, 9...9, 8080...8080), probe: &probe))
        let both = try #require(
            picker.reply(to: udp, base: first, request(.source, 5...5, 7000...7000), probe: &probe))
        #expect(
            both
                == ConnectionTuple(
                    src: 9, dst: 5, isIPv6: false, ipProtocol: 17, sourcePort: 8080, destinationPort: 7000, zone: 7))
    }

    @Test func addressesOfTheOtherFamilyAreRefused() {
        #expect(reply(udp, request(.source, 5...5, isIPv6: true)) == nil)
    }

    @Test func reversingTwiceIsTheSame() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<1000 {
            let tuple = ConnectionTuple(
                src: random.bits128(), dst: random.bits128(), isIPv6: random.oneIn(2),
                ipProtocol: random.pick([1, 6, 17, 58, 132]), sourcePort: random.bits16(),
                destinationPort: random.pick([0x0800, 0, 0x0d00, 0x0e00, 0x8000, 0x8100]), zone: random.bits16())
            #expect(tuple.reversed.reversed == tuple)
            #expect(tuple.reversed.zone == tuple.zone)
            #expect(tuple.reversed.src == tuple.dst)
        }
    }
}
