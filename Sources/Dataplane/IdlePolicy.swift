/// How a worker that finds nothing to do spends its time: it spins for a while, since the next frame of a busy link comes
/// within microseconds, then sleeps until a queue has something, for longer each time up to a limit.
///
/// A sleeping worker is woken by the first frame on any port with a descriptor (packet sockets, TAP); the limit matters for
/// ports that have none (capture files at a given rate) and for upkeep.
struct IdlePolicy {
    /// Nanoseconds without work before the first sleep. `set idle-spin=`.
    var spin: UInt64 = 20_000
    /// Milliseconds of the longest sleep. `set idle-sleep=`.
    var maximumSleep: Int32 = 50

    private var idleSince: UInt64 = 0
    private var sleep: Int32 = 1

    mutating func worked() {
        idleSince = 0
        sleep = 1
    }

    /// Milliseconds to sleep now, 0 to go on spinning. `now` in nanoseconds.
    mutating func pause(now: UInt64, canBeWoken: Bool) -> Int32 {
        if idleSince == 0 { idleSince = now }
        guard now &- idleSince >= spin else { return 0 }
        let result = sleep
        sleep = min(sleep * 2, canBeWoken ? maximumSleep : 1)
        return result
    }
}
