/// What clients together may cost the switch.
public struct ControlLimits: Sendable {
    /// Connections at the same time; further ones are closed at once.
    public var connections = 4096
    /// Bytes of one request. Large, because a whole flow file may come inside one.
    public var requestBytes = 64 << 20
    /// Bytes of half received requests and unread answers, over all connections. A connection's first
    /// `freeBytes` do not count, so that small requests work while large ones exhaust the rest.
    public var heldBytes = 512 << 20
    public var freeBytes = 64 << 10

    public init() {}
}

/// The sum of what connections hold. Event loop thread only.
package struct MemoryBudget {
    package let limits: ControlLimits
    package private(set) var held = 0

    package init(_ limits: ControlLimits) { self.limits = limits }

    private func charge(_ bytes: Int) -> Int { max(0, bytes - limits.freeBytes) }

    /// Changes what one connection holds; false, and nothing changed, where the sum would pass the limit.
    package mutating func change(from old: Int, to new: Int) -> Bool {
        let sum = held - charge(old) + charge(new)
        if new > old, sum > limits.heldBytes, charge(new) > 0 { return false }
        held = sum
        return true
    }
}
