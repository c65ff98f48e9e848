import Balancer
import Dataplane
import Foundation
import FrameSupport
import Testing

/// # The oracle
///
/// A megaflow answers for all packets that agree with its first one in the masked bits. These tests try to refute that: they
/// translate a frame, then every frame that differs from it in one bit, many that are cut short or changed
/// at random, and frames built for keys in which wildcarded bits are flipped; whatever agrees under the mask has to get
/// the same program, drop reason and credits. Only keys that extraction gives for some frame are tried.
///
/// `WEFT_SEED` chooses other tables and frames. In release builds a run makes some millions of comparisons.
@Suite struct SoundnessTests {
    /// Configurations and frames for each kind of frame.
    static var size: (tables: Int, frames: Int) {
        #if DEBUG
            (3, 4)
        #else
            (24, 14)
        #endif
    }

    static let seed = ProcessInfo.processInfo.environment["WEFT_SEED"].flatMap { Int($0) } ?? 1

    @Test(arguments: FrameClass.allCases) func answersHoldForAllThatTheirMaskCovers(_ kind: FrameClass) throws {
        try check(kind)
    }

    /// Services of the values that frames have, so that packets are to them, from their backends, and close by.
    static let services = [
        "lb/add a vip=10.0.0.1:80 backends=10.0.0.2:80,10.0.1.3:96 apply=br0 answer=arp,echo",
        "lb/add b vip=10.0.0.1:82 backends=10.0.0.2:82 apply=br0,br1 mode=cluster snat=192.168.1.1",
        "lb/add c vip=192.168.1.1:81/udp backends=10.0.1.3:81/02:00:00:00:00:02 apply=p1,p2",
        "lb/add d vip=[::a00:1]:80 backends=[::a00:2]:80 apply=br0 answer=nd",
        "lb/add e vip=[::a00:2]:1000/udp backends=[::a00:1]:1000/02:00:00:00:00:03 apply=p1 mode=dsr answer=nd,echo",
    ].map { $0.split(separator: " ").map(String.init) }

    @Test(arguments: FrameClass.allCases) func answersHoldWithServices(_ kind: FrameClass) throws {
        try check(kind, Self.services)
    }

    private func check(_ kind: FrameClass, _ more: [[String]] = []) throws {
        let salt = FrameClass.allCases.firstIndex(of: kind) ?? 0
        var compared = 0
        for table in 0..<Self.size.tables {
            let seed = (Self.seed &* 100 &+ table) &* 100 &+ salt
            let scenario = OracleScenario(seed: seed & Int.max)
            let lines = scenario.lines + more
            let soundness = try Soundness(lines)
            #expect(soundness.sw.device.balancer.services.count == more.count)
            var frames = OracleFrames(seed: UInt64(truncatingIfNeeded: seed))
            for _ in 0..<Self.size.frames {
                let frame = frames.frame(kind)
                let port = frames.random.pick(OracleScenario.entries)
                if let failure = soundness.firstFailure(frame, port: port, random: &frames) {
                    Issue.record("\(kind), seed \(seed)\n\(Soundness.report(lines, failure))")
                    return
                }
            }
            compared += soundness.compared
        }
        print("\(kind): \(compared) comparisons")
        #expect(compared > Self.size.tables * Self.size.frames * 15)
    }
}
