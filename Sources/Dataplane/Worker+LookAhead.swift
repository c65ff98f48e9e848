import Actions
import CLinux
import Conntrack
import FlowCache
import Memory

// Connections are looked up one packet after the other, since what one packet finds depends on what those before it did. But
// where it will look is known before: so at the first packet of a burst that goes through connection tracking, the lines of the
// table that it and those behind it will want are asked for, and arrive side by side instead of one after the other. With
// hundreds of thousands of connections that is half of the time that a new one takes.

extension Worker {
    /// Asks for what the packets from `first` on will look up: once a burst. Notes the zone in which packets as received are
    /// looked up.
    ///
    /// - Parameter found: packets that have a session, which the caches were not asked for.
    @inline(never)
    func lookAhead(from first: Int, _ count: Int, _ burst: Burst, besides found: UnsafePointer<UInt32>? = nil) {
        for i in first..<count {
            if let found, found[i] != 0 { continue }
            guard let block = burst.block(i), block.tracks,
                let step = ProgramStep.firstTrack(block.program, count: block.programCount)
            else { continue }
            var request = TrackRequest(immediate: step.immediate, block.program + step.operands)
            if burst.packets == cache.burst.packets { expectedZone = request.zone }
            // A packet alone would only do the same work twice.
            guard first &+ 1 < count else { return }
            tracker.expect(burst.packets[i], &request, worker: number)
        }
    }
}
