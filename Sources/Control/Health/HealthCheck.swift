import Flow

/// How it is found out whether a backend lives: a value, as a configuration has it. `docs/health-checks.md` explains
/// it.
public struct HealthCheck: Equatable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case tcp, udp, http, https

        var isHTTP: Bool { self == .http || self == .https }
    }

    /// Nil checks nothing: the backend counts as alive.
    public var kind: Kind?
    /// What a GET asks for.
    public var path = "/"
    /// Milliseconds from the start of one check to that of the next.
    public var interval: UInt64 = 2000
    /// Milliseconds after which a check without an answer has failed.
    public var timeout: UInt64 = 1000
    /// Successes in a row that bring a backend up, failures in a row that bring it down.
    public var rise: UInt32 = 2
    public var fall: UInt32 = 3
    /// HTTP status codes of a backend that lives.
    public var statuses: [ClosedRange<UInt16>] = [200...399]
    /// The Host header, and the server name of TLS; nil is the address.
    public var host: String?
    /// Whether the certificate must be valid for `host` (or the address).
    public var verifiesCertificate = false
    /// What a UDP check sends.
    public var payload: [UInt8] = []
    /// Whether a UDP check without an answer has succeeded.
    public var takesSilence = false
    /// Nil is the backend's own port.
    public var port: UInt16?
    /// Address that checks come from; nil leaves it to the kernel.
    public var source: HealthAddress?

    public init() {}
}

/// An address of a backend.
public enum HealthAddress: Hashable, Sendable, CustomStringConvertible {
    case ipv4(UInt32)
    case ipv6(UInt128)

    public init?(_ text: String) {
        if let address = AddressText.ipv4(text) {
            self = .ipv4(address)
        } else if let address = AddressText.ipv6(text) {
            self = .ipv6(address)
        } else {
            return nil
        }
    }

    public var description: String {
        switch self {
        case .ipv4(let address): Digits.ipv4(address)
        case .ipv6(let address): Digits.ipv6(address)
        }
    }

    /// With a port behind it, as URLs have it.
    public func text(port: UInt16) -> String {
        switch self {
        case .ipv4: "\(self):\(port)"
        case .ipv6: "[\(self)]:\(port)"
        }
    }

    func isSameFamily(as other: HealthAddress) -> Bool {
        switch (self, other) {
        case (.ipv4, .ipv4), (.ipv6, .ipv6): true
        default: false
        }
    }
}
