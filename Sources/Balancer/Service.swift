/// How a service chooses.
public enum BalancingAlgorithm: String, CaseIterable, Sendable {
    /// One after the other, weights aside.
    case roundRobin = "round-robin"
    /// One after the other, each as often as its weight says, spread evenly.
    case weightedRoundRobin = "weighted-round-robin"
    /// The one with the fewest connections now.
    case leastConnections = "least-connections"
    /// The one with the fewest connections for its weight.
    case weightedLeastConnections = "weighted-least-connections"
    /// By the client's address.
    case sourceHash = "source-hash"
    /// By the address that the packet is for: services that share backends are spread over them.
    case destinationHash = "destination-hash"
    case random
    /// By the whole tuple, through a table that changes little when backends do (Eisenbud et al., NSDI 2016).
    case maglev
}

/// What is done to a connection's packets.
public enum BalancingMode: String, CaseIterable, Sendable {
    /// The backend sees the client's address.
    case local
    /// The backend sees an address of the balancer, so its replies come back here whatever its routes are.
    case cluster
    /// Direct server return: packets are sent on to the backend's station as they are, and it answers by itself.
    case dsr
}

/// What a client is told if there is no backend.
public enum EmptyPolicy: String, CaseIterable, Sendable { case reject, drop }

/// One backend as configured.
public struct BackendSpec: Hashable, Sendable {
    public var address: UInt128
    public var isIPv6 = false
    public var port: UInt16
    /// 0 gets no new connections.
    public var weight: UInt16
    /// Ethernet address that frames for it are sent on to; nil leaves the one that the client chose.
    public var station: UInt64?
    /// Its connections go on, new ones go elsewhere.
    public var isDrained = false

    public init(address: UInt128, port: UInt16, weight: UInt16 = 1, station: UInt64? = nil) {
        self.address = address
        self.port = port
        self.weight = weight
        self.station = station
    }

    /// Where it is: what makes it the same backend, whatever is said of it.
    public func endpoint(ipProtocol: UInt8 = 6) -> Endpoint {
        Endpoint(address: address, isIPv6: isIPv6, ipProtocol: ipProtocol, port: port)
    }
}

/// One service as configured: what a choice needs to know of it. Where it is applied is not among that.
public struct ServiceSpec: Equatable, Sendable {
    public var name: String
    public var endpoint: Endpoint
    public var backends: [BackendSpec] = []
    public var algorithm = BalancingAlgorithm.roundRobin
    public var mode = BalancingMode.local
    /// Seconds for which a client comes back to its backend; 0: no affinity.
    public var affinity: UInt32 = 0
    /// Entries of Maglev's table: a prime.
    public var maglevSize = Maglev.standardSize
    /// Of `cluster`: the addresses that stand in for clients.
    public var firstSource: UInt128 = 0
    public var lastSource: UInt128 = 0
    public var whenEmpty = EmptyPolicy.reject
    /// The service's own Ethernet address, 48 bits; 0 if it has none.
    public var station: UInt64 = 0

    public init(name: String, endpoint: Endpoint) {
        self.name = name
        self.endpoint = endpoint
    }

    /// Frames are to be sent on to stations that are known.
    public var steers: Bool { station != 0 || backends.contains { $0.station != nil } }
}

/// Why a change was refused; nothing was changed. A sentence without a full stop.
public struct BalancerError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
