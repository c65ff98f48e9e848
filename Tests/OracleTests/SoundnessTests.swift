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
        let salt = FrameClass.allCases.firstIndex(of: kind) ?? 0
        var compared = 0
        for table in 0..<Self.size.tables {
            let seed = (Self.seed &* 100 &+ table) &* 100 &+ salt
            let scenario = OracleScenario(seed: seed & Int.max)
            let soundness = try Soundness(scenario.lines)
            var frames = OracleFrames(seed: UInt64(truncatingIfNeeded: seed))
            for _ in 0..<Self.size.frames {
                let frame = frames.frame(kind)
                let port = frames.random.pick(OracleScenario.entries)
                if let failure = soundness.firstFailure(frame, port: port, random: &frames) {
                    Issue.record("\(kind), seed \(seed)\n\(Soundness.report(scenario.lines, failure))")
                    return
                }
            }
            compared += soundness.compared
        }
        print("\(kind): \(compared) comparisons")
        #expect(compared > Self.size.tables * Self.size.frames * 15)
    }
}
