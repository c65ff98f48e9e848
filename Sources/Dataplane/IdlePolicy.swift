/// How a worker that finds nothing to do spends its time: it spins for a while, since the next frame of a busy link comes
/// within microseconds, then sleeps until a queue has something, for longer each time up to a limit.
///
/// A sleeping worker is woken by the first frame on any port with a descriptor (packet sockets, TAP), and by the clock for
/// the next frame of a capture file that is played at a rate; the limit is there for upkeep.
struct IdlePolicy {
    /// Nanoseconds without work before the first sleep.
    var spin: UInt64 = 20_000
    /// Nanoseconds of the longest sleep.
    var maximumSleep: UInt64 = 50_000_000
    /// Nanoseconds of the first sleep, and of every one where nothing can end it early.
    static var shortSleep: UInt64 { 1_000_000 }

    private var idleSince: UInt64 = 0
    private var sleep = Self.shortSleep

    mutating func worked() {
        idleSince = 0
        sleep = Self.shortSleep
    }

    /// Nanoseconds to sleep now, 0 to go on spinning. `now` in nanoseconds.
    mutating func pause(now: UInt64, canBeWoken: Bool) -> UInt64 {
        if idleSince == 0 { idleSince = now }
        guard now &- idleSince >= spin else { return 0 }
        let result = sleep
        sleep = min(sleep * 2, canBeWoken ? maximumSleep : Self.shortSleep)
        return result
    }
}
