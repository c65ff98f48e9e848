/// What a backend is known to be.
public enum HealthStatus: String, Sendable, CaseIterable {
    /// Nothing has been decided yet.
    case unknown
    case up
    case down
}

/// What one check has found.
public enum HealthResult: Equatable, Sendable {
    case success(String)
    case failure(String)
    /// No answer within the timeout: a failure, and one that held up a socket for long.
    case timeout(String)
    /// This machine could not check (no descriptors, no ports left): says nothing about the backend.
    case inconclusive(String)

    public var text: String {
        switch self {
        case .success(let text), .failure(let text), .timeout(let text), .inconclusive(let text): text
        }
    }
}

/// Rise and fall: so many results in a row change what a backend is taken for. Pure; time is an argument, in
/// milliseconds.
///
/// From `unknown`, one success is enough: a switch that was just started must not keep everybody waiting for backends
/// that answer. Failures take `fall` in a row always, so that one lost packet harms nobody.
public struct HealthState: Equatable, Sendable {
    public private(set) var status = HealthStatus.unknown
    /// When `status` became what it is.
    public private(set) var since: UInt64
    /// Results in a row that speak against `status`.
    public private(set) var against: UInt32 = 0
    public private(set) var successes: UInt64 = 0
    public private(set) var failures: UInt64 = 0
    public private(set) var inconclusive: UInt64 = 0
    /// How often `status` went from up to down or back.
    public private(set) var transitions: UInt64 = 0

    public init(now: UInt64) { since = now }

    /// True if `status` has changed.
    public mutating func record(_ result: HealthResult, rise: UInt32, fall: UInt32, now: UInt64) -> Bool {
        switch result {
        case .success:
            successes += 1
            return judge(.up, after: status == .unknown ? 1 : rise, now)
        case .failure, .timeout:
            failures += 1
            return judge(.down, after: fall, now)
        case .inconclusive:
            inconclusive += 1
            return false
        }
    }

    private mutating func judge(_ verdict: HealthStatus, after needed: UInt32, _ now: UInt64) -> Bool {
        guard status != verdict else {
            against = 0
            return false
        }
        against += 1
        guard against >= needed else { return false }
        if status != .unknown { transitions += 1 }
        status = verdict
        since = now
        against = 0
        return true
    }
}
