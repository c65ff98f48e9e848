import Base
import CLinux
import Conntrack
import Foundation
import FrameSupport
import Memory
import Testing

/// Cycles of one `track`. Not a test of anything but on request: `WEFT_BENCHMARK=1 swift test -c release --filter TrackerSpeed`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["WEFT_BENCHMARK"] != nil), .serialized)
struct TrackerSpeedTests {
    /// `count` established connections; each burst takes 32 packets, of both directions in turn.
    func measure(_ count: Int, _ title: String, _ frame: (Int, Bool) -> [UInt8]) {
        var configuration = TrackerConfiguration(seed: 3)
        configuration.limit = 4_000_000
        let tracker = ConnectionTracker(configuration, workers: 1)
        let bench = TrackerBench(sharing: tracker, worker: 0)
        // Enough buffers to be no less cold than the frames of a port's ring.
        bench.pool = PacketPool(small: 2048, large: 1)
        var request = TrackRequest()
        request.commits = true
        let start = weft_cycles()
        for i in 0..<count { _ = bench.outcome(frame(i, false), request) }
        let setup = Double(weft_cycles() &- start) / Double(count)
        for i in 0..<count { _ = bench.outcome(frame(i, true), request) }
        request.commits = false
        let order = (0..<1 << 15).map { _ in Int.random(in: 0..<count) }
        let frames = order.map { frame($0, $0 % 2 == 0) }
        let packets = (0..<32).map { _ in bench.packet(frames[0]) }
        var memories = [TrackerBench.Memory?](repeating: nil, count: frames.count)
        let prefetcher = tracker.prefetcher
        let ipProtocol: UInt8 = title.hasPrefix("TCP") ? 6 : 17
        var best = [Double](repeating: .infinity, count: 2)
        for round in 0..<8 {
            let mode = round % 2
            var bursts: [UInt64] = []
            for burst in 0..<frames.count / 32 {
                for (i, packet) in packets.enumerated() {
                    frames[burst * 32 + i].withUnsafeBytes {
                        packet.pointee.data.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
                    }
                    packet.pointee.isTracked = false
                }
                let begin = weft_cycles()
                if mode == 1 {
                    for i in 0..<32 {
                        guard let memory = memories[burst * 32 + i] else { continue }
                        prefetcher.prefetch(memory.guardWord, memory.isTCP ? .peers : [])
                    }
                    for i in 0..<32 {
                        guard var memory = memories[burst * 32 + i] else { continue }
                        _ = tracker.admit(
                            packets[i], &memory.guardWord, &memory.passage, count: 1, meetings: 1,
                            isTCP: memory.isTCP, now: bench.now)
                    }
                } else {
                    for i in 0..<32 { _ = tracker.track(packets[i], &request, now: bench.now, worker: 0) }
                }
                bursts.append(weft_cycles() &- begin)
                for i in 0..<32 where mode == 0 {
                    memories[burst * 32 + i] = TrackerBench.memory(packets[i], ipProtocol: ipProtocol)
                }
                tracker.quiescent(worker: 0)
            }
            // The median, since other programs interrupt some bursts.
            best[mode] = min(best[mode], Double(bursts.sorted()[bursts.count / 2]) / 32)
        }
        let figures = best.map { String(format: "%.0f", $0) }
        print("\(title) \(count): track \(figures[0]), remembered \(figures[1]);", terminator: " ")
        print("new \(Int(setup)) with the frame made; \(tracker.memoryUsed / count) bytes")
    }

    /// What a packet costs that begins a connection: looked up, and then committed.
    @Test func beginning() {
        for translates in [false, true] {
            var configuration = TrackerConfiguration(seed: 3)
            configuration.limit = 4_000_000
            let tracker = ConnectionTracker(configuration, workers: 1)
            let bench = TrackerBench(sharing: tracker, worker: 0)
            var request = TrackRequest()
            if translates {
                request.translates = true
                request.kind = .source
                request.hasAddresses = true
                request.firstAddress = 0x0a63_0001
                request.lastAddress = 0x0a63_00ff
            }
            let packet = bench.packet(udpFrame())
            packet.pointee.offload.checksumValid = true
            var samples: [UInt64] = []
            for i in 0..<200_000 {
                packet.pointee.data.store32(0x0b00_0000 + UInt32(i), 26)
                packet.pointee.data.store32(bob, 30)
                packet.pointee.data.store16(0, 24)
                packet.pointee.data.store16(checksum(Array(bytes(packet)[14..<34])), 24)
                packet.pointee.data.store16(UInt16(1024 + i * 7919 % 60_000), 34)
                packet.pointee.isTracked = false
                let begin = weft_cycles()
                request.commits = false
                _ = tracker.track(packet, &request, now: bench.now, worker: 0)
                request.commits = true
                _ = tracker.track(packet, &request, now: bench.now, worker: 0)
                samples.append(weft_cycles() &- begin)
                tracker.quiescent(worker: 0)
                if i % 1000 == 0 { tracker.upkeep(now: bench.now) }
            }
            let middle = samples.sorted()[samples.count / 2]
            print("UDP, \(translates ? "translated" : "plain"), new: \(middle) cycles for both; \(tracker.count) made")
        }
    }

    @Test func established() {
        for count in [1, 1000, 10_000, 100_000, 1_000_000] {
            measure(count, "UDP") { i, isReply in
                let host = 0x0b00_0000 + UInt32(i)
                return isReply ? udpFrame(bob, host, 53, 1000) : udpFrame(host, bob, 1000, 53)
            }
        }
        for count in [1000, 100_000] {
            measure(count, "TCP") { i, isReply in
                var segment = Segment(flags: 0x10, seq: 1000, ack: 1000)
                let host = 0x0b00_0000 + UInt32(i)
                if isReply {
                    (segment.src, segment.dst, segment.sport, segment.dport) = (bob, host, 80, 3000)
                } else {
                    segment.src = host
                }
                return segment.frame
            }
        }
    }
}
