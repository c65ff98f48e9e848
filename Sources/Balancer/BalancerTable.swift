import CLinux
import Conntrack

/// What workers see: slots of services and backends, and the choice. A trivial view of memory that a `Balancer` owns.
struct BalancerTable {
    /// Eight words for each service.
    let services: UnsafeMutablePointer<UInt64>
    /// Eight words for each backend.
    let backends: UnsafeMutablePointer<UInt64>
    /// Connections of each backend, which tracking counts.
    let connections: UnsafePointer<UInt64>
    let affinity: AffinityTable
    let seed: UInt64

    enum ServiceWord: Int {
        /// Address of the present `ChoiceBlock`; 0: no such service.
        case block
        /// Rises with each choice.
        case cursor
        // Connections that were given a backend, packets that found none, and connections that came back to theirs.
        case chosen, refused, returned
    }

    enum BackendWord: Int {
        // Written before the number is first used.
        case addressHigh, addressLow, port
        /// How often the number was given back. The only word that outlives the backend.
        case generation
        /// 1: may be given to new connections.
        case accepts
        /// How often it was chosen for a connection that was made.
        case chosen
    }

    @inline(__always) func service(_ number: UInt32, _ word: ServiceWord) -> UnsafeMutablePointer<UInt64> {
        services + (Int(number) &* 8 &+ word.rawValue)
    }

    @inline(__always) func backend(_ number: UInt32, _ word: BackendWord) -> UnsafeMutablePointer<UInt64> {
        backends + (Int(number) &* 8 &+ word.rawValue)
    }

    /// Answers the question which backend a connection gets. Any worker's thread.
    func choose(_ query: UnsafeMutablePointer<BackendQuery>) {
        let number = query.pointee.service
        query.pointee.outcome = .empty
        guard Int(number) < BalancerLimits.services else { return }
        let address = UInt(truncatingIfNeeded: weft_atomic_load_acquire(service(number, .block)))
        guard let base = UnsafeMutableRawPointer(bitPattern: address) else { return }
        let block = ChoiceBlock(base)
        let header = block.header
        let tuple = query.pointee.tuple
        guard tuple.destinationPort == header.pointee.endpoint.port,
            tuple.ipProtocol == header.pointee.endpoint.ipProtocol, tuple.dst == header.pointee.endpoint.address
        else {
            query.pointee.outcome = .foreign
            return
        }
        guard block.count > 0 else {
            weft_atomic_add(service(number, .refused), 1)
            query.pointee.outcome = header.pointee.refuses ? .emptyRefuses : .empty
            return
        }
        let chosen = header.pointee.affinity == 0 ? pick(block, query) : pickAgain(block, query)
        query.pointee.outcome = .chosen
        query.pointee.backend = chosen
        query.pointee.address =
            UInt128(backend(chosen, .addressHigh).pointee) &<< 64 | UInt128(backend(chosen, .addressLow).pointee)
        query.pointee.port = UInt16(truncatingIfNeeded: backend(chosen, .port).pointee)
        query.pointee.isDirect = header.pointee.isDirect
        query.pointee.station = header.pointee.station
        if header.pointee.isCluster {
            query.pointee.translatesSource = true
            query.pointee.firstSource = header.pointee.firstSource
            query.pointee.lastSource = header.pointee.lastSource
        } else if query.pointee.address == tuple.src, !header.pointee.isDirect {
            // Hairpin: a backend that is its own client would answer itself past us. To it, the service is the client.
            query.pointee.translatesSource = true
            query.pointee.firstSource = header.pointee.endpoint.address
            query.pointee.lastSource = header.pointee.endpoint.address
        }
    }

    /// The choice led to a connection, and is counted; or it did not, and nobody has to come back to it. Any worker's thread.
    func conclude(_ query: UnsafeMutablePointer<BackendQuery>, isMade: Bool) {
        let number = query.pointee.service
        let chosen = query.pointee.backend
        if isMade {
            weft_atomic_add(service(number, .chosen), 1)
            weft_atomic_add(backend(chosen, .chosen), 1)
            if query.pointee.affinity == .returns { weft_atomic_add(service(number, .returned), 1) }
        } else if query.pointee.affinity == .begins {
            let client = AffinityTable.Client(query.pointee.tuple, service: number, seed: affinity.seed)
            let line = affinity.lock(client)
            affinity.forget(client, line, owner(chosen), expiry: query.pointee.affinityExpiry)
            affinity.unlock(line)
        }
    }

