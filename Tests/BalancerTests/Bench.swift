import Balancer
import Conntrack
import Testing

/// A balancer without a tracker: the test counts connections.
final class Bench {
    let connections = UnsafeMutablePointer<UInt64>.allocate(capacity: BackendChooser.backendLimit)
    let balancer: Balancer
    var now: UInt64 = 1000

    init(seed: UInt64 = 7) {
        connections.initialize(repeating: 0, count: BackendChooser.backendLimit)
        balancer = Balancer(connections: UnsafePointer(connections), seed: seed)
    }

    deinit { connections.deallocate() }

    static let vip = Endpoint(address: 0x0a00_0064, isIPv6: false, port: 80)

    static func service(_ weights: [UInt16], _ algorithm: BalancingAlgorithm, affinity: UInt32 = 0) -> ServiceSpec {
        var spec = ServiceSpec(name: "web", endpoint: vip)
        spec.algorithm = algorithm
        spec.affinity = affinity
        spec.backends = weights.enumerated().map {
            BackendSpec(address: 0x0a00_0001 + UInt128($0.offset), port: 8080, weight: $0.element)
        }
        return spec
    }

    func ask(
        _ service: UInt32, client: UInt32, port: UInt16 = 4000, to vip: Endpoint = Bench.vip, isMade: Bool = true
    ) -> BackendQuery {
        let tuple = ConnectionTuple(
            src: UInt128(client), dst: vip.address, isIPv6: false, ipProtocol: vip.ipProtocol, sourcePort: port,
            destinationPort: vip.port)
        var query = BackendQuery(service: service, tuple: tuple, now: now)
        balancer.choose(&query)
        if query.outcome == .chosen { balancer.conclude(&query, isMade: isMade) }
        return query
    }

    /// Which place in the list of backends each of `count` clients gets.
    func places(_ service: UInt32, count: Int) -> [Int] {
        (0..<count).map { Int(ask(service, client: 0xc0a8_0000 + UInt32($0)).address) - 0x0a00_0001 }
    }
}

func histogram(_ places: some Sequence<Int>, _ count: Int) -> [Int] {
    var result = [Int](repeating: 0, count: count)
    for place in places where place >= 0 && place < count { result[place] += 1 }
    return result
}

extension Balancer {
    @discardableResult
    func set(_ specs: [ServiceSpec]) throws(BalancerError) -> [(number: UInt32, gone: [UInt32])] {
        set(try check(specs))
    }

    /// The same for one.
    @discardableResult
    func set(_ spec: ServiceSpec) throws(BalancerError) -> (number: UInt32, gone: [UInt32]) { try set([spec])[0] }
}
