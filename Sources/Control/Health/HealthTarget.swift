/// Somebody to be checked.
public struct HealthTarget: Equatable, Sendable {
    /// The caller's number for it, one for each target.
    public var id: UInt64
    public var address: HealthAddress
    /// The backend's port; `check.port` goes before it.
    public var port: UInt16
    /// With a kind; targets without one are not checked.
    public var check: HealthCheck

    public init(id: UInt64, address: HealthAddress, port: UInt16, check: HealthCheck) {
        self.id = id
        self.address = address
        self.port = port
        self.check = check
    }

    var checkedPort: UInt16 { check.port ?? port }

    /// Whether what is known about `other` holds for this one too.
    func asksTheSame(as other: HealthTarget) -> Bool {
        address == other.address && checkedPort == other.checkedPort && check.kind == other.check.kind
            && check.path == other.check.path
    }
}

/// A backend came up or went down.
public struct HealthChange: Equatable, Sendable {
    public let target: HealthTarget
    public let old: HealthStatus
    public let new: HealthStatus
    /// What the deciding check found.
    public let reason: String

    package init(target: HealthTarget, old: HealthStatus, new: HealthStatus, reason: String) {
        self.target = target
        self.old = old
        self.new = new
        self.reason = reason
    }
}

/// What is known about one target.
public struct HealthStatistics: Equatable, Sendable {
    public let target: HealthTarget
    public let state: HealthState
    /// Milliseconds since `state.status` is what it is.
    public let age: UInt64
    /// What the last check found; nil before the first.
    public let lastResult: HealthResult?
    /// Milliseconds since the last check ended.
    public let lastCheckAge: UInt64?
    /// Microseconds that it took.
    public let lastDuration: UInt64
}

/// How the checking itself is doing.
public struct HealthLoad: Equatable, Sendable {
    public var targets = 0
    /// Checks under way, and among them those of targets that let the last one run into its timeout.
    public var running = 0
    public var slowRunning = 0
    /// Checks begun so far.
    public var started: UInt64 = 0
    /// Those among them that began later than one interval after their time: too many targets, or too few sockets.
    public var late: UInt64 = 0
}

/// What checking may cost.
public struct HealthLimits: Equatable, Sendable {
    /// Sockets open at the same time, 1 or more.
    public var sockets = 1024

    public init() {}
}