    private func owner(_ number: UInt32) -> AffinityTable.Owner {
        AffinityTable.Owner(backend: number, generation: weft_atomic_load(backend(number, .generation)))
    }

    /// The backend that the client had, while that is remembered and may be given; else one by the algorithm.
    private func pickAgain(_ block: ChoiceBlock, _ query: UnsafeMutablePointer<BackendQuery>) -> UInt32 {
        let number = query.pointee.service
        let client = AffinityTable.Client(query.pointee.tuple, service: number, seed: affinity.seed)
        let line = affinity.lock(client)
        defer { affinity.unlock(line) }
        let expiry = query.pointee.now &+ block.header.pointee.affinity
        if let known = affinity.find(client, line, now: query.pointee.now),
            weft_atomic_load(backend(known.backend, .accepts)) != 0, known == owner(known.backend)
        {
            affinity.store(client, line, known, expiry: expiry, now: query.pointee.now)
            query.pointee.affinity = .returns
            return known.backend
        }
        let chosen = pick(block, query)
        affinity.store(client, line, owner(chosen), expiry: expiry, now: query.pointee.now)
        query.pointee.affinity = .begins
        query.pointee.affinityExpiry = expiry
        return chosen
    }

    private func pick(_ block: ChoiceBlock, _ query: UnsafeMutablePointer<BackendQuery>) -> UInt32 {
        let tuple = query.pointee.tuple
        let entries = Int(block.header.pointee.entries)
        let place: Int
        switch block.header.pointee.algorithm {
        case .roundRobin, .weightedRoundRobin:
            place = Int(block.table[Int(truncatingIfNeeded: turn(query.pointee.service) % UInt64(entries))])
        case .leastConnections: place = leastConnections(block, query, isWeighted: false)
        case .weightedLeastConnections: place = leastConnections(block, query, isWeighted: true)
        case .random:
            let hash = BalancerHash.mix(turn(query.pointee.service), seed, UInt64(query.pointee.service))
            place = Int(block.table[BalancerHash.place(hash, entries)])
        case .sourceHash:
            place = Int(block.table[BalancerHash.place(BalancerHash.mix(tuple.srcHigh, tuple.srcLow, 0), entries)])
        case .destinationHash:
            place = Int(block.table[BalancerHash.place(BalancerHash.mix(tuple.dstHigh, tuple.dstLow, 0), entries)])
        case .maglev:
            let ends = BalancerHash.mix(tuple.srcHigh ^ tuple.dstHigh, tuple.srcLow, tuple.dstLow)
            let hash = BalancerHash.mix(ends, tuple.rest & ~0xffff_0000, 0)
            place = Int(block.table[Int(truncatingIfNeeded: hash % UInt64(entries))])
        }
        return block.numbers[place]
    }

    @inline(__always) private func turn(_ number: UInt32) -> UInt64 {
        weft_atomic_fetch_add(service(number, .cursor), 1)
    }

    /// Backends that a choice by least connections looks at.
    static var leastConnectionsReach: Int { 1024 }

    /// Begins where the last one did not, so that equal ones take turns.
    private func leastConnections(
        _ block: ChoiceBlock, _ query: UnsafeMutablePointer<BackendQuery>, isWeighted: Bool
    ) -> Int {
        let count = block.count
        var place = Int(truncatingIfNeeded: turn(query.pointee.service) % UInt64(count))
        var best = place
        var bestLoad = UInt64.max
        var bestWeight: UInt64 = 1
        for _ in 0..<min(count, Self.leastConnectionsReach) {
            // With this one it would have one more.
            let load = weft_atomic_load(connections + Int(block.numbers[place])) &+ 1
            let weight = isWeighted ? UInt64(block.weights[place]) : 1
            if bestLoad == .max || load &* bestWeight < bestLoad &* weight {
                best = place
                bestLoad = load
                bestWeight = weight
            }
            place = place &+ 1 == count ? 0 : place &+ 1
        }
        return best
    }
}
