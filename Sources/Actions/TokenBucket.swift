/// Lets so many events a second pass, and as many at once as one second has: a token bucket. Owned by one thread;
/// time is an argument, in milliseconds.
public struct TokenBucket: Sendable {
    /// Tokens a second; also how many the bucket holds. 0 lets nothing pass.
    public let rate: UInt32
    /// In thousandths of a token, so that `rate` is what a millisecond brings.
    private var content: UInt64
    private var filled: UInt64 = 0

    public init(rate: UInt32) {
        self.rate = rate
        content = UInt64(rate) &* 1000
    }

    /// Takes one token; false if there is none. A clock that goes back brings nothing.
    public mutating func take(now: UInt64) -> Bool {
        if now > filled {
            // After a second the bucket is full, so longer waits need no more than that.
            let elapsed = Swift.min(now &- filled, 1000)
            content = Swift.min(content &+ elapsed &* UInt64(rate), UInt64(rate) &* 1000)
            filled = now
        }
        guard content >= 1000 else { return false }
        content &-= 1000
        return true
    }
}
