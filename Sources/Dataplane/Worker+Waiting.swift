import CLinux
import Conntrack
import Flow
import FlowCache
import Memory

// A frame that comes alone waits for memory at each step, with nothing else to do meanwhile: its session, its connection, the
// record of a new one. So a small burst waits for the end of the round, while the other ports have their turn, and what it will
// look up is asked for before. Small bursts of several ports then go as one. Under a flood of connections that come one by one
// beside a busy port this saves a third of a microsecond for each.

extension Worker {
    private static var smallBurst: Int { 4 }

    /// Whether a burst of `count` frames, just received, is to wait for the end of the round.
    @inline(__always)
    func isToWait(_ count: Int) -> Bool {
        count <= Self.smallBurst && polled.count > 1 && waitingCount &+ count <= burstSize && tracker.count > 0
    }

    /// The first `count` packets of the burst wait.
    @inline(never)
    func setAside(_ count: Int) {
        let burst = cache.burst
        for i in 0..<count {
            let packet = burst.packets[i]
            waiting[waitingCount] = packet
            waitingCount &+= 1
            let key = burst.freshKey(i)
            let kind = extractKey(packet, into: key, vlanLimit: vlanLimit)
            cache.note(i, isExtended: kind == .extended)
            guard kind != .tooShort else { continue }
            sessions.expect(key)
            tracker.expect(packet, zone: expectedZone, begins: Self.hasSYN(key))
        }
    }

    /// Those that have waited go. Frames of one port are in the order in which they came.
    @inline(never)
    func processWaiting() {
        let count = waitingCount
        waitingCount = 0
        cache.burst.packets.update(from: waiting, count: count)
        process(count)
    }
}
