import Conntrack
import Foundation
import FrameSupport
import Memory
import Testing

/// Conversations recorded from Open vSwitch 3.1: each packet went through `ct`, and new ones of port 1 were committed.
@Suite struct RecordedTests {
    struct Recording {
        var name = ""
        var zone: UInt16 = 0
        var packets: [(time: UInt64, port: Substring, frame: [UInt8], state: UInt64)] = []
        var dump: [String] = []
    }

    static func recordings() throws -> [Recording] {
        let file = try #require(Bundle.module.url(forResource: "Resources/recorded", withExtension: "tsv"))
        var result: [Recording] = []
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let parts = line.split(separator: "\t")
            switch parts[0] {
            case "case": result.append(Recording(name: String(parts[1]), zone: UInt16(parts[2]) ?? 0))
            case "packet":
                let frame = hex(String(parts[3]))
                result[result.count - 1].packets.append(
                    (UInt64(parts[1]) ?? 0, parts[2], frame, UInt64(parts[4]) ?? 0))
            default: result[result.count - 1].dump.append(String(parts[1]))
            }
        }
        return result
    }

    @Test func everyPacketIsFoundToBeWhatItWas() throws {
        let recordings = try Self.recordings()
        #expect(recordings.count > 10)
        for recording in recordings {
            let bench = TrackerBench()
            let start = bench.now
            for (number, packet) in recording.packets.enumerated() {
                bench.now = start + packet.time
                var request = TrackRequest()
                request.zone = recording.zone
                let outcome = bench.outcome(packet.frame, request)
                #expect(outcome.state == packet.state, "\(recording.name), packet \(number): \(outcome.text)")
                guard packet.port == "p1", packet.state & 0x15 == 1 else { continue }
                request.commits = true
                _ = bench.outcomes(packet.frame, [request])
            }
            #expect(bench.dump() == recording.dump.sorted(), "\(recording.name)")
        }
    }

    /// The same by what is remembered of the packet before in place of a lookup, wherever that holds.
    @Test func aRememberedPacketIsFoundToBeTheSame() throws {
        for recording in try Self.recordings() {
            let bench = TrackerBench()
            let start = bench.now
            var memories: [[UInt64]: TrackerBench.Memory] = [:]
            for (number, recorded) in recording.packets.enumerated() {
                bench.now = start + recorded.time
                var request = TrackRequest()
                request.zone = recording.zone
                let packet = bench.packet(recorded.frame)
                let key = TrackerBench.names(recorded.frame)
                var state: UInt64?
                if let memory = memories[key], bench.admit(packet, memory) {
                    state = TrackerBench.outcome(packet).state
                }
                if state == nil {
                    _ = bench.tracker.track(packet, &request, now: bench.now, worker: 0)
                    state = TrackerBench.outcome(packet).state
                    memories[key] = TrackerBench.memory(packet, ipProtocol: UInt8(truncatingIfNeeded: key[2] >> 56))
                }
                #expect(state == recorded.state, "\(recording.name), packet \(number)")
                if recorded.port == "p1", recorded.state & 0x15 == 1 {
                    request.commits = true
                    _ = bench.tracker.track(packet, &request, now: bench.now, worker: 0)
                }
                bench.pool.free(packet)
            }
            #expect(bench.dump() == recording.dump.sorted(), "\(recording.name)")
        }
    }
}
