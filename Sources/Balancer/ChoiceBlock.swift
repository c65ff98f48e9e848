import CLinux

/// Everything that a choice reads about one service: a piece of memory that does not change once its address can be seen.
///
///     header | numbers of the backends that may be chosen, 32 bits each | their weights, 32 bits each | table, 16 bits each
///
/// The table names places in the list of backends. What it holds depends on the algorithm: the order of a round robin, Maglev's
/// table, nothing for least connections.
struct ChoiceHeader {
    var endpoint: Endpoint
    var algorithm: BalancingAlgorithm
    var isDirect: Bool
    var isCluster: Bool
    var refuses: Bool
    var count: UInt32
    var entries: UInt32
    /// Milliseconds; 0: none.
    var affinity: UInt64
    var firstSource: UInt128
    var lastSource: UInt128
    var station: UInt64
}

/// A view of a block.
struct ChoiceBlock {
    let base: UnsafeMutableRawPointer

    static var headerSize: Int { (MemoryLayout<ChoiceHeader>.stride + 63) & ~63 }

    @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

    /// Makes a block. `numbers` and `weights` are those of the backends that may be chosen.
    init(_ service: ServiceSpec, numbers: [UInt32], weights: [UInt32], table: [UInt16]) {
        let size = Self.headerSize + numbers.count * 8 + table.count * 2
        base = .allocate(byteCount: size, alignment: 64)
        let header = ChoiceHeader(
            endpoint: service.endpoint, algorithm: service.algorithm, isDirect: service.mode == .dsr,
            isCluster: service.mode == .cluster, refuses: service.whenEmpty == .reject, count: UInt32(numbers.count),
            entries: UInt32(table.count), affinity: UInt64(service.affinity) * 1000, firstSource: service.firstSource,
            lastSource: service.lastSource, station: service.station)
        base.initializeMemory(as: ChoiceHeader.self, to: header)
        for (i, number) in numbers.enumerated() { self.numbers[i] = number }
        for (i, weight) in weights.enumerated() { self.weights[i] = weight }
        for (i, place) in table.enumerated() { self.table[i] = place }
    }

    func deallocate() { base.deallocate() }

    @inline(__always) var header: UnsafePointer<ChoiceHeader> {
        UnsafePointer(base.assumingMemoryBound(to: ChoiceHeader.self))
    }
    @inline(__always) var count: Int { Int(header.pointee.count) }
    @inline(__always) var numbers: UnsafeMutablePointer<UInt32> {
        (base + Self.headerSize).assumingMemoryBound(to: UInt32.self)
    }
    @inline(__always) var weights: UnsafeMutablePointer<UInt32> { numbers + count }
    @inline(__always) var table: UnsafeMutablePointer<UInt16> {
        UnsafeMutableRawPointer(numbers + 2 &* count).assumingMemoryBound(to: UInt16.self)
    }
}

extension ServiceSpec {
    /// The table of its algorithm over backends that may be chosen, all of weights above 0.
    func table(_ backends: [BackendSpec]) -> [UInt16] {
        switch algorithm {
        case .roundRobin: backends.indices.map { UInt16(truncatingIfNeeded: $0) }
        case .weightedRoundRobin, .random, .sourceHash, .destinationHash:
            WeightedSequence.places(backends.map { UInt32($0.weight) })
        case .leastConnections, .weightedLeastConnections: []
        case .maglev:
            Maglev.table(
                backends.map { Maglev.Member(address: $0.address, port: $0.port, weight: UInt32($0.weight)) },
                size: maglevSize)
        }
    }

    /// Bytes of that at the most.
    var tableBytes: Int {
        switch algorithm {
        case .roundRobin: backends.count * 2
        case .weightedRoundRobin, .random, .sourceHash, .destinationHash:
            2
                * WeightedSequence.reduced(
                    backends.map { UInt32($0.weight) }.filter { $0 > 0 }, limit: WeightedSequence.limit
                ).reduce(0) { $0 + Int($1) }
        case .leastConnections, .weightedLeastConnections: 0
        case .maglev: maglevSize * 2
        }
    }
}
