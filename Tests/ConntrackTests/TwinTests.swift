import Conntrack
import FrameSupport
import Memory
import Testing

/// A tracker that is as plain as can be: every connection in one array, searched from end to end.
struct PlainTracker {
    struct Name: Equatable {
        var src: UInt32
        var dst: UInt32
        var ipProtocol: UInt8
        /// Ports; of a query its identifier, then its type.
        var sport: UInt16
        var dport: UInt16
        var zone: UInt16

        var reversed: Name {
            var other = self
            (other.src, other.dst) = (dst, src)
            if ipProtocol == 1 { other.dport = dport == 8 ? 0 : 8 } else { (other.sport, other.dport) = (dport, sport) }
            return other
        }
    }

    struct Entry {
        var name: Name
        var isAnswered = false
        var mark: UInt32 = 0
        var expiry: UInt64
    }

    var entries: [Entry] = []

    struct Answer: Equatable {
        var state: String
        var mark: UInt32
        var original: Name
    }

    mutating func track(_ name: Name, _ request: TrackRequest, now: UInt64) -> Answer {
        entries.removeAll { now >= $0.expiry }
        var place = entries.firstIndex { $0.name == name || $0.name.reversed == name }
        if let found = place, request.forces, entries[found].name != name {
            entries.remove(at: found)
            place = nil
        }
        guard let place else { return begin(name, request, now) }
        let isReply = entries[place].name != name
        if isReply { entries[place].isAnswered = true }
        let isAnswered = entries[place].isAnswered
        // icmp_reply and udp_multiple; icmp_first and udp_single.
        entries[place].expiry = now + (isAnswered ? 30_000 : 60_000)
        mark(place, request)
        let state = isAnswered ? isReply ? "est|rpl|trk" : "est|trk" : "new|trk"
        return Answer(state: state, mark: entries[place].mark, original: entries[place].name)
    }

    private mutating func begin(_ name: Name, _ request: TrackRequest, _ now: UInt64) -> Answer {
        if name.ipProtocol == 1, name.dport != 8 { return Answer(state: "inv|trk", mark: 0, original: name) }
        guard request.commits else { return Answer(state: "new|trk", mark: 0, original: name) }
        entries.append(Entry(name: name, expiry: now + 60_000))
        mark(entries.count - 1, request)
        return Answer(state: "new|trk", mark: entries[entries.count - 1].mark, original: name)
    }

    private mutating func mark(_ place: Int, _ request: TrackRequest) {
        entries[place].mark = entries[place].mark & ~request.markMask | request.mark & request.markMask
    }

    func dump(now: UInt64) -> [String] {
        entries.filter { now < $0.expiry }.map { entry in
            func text(_ name: Name) -> String {
                func address(_ a: UInt32) -> String { "\(a >> 24).\(a >> 16 & 255).\(a >> 8 & 255).\(a & 255)" }
                let addresses = "src=\(address(name.src)),dst=\(address(name.dst))"
                return name.ipProtocol == 1
                    ? addresses + ",id=\(name.sport),type=\(name.dport),code=0"
                    : addresses + ",sport=\(name.sport),dport=\(name.dport)"
            }
            let title = [1: "icmp", 17: "udp", 132: "sctp"][entry.name.ipProtocol] ?? "\(entry.name.ipProtocol)"
            return "\(title),orig=(\(text(entry.name))),reply=(\(text(entry.name.reversed)))"
                + (entry.name.zone == 0 ? "" : ",zone=\(entry.name.zone)")
                + (entry.mark == 0 ? "" : ",mark=\(entry.mark)")
        }.sorted()
    }
}

@Suite struct TwinTests {
    func name(_ random: inout SeededRandom) -> PlainTracker.Name {
        let hosts = (0..<4).map { UInt32(0x0a00_0001 + $0) }
        let ipProtocol: UInt8 = random.pick([1, 17, 17, 17, 132, 47])
        var name = PlainTracker.Name(
            src: random.pick(hosts), dst: random.pick(hosts), ipProtocol: ipProtocol, sport: 0, dport: 0,
            zone: UInt16(random.below(3)))
        if ipProtocol == 17 {
            name.sport = UInt16(1 + random.below(3))
            name.dport = UInt16(1 + random.below(3))
        } else if ipProtocol == 1 {
            name.sport = UInt16(random.below(2))
            name.dport = random.pick([0, 8])
        }
        return name
    }

