import Base
import Conntrack
import FrameSupport
import Memory
import Testing

/// Frames that lie: nothing traps, nothing outside of the frame is touched, and the answer is one of the states there are.
@Suite struct HostileTests {
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func mutatedFrames(seed: UInt64) {
        var forge = FrameForge(seed: seed)
        let bench = TrackerBench()
        for _ in 0..<5000 {
            let packet = bench.packet(forge.random.oneIn(3) ? forge.frame() : forge.mutatedFrame())
            defer { bench.pool.free(packet) }
            packet.pointee.offload.checksumValid = forge.random.oneIn(2)
            for _ in 0...forge.random.below(3) {
                var request = TrackRequest()
                request.zone = UInt16(forge.random.below(2))
                request.commits = forge.random.oneIn(2)
                request.forces = request.commits && forge.random.oneIn(4)
                request.translates = forge.random.oneIn(2)
                if request.translates, request.commits {
                    request.kind = forge.random.oneIn(2) ? .source : .destination
                    request.hasAddresses = true
                    request.firstAddress = 0x0a00_0000
                    request.lastAddress = 0x0a00_0003
                }
                _ = bench.tracker.track(packet, &request, now: bench.now, worker: 0)
                let word = packet.pointee.tracking[0]
                #expect(packet.pointee.isTracked && word >> 8 & 0x20 != 0)
                #expect(UInt16(truncatingIfNeeded: word >> 16) == request.zone)
                #expect(word >> 8 & 0x10 == 0 || word >> 8 & 0x0f == 0, "invalid is nothing else")
            }
            #expect(surroundingsAreUntouched(packet))
            bench.now += UInt64(forge.random.below(50))
        }
        let total = TrackCounter.allCases.map { bench.tracker.total($0) }
        #expect(total[TrackCounter.invalid.rawValue] > 0 && total[TrackCounter.created.rawValue] > 0)
        bench.tracker.flush()
        #expect(bench.tracker.count == 0)
    }

    /// A session admits just those packets of its key that `ct` would find sound.
    @Test(arguments: 1...4 as ClosedRange<UInt64>) func admittedAreTheSoundOnes(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let bench = TrackerBench()
        let whole = udpFrame(1, 2, 3, 4)
        bench.send(whole)
        bench.send(udpFrame(2, 1, 4, 3))
        let first = bench.packet(whole)
        withUnsafePointer(to: TrackRequest()) { _ = bench.tracker.track(first, $0, now: bench.now, worker: 0) }
        let memory = try #require(TrackerBench.memory(first, ipProtocol: 17))
        let key = TrackerBench.names(whole)
        var counts = [0, 0]
        for _ in 0..<20_000 {
            var frame = whole
            // Header length, lengths, checksums and what they cover; padding behind.
            for _ in 0..<Int(random.next() % 3) {
                let places = [14, 16, 17, 22, 24, 25, 38, 39, 40, 41, frame.count - 1]
                frame[places[Int(random.next() % 11)]] ^= 1 << UInt8(random.next() % 8)
            }
            if random.next() % 4 == 0 { (frame[40], frame[41]) = (0, 0) }
            if random.next() % 4 == 0 { frame += [UInt8](repeating: 0xee, count: Int(random.next() % 9)) }
            if random.next() % 8 == 0 { frame.removeLast(Int(random.next() % 9)) }
            guard TrackerBench.names(frame) == key else { continue }
            let packets = [bench.packet(frame), bench.packet(frame)]
            defer { for packet in packets { bench.pool.free(packet) } }
            let isTrusted = random.next() % 8 == 0
            for packet in packets { packet.pointee.offload.checksumValid = isTrusted }
            withUnsafePointer(to: TrackRequest()) {
                _ = bench.tracker.track(packets[0], $0, now: bench.now, worker: 0)
            }
            let isSound = packets[0].pointee.tracking[0] >> 8 & TrackState.invalid == 0
            #expect(bench.admit(packets[1], memory) == isSound, "\(frame)")
            counts[isSound ? 1 : 0] += 1
        }
        #expect(counts[0] > 500 && counts[1] > 500, "\(counts)")
    }

    /// Guards of connections that have ended, and of others with the same slot.
    @Test func staleGuards() throws {
        let bench = TrackerBench()
        let (there, back) = (udpFrame(1, 2, 3, 4), udpFrame(2, 1, 4, 3))
        bench.send(there)
        let packet = bench.packet(back)
        withUnsafePointer(to: TrackRequest()) {
            _ = bench.tracker.track(packet, $0, now: bench.now, worker: 0)
        }
        let memory = try #require(TrackerBench.memory(packet, ipProtocol: 17))
        func isAdmitted() -> Bool {
            let next = bench.packet(back)
            defer { bench.pool.free(next) }
            return bench.admit(next, memory)
        }
        #expect(isAdmitted())
        bench.tracker.flush()
        #expect(!isAdmitted())
        for port in 1...200 {
            bench.send(udpFrame(1, 2, UInt16(port), 4))
            bench.settle()
            #expect(!isAdmitted())
        }
    }
}
