import Base
import CLinux
import Synchronization

/// The time that rules, stations and caches live by: milliseconds since the switch was started, plus one so that 0 can mean
/// "never". Real, or virtual: then it stands still until `advance` (`weftd --virtual-time`, `time/warp`).
public final class SwitchClock: Sendable {
    public let isVirtual: Bool
    private let start: UInt64
    private let virtual = Atomic<UInt64>(1)

    public init(isVirtual: Bool) {
        self.isVirtual = isVirtual
        start = weft_monotonic_nanoseconds()
    }

    /// Any thread; about 20 ns.
    public var milliseconds: UInt64 {
        isVirtual
            ? virtual.load(ordering: .acquiring) : (weft_monotonic_nanoseconds() - start) / 1_000_000 + 1
    }

    /// Virtual time only.
    public func advance(_ milliseconds: UInt64) {
        guard isVirtual else { return }
        virtual.wrappingAdd(milliseconds, ordering: .releasing)
    }

    /// Seconds and nanoseconds of wall clock at which the switch's clock showed 1: for time stamps that people read.
    public static func monotonicNanoseconds() -> UInt64 { weft_monotonic_nanoseconds() }
}