    func frame(_ name: PlainTracker.Name) -> [UInt8] {
        switch name.ipProtocol {
        case 17: udpFrame(name.src, name.dst, name.sport, name.dport)
        case 1: pingFrame(name.src, name.dst, type: UInt8(name.dport), id: name.sport)
        default: ethernet(type: 0x800, ipv4(name.src, name.dst, ipProtocol: name.ipProtocol, [1, 2, 3, 4]))
        }
    }

    func request(_ random: inout SeededRandom, zone: UInt16) -> TrackRequest {
        var request = TrackRequest()
        request.zone = zone
        request.commits = random.oneIn(2)
        request.forces = request.commits && random.oneIn(5)
        if request.commits, random.oneIn(3) {
            request.mark = random.bits32()
            request.markMask = random.bits32() & random.bits32()
        }
        return request
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>) func randomTraffic(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let bench = TrackerBench()
        var plain = PlainTracker()
        for round in 0..<20_000 {
            if random.oneIn(10) { bench.now += UInt64(random.below(random.pick([10, 1000, 40_000]))) }
            if random.oneIn(50) { bench.settle() }
            if random.oneIn(1000) {
                let zone = UInt16(random.below(3))
                plain.entries.removeAll { $0.name.zone == zone }
                bench.tracker.flush(zone: zone)
            }
            let name = name(&random)
            let request = request(&random, zone: name.zone)
            let expected = plain.track(name, request, now: bench.now)
            let outcome = bench.outcome(frame(name), request)
            #expect(outcome.text == expected.state && outcome.mark == expected.mark, "round \(round)")
            let original = UInt64(expected.original.src) << 32 | UInt64(expected.original.dst)
            #expect(outcome.tuple[0] == original)
            if outcome.text != expected.state { return }
        }
        bench.settle()
        #expect(bench.dump() == plain.dump(now: bench.now))
        #expect(bench.tracker.count >= plain.entries.count)
    }

    /// The same packets, once looked up and once by what is remembered of the one before: the same outcome, and the same
    /// table after it.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func rememberedTraffic(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let looking = TrackerBench()
        let remembering = TrackerBench()
        // A session knows the actions of its path; here they are few, so that some come again. Marks are set now and then
        // only: while they change, nothing can be relied on.
        var committing = TrackRequest()
        committing.commits = true
        let requests = (0..<3).map { _ in request(&random, zone: 0) } + [TrackRequest(), committing]
        var memories: [[UInt64]: TrackerBench.Memory] = [:]
        for _ in 0..<20_000 {
            let name = name(&random)
            let frame = frame(name)
            let choice = random.oneIn(50) ? random.below(3) : 3 + random.below(2)
            var request = requests[choice]
            request.zone = name.zone
            if random.oneIn(20) {
                looking.now += UInt64(random.below(random.pick([100, 1000, 10_000])))
                remembering.now = looking.now
            }
            let expected = looking.outcome(frame, request)
            let key = TrackerBench.names(frame) + [UInt64(name.zone), UInt64(choice)]
            let packet = remembering.packet(frame)
            if let memory = memories[key], remembering.admit(packet, memory) {
                packet.pointee.guardWord = memory.guardWord
            } else {
                _ = remembering.tracker.track(packet, &request, now: remembering.now, worker: 0)
                memories[key] = TrackerBench.memory(packet, ipProtocol: name.ipProtocol)
            }
            let outcome = TrackerBench.outcome(packet)
            #expect(
                outcome.state == expected.state && outcome.mark == expected.mark && outcome.tuple == expected.tuple)
            remembering.pool.free(packet)
        }
        #expect(looking.dump(zone: nil, .statistics) == remembering.dump(zone: nil, .statistics))
        #expect(remembering.tracker.total(.resumed) > 400)
    }
}
